import { rulePass } from "./rewrite.ts";
import { canonicalRules } from "./rules/canonical.ts";
import { castRules } from "./rules/casts.ts";

/** Writes what can be written in several ways in one way. */
export const canonicalise = rulePass([...canonicalRules, ...castRules]);
