import type { Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { matrixFits, type PairTile, pairBytes, pairName, pairTiles } from "../passes/matrix-tiles.ts";
import { quickest } from "../passes/product-tiles.ts";
import { type Candidate, distinct } from "./candidate.ts";
import { productOf } from "./contraction.ts";
import { writePairs } from "./contraction-matrix-f16x3.ts";
import { addsUp } from "./contraction-matrix-sums.ts";
import { ridesOn } from "./riders.ts";

/**
 * The tiles by which a contraction of f32 is done as products of halves, the one that is taken without measurements first. None unless
 * the product asks for it, which the compiler lets it only on devices that have subgroup matrices, and in texts for all sizes.
 */
export function pairCandidates(region: Region, capabilities: Capabilities): readonly Candidate[] {
  const p = productOf(region);
  if (p.node.attrs.precision !== "f16x3" || p.node.type.dtype !== "f32" || region.uniform) return [];
  if (!capabilities.features.subgroupMatrix || capabilities.software) return [];
  const fits = (t: PairTile): boolean =>
    matrixFits(t, pairBytes(t), capabilities.limits) &&
    (p.parts.count === 1 || p.parts.depth % t.k === 0) &&
    (["a", "b"] as const).every((side) => !ridesOn(region, side) || addsUp(t, side));
  const chosen = quickest({ m: p.m, n: p.n, depth: p.parts.depth, count: p.batches }, pairTiles, fits)?.tile;
  if (!chosen) return [];
  const other = pairTiles.filter(fits);
  return distinct(
    [chosen, ...other].map((t) => ({ name: pairName(t), write: () => writePairs(region, capabilities, t) })),
  );
}
