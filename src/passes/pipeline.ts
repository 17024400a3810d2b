import type { Graph } from "../ir/graph.ts";
import { attentionKernels } from "../ir/ops/attention-type.ts";
import { mergeAttentionTwins } from "./attention-twins.ts";
import { canonicalise } from "./canonicalise.ts";
import { eliminateCommon } from "./cse.ts";
import { eliminateDead } from "./dce.ts";
import { decompose } from "./decompose.ts";
import { flattenProducts } from "./flatten-products.ts";
import { foldConstants } from "./fold-constants.ts";
import { foldViews } from "./fold-views.ts";
import { recogniseAttention } from "./recognise-attention.ts";
import { simplify } from "./simplify.ts";
import { splitPacks } from "./split-packs.ts";
import { type Decide, splitReductions } from "./split-reductions.ts";

/** A rewrite from graph to graph with the same meaning; gives back the same graph when it changes nothing. */
export interface Pass {
  readonly name: string;
  readonly run: (graph: Graph) => Graph;
}

/** Every pass by itself, in the order of the first round. */
export const passes = {
  decompose: { name: "decompose", run: (g) => decompose(g, { keep: attentionKernels }) },
  /** Softmax stays whole for the recognition of attention. */
  open: { name: "decompose-but-softmax", run: (g) => decompose(g, { keep: [...attentionKernels, "softmax"] }) },
  foldConstants: { name: "fold-constants", run: foldConstants },
  canonicalise: { name: "canonicalise", run: canonicalise },
  simplify: { name: "simplify", run: simplify },
  foldViews: { name: "fold-views", run: foldViews },
  flattenProducts: { name: "flatten-products", run: flattenProducts },
  cse: { name: "cse", run: eliminateCommon },
  dce: { name: "dce", run: eliminateDead },
  mergeAttentionTwins: { name: "merge-attention-twins", run: mergeAttentionTwins },
  recogniseAttention: { name: "recognise-attention", run: recogniseAttention },
  splitReductions: { name: "split-reductions", run: splitReductions },
} as const satisfies Readonly<Record<string, Pass>>;

const p = passes;
const tidy: readonly Pass[] = [p.foldConstants, p.canonicalise, p.simplify, p.foldViews, p.cse, p.dce];
const shape: readonly Pass[] = [p.flattenProducts, p.foldViews, p.cse, p.dce];

/** The order. Lists in the list run until nothing changes; `chunks` stands for the pass that depends on the device. */
const order: readonly (Pass | readonly Pass[] | "chunks")[] = [
  p.open,
  // Gradients compute anew what the forward has: one node before rules ask who reads it.
  p.cse,
  tidy,
  p.recogniseAttention,
  p.decompose,
  tidy,
  p.mergeAttentionTwins,
  shape,
  "chunks",
  p.splitReductions,
  [p.foldViews, p.cse, p.dce],
];

export interface OptimiseOptions {
  /** Sees the graph before and after each pass that changed it. */
  readonly trace?: (pass: string, before: Graph, after: Graph) => void;
  /** Bytes that one binding of the device may have: packs of more are computed in chunks. Without it none are. */
  readonly largestBinding?: number;
  /** Partial results of a long reduction, whatever its length; by default what suits the length. */
  readonly parts?: number;
  /** Takes decisions that sizes suggest, so that graphs of several sizes become alike. */
  readonly decide?: Decide;
}

/** Every round makes a graph smaller or more canonical; a real graph is done after three or four. */
const roundLimit = 12;

/**
 * Rewrites a graph into primitive rows (and those of attention) with the same meaning. Shapes should be concrete; what depends on
 * symbolic ones is left alone.
 */
export function optimise(graph: Graph, options: OptimiseOptions = {}): Graph {
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
  const { largestBinding, parts, decide } = options;
  const long: Pass =
    parts === undefined
      ? p.splitReductions
      : { ...p.splitReductions, run: (graph) => splitReductions(graph, { parts, ...(decide ? { decide } : {}) }) };
  const chunks: readonly Pass[] =
    largestBinding === undefined
      ? []
      : [{ name: "split-packs", run: (graph) => splitPacks(graph, largestBinding) }, p.foldConstants];
  for (const step of order) {
    if (step === "chunks") chunks.forEach(run);
    else if ("run" in step) run(step === p.splitReductions ? long : step);
    else for (let round = 0; round < roundLimit && step.map(run).includes(true); round++);
  }
  return g;
}
