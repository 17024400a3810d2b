import { concreteDim, type Dim, type Shape, shapeSize } from "../dim.ts";
import type { Attrs, GraphBuilder, Node } from "../graph.ts";
import { attentionSizes } from "./attention-type.ts";
import { range } from "./axes.ts";
import { cast, transpose } from "./composite-helpers.ts";
import { precisionOf } from "./contraction.ts";

/** The last two axes exchanged. */
export function swapLast(b: GraphBuilder, x: Node): Node {
  const rank = x.type.shape.length;
  return transpose(b, x, [...range(rank - 2), rank - 1, rank - 2]);
}

/** Each head of k or v for its group of query heads: [..., Hk, S, D] to [..., Hq, S, D]. */
export function repeatHeads(b: GraphBuilder, x: Node, queryHeads: Dim): Node {
  const { shape } = x.type;
  const [heads, s, d] = shape.slice(-3) as [Dim, Dim, Dim];
  const [hq, hk] = [concreteDim(queryHeads), concreteDim(heads)];
  if (hq === hk) return x;
  const lead = shape.slice(0, -3);
  const all = shapeSize(lead);
  const grouped = b.add("reshape", [x], { shape: [all, hk, 1, s, d] });
  const repeated = b.add("expand", [grouped], { shape: [all, hk, hq / hk, s, d] });
  return b.add("reshape", [repeated], { shape: [...lead, hq, s, d] });
}

/** What {@link repeatHeads} does to a gradient: [..., Hq, S, D] summed over each group of query heads to `shape`. */
export function sumHeads(b: GraphBuilder, x: Node, shape: Shape): Node {
  const [hk, s, d] = shape.slice(-3) as [Dim, Dim, Dim];
  const hq = concreteDim(x.type.shape.at(-3) as Dim);
  if (hq === concreteDim(hk)) return x;
  const all = shapeSize(shape.slice(0, -3));
  const grouped = b.add("reshape", [x], { shape: [all, hk, hq / Math.max(1, concreteDim(hk)), s, d] });
  return b.add("reshape", [b.add("sum", [grouped], { axes: [2], keepDims: false })], { shape });
}

/** The factor of the scores. @throws SinterError `unbound-dim` while it depends on an unknown D */
export const scaleOf = (q: Node, a: Attrs): number =>
  (a.scale as number | null | undefined) ?? 1 / Math.sqrt(concreteDim(q.type.shape.at(-1) as Dim));

/** q k^T * scale + mask, -inf where a query does not see a key: f32 [..., Hq, T, S] of q and k in f32. */
export function maskedScores(b: GraphBuilder, q: Node, k: Node, mask: Node | undefined, a: Attrs): Node {
  const { Hq, T, S } = attentionSizes(q.type.shape, k.type.shape, k.type.shape);
  const scale = scaleOf(q, a);
  let scores = b.add("matmul", [q, swapLast(b, repeatHeads(b, k, Hq))], precisionOf(a));
  if (scale !== 1) scores = b.add("mul", [scores, b.const(scale, "f32")]);
  if (mask) scores = b.add("add", [scores, cast(b, mask, "f32")]);
  if (!a.causal) return scores;
  const [t, s] = [concreteDim(T), concreteDim(S)];
  const row = b.add("iota", [], { axis: 0, dtype: "i32", shape: [t, 1] });
  const last = s === t ? row : b.add("add", [row, b.const(s - t, "i32")]);
  const seen = b.add("lessEqual", [b.add("iota", [], { axis: 1, dtype: "i32", shape: [1, s] }), last]);
  return b.add("where", [seen, scores, b.const(Number.NEGATIVE_INFINITY, "f32")]);
}
