import type { Graph } from "../ir/graph.ts";
import { applyRules } from "./rewrite.ts";
import { joinRules } from "./rules/joins.ts";
import { viewRules } from "./rules/views.ts";

/** Composes chains of views and drops those that move nothing. No view is moved past a computation. */
export const foldViews = (graph: Graph): Graph => applyRules(graph, rules);

const rules = [...viewRules, ...joinRules];
