import type { Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { productOf } from "./contraction.ts";
import { type MatrixTile, matrixBytes, matrixThreads } from "./contraction-matrix.ts";
import { halfOperand } from "./contraction-matrix-stage.ts";

/** Tiles from large to small; the first that gives the device enough workgroups is taken. */
export const matrixTiles: readonly MatrixTile[] = [
  { m: 128, n: 128, k: 32, rows: 64, columns: 64 },
  { m: 64, n: 64, k: 64, rows: 32, columns: 32 },
  { m: 64, n: 64, k: 32, rows: 32, columns: 32 },
];
const enoughGroups: readonly number[] = [100, 0, 0];

/**
 * The tile by which a contraction of halves is done by subgroup matrices, or undefined where it is not: on devices without
 * them, in texts for all sizes, and for products so small that most of a tile would be empty.
 */
export function matrixTile(region: Region, capabilities: Capabilities): MatrixTile | undefined {
  if (!capabilities.features.subgroupMatrix || capabilities.software || region.uniform) return undefined;
  const p = productOf(region);
  if (p.node.type.dtype !== "f32" || p.k < 16 || Math.min(p.m, p.n) < 16) return undefined;
  if (!halfOperand(region, p.a) || !halfOperand(region, p.b)) return undefined;
  const { limits } = capabilities;
  const groups = (t: MatrixTile): number => Math.ceil(p.m / t.m) * Math.ceil(p.n / t.n) * p.batches;
  const fits = (t: MatrixTile): boolean =>
    matrixBytes(t) <= limits.maxComputeWorkgroupStorageSize &&
    matrixThreads(t) <= limits.maxComputeInvocationsPerWorkgroup &&
    (p.parts.count === 1 || p.parts.depth % t.k === 0);
  return matrixTiles.find((t, i) => fits(t) && groups(t) >= (enoughGroups[i] as number));
}
