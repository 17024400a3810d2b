import type { Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { matrixBytes, matrixFits, matrixName, matrixTiles, type TileShape } from "../passes/matrix-tiles.ts";
import { type Pace, quickest } from "../passes/product-tiles.ts";
import { type Candidate, distinct } from "./candidate.ts";
import { productOf } from "./contraction.ts";
import { writeMatrix } from "./contraction-matrix.ts";
import { halfOperand } from "./contraction-matrix-stage.ts";
import { addsUp } from "./contraction-matrix-sums.ts";
import { ridesOn } from "./riders.ts";

/**
 * The tiles by which a contraction of halves is done by subgroup matrices, the one that is taken without measurements first.
 * None on devices without them, in texts for all sizes, and for products so small that most of a tile would be empty.
 */
export function matrixCandidates(region: Region, capabilities: Capabilities): readonly Candidate[] {
  if (!capabilities.features.subgroupMatrix || capabilities.software || region.uniform) return [];
  const p = productOf(region);
  if (p.node.type.dtype !== "f32" || p.k < 16 || Math.min(p.m, p.n) < 16) return [];
  if (!halfOperand(region, p.a) || !halfOperand(region, p.b)) return [];
  return tileCandidates(region, capabilities, matrixTiles, matrixBytes, (t) => ({
    name: matrixName(t),
    write: () => writeMatrix(region, capabilities, t),
  }));
}

/** The tiles of a list that suit a contraction and the device's limits, the quickest by their times first. */
export function tileCandidates<T extends TileShape & Pace>(
  region: Region,
  { limits }: Capabilities,
  list: readonly T[],
  bytesOf: (t: T) => number,
  candidate: (t: T) => Candidate,
  suits: (t: T) => boolean = () => true,
): readonly Candidate[] {
  const p = productOf(region);
  const fits = (t: T): boolean =>
    matrixFits(t, bytesOf(t), limits) &&
    suits(t) &&
    (p.parts.count === 1 || p.parts.depth % t.k === 0) &&
    (["a", "b"] as const).every((side) => !ridesOn(region, side) || addsUp(t, side));
  const chosen = quickest({ m: p.m, n: p.n, depth: p.parts.depth, count: p.batches }, list, fits)?.tile;
  return chosen ? distinct([chosen, ...list.filter(fits)].map(candidate)) : [];
}
