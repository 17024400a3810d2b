import type { Side } from "../fuse/riders.ts";
import type { Index } from "../ir/index-expr.ts";
import type { TileShape } from "../passes/matrix-tiles.ts";
import type { Product } from "./contraction.ts";
import { unscaleOf } from "./contraction-matrix-f16x3-scale.ts";
import { type HalfSums, halfSums, type SummedTile } from "./contraction-matrix-sums.ts";
import type { Frame } from "./kernel.ts";
import { ridesOn } from "./riders.ts";

/** An operand of a product of pairs of halves, as it is staged: upper halves from vector `base` of the staging array on, then lower ones. */
export interface PairSide<T> {
  readonly side: Side;
  readonly staged: T;
  readonly base: number;
  readonly size: number;
  readonly limit: number;
  /** Where its tile begins, and where the other operand's does. */
  readonly at: Index;
  readonly across: Index;
}

export const pairSides = <T extends { readonly vectors: number }>(
  t: TileShape,
  p: Product,
  [left, right]: readonly [T, T],
  [tileM, tileN]: readonly [Index, Index],
): readonly [PairSide<T>, PairSide<T>] => [
  { side: "a", staged: left, base: 0, size: t.m, limit: p.m, at: tileM, across: tileN },
  { side: "b", staged: right, base: 2 * left.vectors, size: t.n, limit: p.n, at: tileN, across: tileM },
];

/** Sums of the operands that ride along, and where each one's tile begins. */
export const pairRiders = <T extends SummedTile["staged"] & { readonly vectors: number } & Pick<SummedTile, "quadOf">>(
  frame: Frame,
  sides: readonly PairSide<T>[],
  shared: Pick<SummedTile, "array" | "depth" | "threads">,
): readonly { readonly base: number; readonly sums: HalfSums }[] =>
  sides
    .filter(({ side }) => ridesOn(frame.region, side))
    .map((s) => {
      const { vectors, quadOf } = s.staged;
      const lower = { vectors, unscale: unscaleOf(`top_${s.side}`) };
      return { base: s.base, sums: halfSums(frame, { ...s, ...shared, lower, ...(quadOf && { quadOf }) }) };
    });
