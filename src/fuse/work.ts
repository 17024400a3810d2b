import type { Node } from "../ir/graph.ts";
import type { Phase } from "../ir/phase.ts";
import { phases } from "../ir/phase.ts";
import { countOf, shapeOf } from "./pull.ts";
import type { Region } from "./region.ts";

/** Pairs of a query and a key whose score is used, over all heads: with a causal mask query t sees the keys up to t + S - T. */
function pairsOf(n: Node): number {
  const [q, k] = n.args.map(shapeOf) as [readonly number[], readonly number[]];
  const [rows, keys] = [q.at(-2) as number, k.at(-2) as number];
  const heads = q.slice(0, -2).reduce((p, d) => p * d, 1);
  if (!n.attrs.causal) return heads * rows * keys;
  let pairs = 0;
  for (let t = 0; t < rows; t++) pairs += Math.min(keys, Math.max(0, t + 1 + keys - rows));
  return heads * pairs;
}

/** Products of length D (features of q and k) and of length Dv (features of v) that a pair takes. */
const attention =
  (ofKeys: number, ofValues: number) =>
  (n: Node): number =>
    2 *
    pairsOf(n) *
    (ofKeys * (shapeOf(n.args[1] as Node).at(-1) as number) + ofValues * (shapeOf(n.args[2] as Node).at(-1) as number));

const flops: Readonly<Record<string, (n: Node) => number>> = {
  matmul: (n) => (2 * countOf(n) * (shapeOf(n.args[0] as Node).at(-1) ?? 1)) / ((n.attrs.parts as number | null) ?? 1),
  attention: attention(1, 1),
  attentionStats: attention(1, 1),
  attentionGradQuery: attention(2, 1),
  attentionGradKeyValue: attention(2, 2),
  attentionGradMask: attention(1, 1),
};

/** Floating-point operations of the matrix products and the attention of a region: a multiplication and an addition each. */
export const flopsOf = (region: Region): number => region.anchors.reduce((sum, n) => sum + (flops[n.op]?.(n) ?? 0), 0);

/** The phase of the parts of a bundle, or the latest of theirs. */
export const phaseOfBundle = (bundle: readonly Region[], phaseOf: (n: Node) => Phase): Phase =>
  phases[Math.max(...bundle.map((r) => phases.indexOf(phaseOfRegion(r, phaseOf))))] as Phase;

/** The phase of what a region is built around, or the latest phase of what it stores. */
function phaseOfRegion(region: Region, phaseOf: (n: Node) => Phase): Phase {
  const first = region.anchors[0];
  if (first) return phaseOf(first);
  const at = Math.max(0, ...region.outputs.map((n) => phases.indexOf(phaseOf(n))));
  return phases[at] as Phase;
}
