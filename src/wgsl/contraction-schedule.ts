import type { Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { fitsLimits, quickest, type Tile, tileName, tiles } from "../passes/product-tiles.ts";
import { always, settled } from "./agree.ts";
import { type Candidate, distinct } from "./candidate.ts";
import { type DirectTile, type Product, productOf, writeDirect } from "./contraction.ts";
import { pairCandidates } from "./contraction-matrix-f16x3-schedule.ts";
import { matrixCandidates } from "./contraction-matrix-schedule.ts";
import { writeTiled } from "./contraction-tiled.ts";
import { matvecCandidates, matvecFits, needsMatvec } from "./matvec.ts";
import { ridesOn } from "./riders.ts";

/** Tiles of texts for all sizes, from large to small; the first that gives the device enough workgroups is taken. */
const sharedTiles: readonly Tile[] = [
  { m: 128, n: 64, k: 16, rows: 8, columns: 8 },
  { m: 64, n: 64, k: 16, rows: 8, columns: 8 },
  { m: 32, n: 32, k: 16, rows: 4, columns: 4 },
];
const enoughGroups: readonly number[] = [512, 96, 0];

/** Tiles that are taken only where a tuning table names them. */
const moreTiles: readonly Tile[] = [
  { m: 64, n: 64, k: 16, rows: 8, columns: 8 },
  { m: 64, n: 192, k: 16, rows: 8, columns: 12, eager: true },
  { m: 64, n: 32, k: 16, rows: 8, columns: 4, eager: true },
  { m: 32, n: 64, k: 16, rows: 4, columns: 8, eager: true },
];

/** Rows and vectors of columns of the direct variant. */
const directTiles: readonly Pick<DirectTile, "rows" | "vectors">[] = [
  { rows: 8, vectors: 2 },
  { rows: 4, vectors: 2 },
  { rows: 8, vectors: 1 },
  { rows: 2, vectors: 2 },
];

/**
 * Every way to compute a contraction on a device, the one that is taken without measurements first: CPU adapters lose by
 * workgroup memory, a few rows are a matrix-vector product.
 */
export function contractionCandidates(region: Region, capabilities: Capabilities): readonly Candidate[] {
  const p = productOf(region);
  if (needsMatvec(region)) return matvecCandidates(region, capabilities);
  const halves = matrixCandidates(region, capabilities);
  const matrix = halves.length ? halves : pairCandidates(region, capabilities);
  const tiled = (t: Tile): Candidate => ({ name: tileName(t), write: () => writeTiled(region, capabilities, t) });
  const chosen = chooseTile(region, capabilities, p);
  const other = [...tiles, ...moreTiles].filter((t) => tileFits(t, region, capabilities, p)).map(tiled);
  if (matrix.length) return distinct([...matrix, ...other]);
  if (p.parts.count > 1) return distinct([tiled(chosen as Tile), ...other]);
  const matvec =
    matvecFits(p, region, capabilities) && !ridesOn(region, "a") ? matvecCandidates(region, capabilities) : [];
  const shared = settled(region, "tile", capabilities.software ? -1 : sharedTiles.indexOf(chosen as Tile));
  const direct = directCandidates(region, capabilities, p);
  const tile = region.uniform ? sharedTiles[shared] : chosen;
  const first = tile && !capabilities.software ? [tiled(tile)] : direct;
  if (region.uniform) return capabilities.software || matvec.length === 0 ? first : matvec;
  // Workgroup memory has no hardware on a CPU.
  if (capabilities.software) return distinct([...direct, ...matvec]);
  return distinct([...matvec, ...first, ...other, ...direct]);
}

/** The tile that the writer chooses by itself, then others. */
function directCandidates(region: Region, capabilities: Capabilities, p: Product): readonly Candidate[] {
  const chosen: Candidate = { name: "direct", write: () => writeDirect(region, capabilities) };
  const width = 4;
  if (region.uniform || p.n % width !== 0) return [chosen];
  const fits = directTiles.filter((t) => t.rows <= p.m && t.vectors * width <= p.n);
  return [
    chosen,
    ...fits.map((t) => ({
      name: `direct_${t.rows}x${t.vectors * width}`,
      write: () => writeDirect(region, capabilities, { ...t, width }),
    })),
  ];
}

/** Does the tile suit the product and the device's limits? */
function tileFits(t: Tile, region: Region, capabilities: Capabilities, p: Product): boolean {
  const { limits } = capabilities;
  const halfWords = !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  return (
    p.k > 0 &&
    p.m * p.n >= 256 &&
    !(halfWords && p.n % 4 !== 0) &&
    fitsLimits(t, limits) &&
    (p.parts.count === 1 || p.parts.depth % t.k === 0)
  );
}

function chooseTile(region: Region, capabilities: Capabilities, p: Product): Tile | undefined {
  const fits = (t: Tile): boolean => tileFits(t, region, capabilities, p);
  if (!region.uniform) return quickest({ m: p.m, n: p.n, depth: p.parts.depth, count: p.batches }, tiles, fits)?.tile;
  const groups = (t: Tile): number => Math.ceil(p.m / t.m) * Math.ceil(p.n / t.n) * p.batches;
  // The results of odd rows are stored one by one: texts that are shipped as they are stay short by the smallest tile.
  const enough = always(region, p.n % 4 === 0) ? enoughGroups : [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0];
  return sharedTiles.find((t, i) => fits(t) && groups(t) >= (enough[i] as number));
}
