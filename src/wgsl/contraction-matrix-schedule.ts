import type { Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { type Candidate, distinct } from "./candidate.ts";
import { productOf } from "./contraction.ts";
import { type MatrixTile, matrixBytes, matrixName, matrixThreads, writeMatrix } from "./contraction-matrix.ts";
import { halfOperand } from "./contraction-matrix-stage.ts";

/** Tiles from large to small; the first that gives the device enough workgroups is taken. */
export const matrixTiles: readonly MatrixTile[] = [
  { m: 128, n: 128, k: 32, rows: 64, columns: 64 },
  { m: 64, n: 64, k: 64, rows: 32, columns: 32 },
  { m: 64, n: 64, k: 32, rows: 32, columns: 32 },
];
const enoughGroups: readonly number[] = [100, 0, 0];

/** Tiles that are taken only where a tuning table names them. */
const moreTiles: readonly MatrixTile[] = [
  { m: 128, n: 64, k: 32, rows: 64, columns: 32 },
  { m: 64, n: 128, k: 32, rows: 32, columns: 64 },
  { m: 32, n: 64, k: 64, rows: 16, columns: 32 },
];

/**
 * The tiles by which a contraction of halves is done by subgroup matrices, the one that is taken without measurements first.
 * None on devices without them, in texts for all sizes, and for products so small that most of a tile would be empty.
 */
export function matrixCandidates(region: Region, capabilities: Capabilities): readonly Candidate[] {
  if (!capabilities.features.subgroupMatrix || capabilities.software || region.uniform) return [];
  const p = productOf(region);
  if (p.node.type.dtype !== "f32" || p.k < 16 || Math.min(p.m, p.n) < 16) return [];
  if (!halfOperand(region, p.a) || !halfOperand(region, p.b)) return [];
  const { limits } = capabilities;
  const groups = (t: MatrixTile): number => Math.ceil(p.m / t.m) * Math.ceil(p.n / t.n) * p.batches;
  const fits = (t: MatrixTile): boolean =>
    matrixBytes(t) <= limits.maxComputeWorkgroupStorageSize &&
    matrixThreads(t) <= limits.maxComputeInvocationsPerWorkgroup &&
    (p.parts.count === 1 || p.parts.depth % t.k === 0);
  const chosen = matrixTiles.find((t, i) => fits(t) && groups(t) >= (enoughGroups[i] as number));
  if (!chosen) return [];
  const other = [...matrixTiles, ...moreTiles].filter(fits);
  return distinct(
    [chosen, ...other].map((t) => ({ name: matrixName(t), write: () => writeMatrix(region, capabilities, t) })),
  );
}
