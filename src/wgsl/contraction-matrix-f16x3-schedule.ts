import type { Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { type Candidate, distinct } from "./candidate.ts";
import { productOf } from "./contraction.ts";
import { matrixThreads } from "./contraction-matrix.ts";
import { writePairs } from "./contraction-matrix-f16x3.ts";
import { type PairTile, pairBytes, pairName } from "./contraction-matrix-f16x3-tile.ts";

/** Tiles from large to small; the first that gives the device enough workgroups is taken. */
export const pairTiles: readonly PairTile[] = [
  { m: 128, n: 128, k: 32, rows: 32, columns: 64, chunk: 256 },
  { m: 64, n: 64, k: 64, rows: 32, columns: 32, chunk: 256 },
  { m: 64, n: 64, k: 32, rows: 32, columns: 32, chunk: 256 },
];
const enoughGroups: readonly number[] = [90, 0, 0];

/**
 * The tiles by which a contraction of f32 is done as products of halves, the one that is taken without measurements first. None unless
 * the product asks for it, which the compiler lets it only on devices that have subgroup matrices, and in texts for all sizes.
 */
export function pairCandidates(region: Region, capabilities: Capabilities): readonly Candidate[] {
  const p = productOf(region);
  if (p.node.attrs.precision !== "f16x3" || p.node.type.dtype !== "f32" || region.uniform) return [];
  if (!capabilities.features.subgroupMatrix || capabilities.software) return [];
  const { limits } = capabilities;
  const groups = (t: PairTile): number => Math.ceil(p.m / t.m) * Math.ceil(p.n / t.n) * p.batches;
  const fits = (t: PairTile): boolean =>
    pairBytes(t) <= limits.maxComputeWorkgroupStorageSize &&
    matrixThreads(t) <= limits.maxComputeInvocationsPerWorkgroup &&
    (p.parts.count === 1 || p.parts.depth % t.k === 0);
  const chosen = pairTiles.find((t, i) => fits(t) && groups(t) >= (enoughGroups[i] as number));
  if (!chosen) return [];
  const other = pairTiles.filter(fits);
  return distinct(
    [chosen, ...other].map((t) => ({ name: pairName(t), write: () => writePairs(region, capabilities, t) })),
  );
}
