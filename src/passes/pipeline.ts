import type { Graph } from "../ir/graph.ts";
import { canonicalise } from "./canonicalise.ts";
import { eliminateCommon } from "./cse.ts";
import { eliminateDead } from "./dce.ts";
import { decompose } from "./decompose.ts";
import { foldConstants } from "./fold-constants.ts";
import { foldViews } from "./fold-views.ts";
import { recogniseAttention } from "./recognise-attention.ts";
import { simplify } from "./simplify.ts";
import { splitReductions } from "./split-reductions.ts";

/** A rewrite from graph to graph with the same meaning; gives back the same graph when it changes nothing. */
export interface Pass {
  readonly name: string;
  readonly run: (graph: Graph) => Graph;
}

/** Every pass by itself, in the order of the first round. */
export const passes = {
  decompose: { name: "decompose", run: (g) => decompose(g, { keep: ["attention"] }) },
  /** Softmax stays whole for the recognition of attention. */
  open: { name: "decompose-but-softmax", run: (g) => decompose(g, { keep: ["attention", "softmax"] }) },
  foldConstants: { name: "fold-constants", run: foldConstants },
  canonicalise: { name: "canonicalise", run: canonicalise },
  simplify: { name: "simplify", run: simplify },
  foldViews: { name: "fold-views", run: foldViews },
  cse: { name: "cse", run: eliminateCommon },
  dce: { name: "dce", run: eliminateDead },
  recogniseAttention: { name: "recognise-attention", run: recogniseAttention },
  splitReductions: { name: "split-reductions", run: splitReductions },
} as const satisfies Readonly<Record<string, Pass>>;

const p = passes;
const tidy: readonly Pass[] = [p.foldConstants, p.canonicalise, p.simplify, p.foldViews, p.cse, p.dce];

/** The order. Lists in the list run until nothing changes. */
const order: readonly (Pass | readonly Pass[])[] = [
  p.open,
  tidy,
  p.recogniseAttention,
  p.decompose,
  tidy,
  p.splitReductions,
  [p.foldViews, p.cse, p.dce],
];

/** Every round makes a graph smaller or more canonical; a real graph is done after three or four. */
const roundLimit = 12;

/**
 * Rewrites a graph into primitive rows (and `attention`) with the same meaning. Shapes should be concrete; what depends on
 * symbolic ones is left alone. `trace` sees the graph before and after each pass that changed it.
 */
export function optimise(
  graph: Graph,
  options: { readonly trace?: (pass: string, before: Graph, after: Graph) => void } = {},
): Graph {
  let g = graph;
  /** The graph that a pass found nothing to change in. */
  const settled = new Map<Pass, Graph>();
  const run = (pass: Pass): boolean => {
    if (settled.get(pass) === g) return false;
    const after = pass.run(g);
    if (after === g) {
      settled.set(pass, g);
      return false;
    }
    options.trace?.(pass.name, g, after);
    g = after;
    return true;
  };
  for (const step of order) {
    if ("run" in step) run(step);
    else for (let round = 0; round < roundLimit && step.map(run).includes(true); round++);
  }
  return g;
}
