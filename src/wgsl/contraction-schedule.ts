import type { Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { always, settled } from "./agree.ts";
import { productOf, writeDirect } from "./contraction.ts";
import { writeMatrix } from "./contraction-matrix.ts";
import { matrixTile } from "./contraction-matrix-schedule.ts";
import { type Tile, tileBytes, tileThreads, writeTiled } from "./contraction-tiled.ts";
import type { Kernel } from "./kernel.ts";
import { matvecFits, writeMatvec } from "./matvec.ts";
import { ridesOn } from "./riders.ts";

/** Workgroup tiles from large to small; the first that gives the device enough workgroups is taken. */
export const tiles: readonly Tile[] = [
  { m: 128, n: 64, k: 16, rows: 8, columns: 8 },
  { m: 64, n: 64, k: 16, rows: 8, columns: 8 },
  { m: 32, n: 32, k: 16, rows: 4, columns: 4 },
];
const enoughGroups: readonly number[] = [512, 96, 0];

/** The variant of a contraction for a device: CPU adapters lose by workgroup memory, a few rows are a matrix-vector product. */
export function writeContraction(region: Region, capabilities: Capabilities): Kernel {
  const matrix = matrixTile(region, capabilities);
  if (matrix) return writeMatrix(region, capabilities, matrix);
  const p = productOf(region);
  if (p.parts.count > 1) return writeTiled(region, capabilities, chooseTile(region, capabilities) as Tile);
  if (!capabilities.software && matvecFits(p, region, capabilities) && !ridesOn(region, "a"))
    return writeMatvec(region, capabilities);
  const chosen = capabilities.software ? -1 : tiles.indexOf(chooseTile(region, capabilities) as Tile);
  const tile = tiles[settled(region, "tile", chosen)];
  return tile ? writeTiled(region, capabilities, tile) : writeDirect(region, capabilities);
}

function chooseTile(region: Region, capabilities: Capabilities): Tile | undefined {
  const p = productOf(region);
  const halfWords = !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  if (p.k === 0 || p.m * p.n < 256 || (halfWords && p.n % 4 !== 0)) return undefined;
  const { limits } = capabilities;
  const groups = (t: Tile): number => Math.ceil(p.m / t.m) * Math.ceil(p.n / t.n) * p.batches;
  const fits = (t: Tile): boolean =>
    tileBytes(t) <= limits.maxComputeWorkgroupStorageSize && tileThreads(t) <= limits.maxComputeInvocationsPerWorkgroup;
  // The results of odd rows are stored one by one: texts that are shipped as they are stay short by the smallest tile.
  if (region.uniform && !always(region, p.n % 4 === 0)) return tiles.at(-1);
  return tiles.find((t, i) => fits(t) && groups(t) >= (enoughGroups[i] as number));
}
