import { rulePass } from "./rewrite.ts";
import { joinRules } from "./rules/joins.ts";
import { memoryRules } from "./rules/memory.ts";
import { viewRules } from "./rules/views.ts";

/** Composes chains of views and drops those that move nothing. No view is moved past a computation. */
export const foldViews = rulePass([...viewRules, ...joinRules, ...memoryRules]);
