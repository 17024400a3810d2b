import type { Capabilities } from "../manifest/manifest.ts";

/**
 * A workgroup computes m × n elements, k at a time (all of them written out); an invocation rows × columns of them, in groups
 * of four. With several slices the k are divided among as many invocations for each element, whose sums meet at the end:
 * where workgroups are few, more invocations hide what each of them waits for.
 */
export interface Tile {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly rows: number;
  readonly columns: number;
  readonly slices?: number;
  /** Loads of the next step stand in no branch: nothing waits for them early, but they take more registers. */
  readonly eager?: boolean;
}

/** Workgroup memory of a tile's operands: lines are padded by two vectors after each four. */
export const tileBytes = (t: Tile): number => t.k * (t.m + t.n) * 4 + Math.floor(t.k / 4) * 2 * 2 * 16;
export const tileThreads = (t: Tile): number => (t.m / t.rows) * (t.n / t.columns) * (t.slices ?? 1);
export const tileName = (t: Tile): string =>
  `tile_${t.m}x${t.n}x${t.k}${t.slices && t.slices > 1 ? `_by${t.slices}` : ""}`;

export const fitsLimits = (t: Tile, limits: Capabilities["limits"]): boolean =>
  tileBytes(t) <= limits.maxComputeWorkgroupStorageSize && tileThreads(t) <= limits.maxComputeInvocationsPerWorkgroup;

/** How quick a tile is on the device that figures are from, an H200 of 132 multiprocessors. */
export interface Pace {
  /** TFLOP/s of a product that fills the device. */
  readonly tflops: number;
  /** So many workgroups of a multiprocessor run side by side and end at the same time. */
  readonly together: number;
  /** How many times its share of a full multiprocessor's time a workgroup takes that has one for itself. */
  readonly alone: number;
  /** Terms that it could do in the time in which it begins and ends. Default 0. */
  readonly ends?: number;
}

/** Tiles that products are computed by, fitted to times of the shapes of a transformer's training step. */
export const tiles: readonly (Tile & Pace)[] = [
  { m: 128, n: 128, k: 16, rows: 8, columns: 16, eager: true, tflops: 49.5, together: 2, alone: 2 },
  { m: 128, n: 96, k: 16, rows: 8, columns: 12, eager: true, tflops: 47, together: 2, alone: 1.6 },
  { m: 192, n: 96, k: 32, rows: 8, columns: 12, slices: 2, eager: true, tflops: 46.9, together: 1, alone: 1, ends: 92 },
  { m: 128, n: 64, k: 16, rows: 8, columns: 8, tflops: 45.5, together: 1, alone: 1.15 },
  { m: 96, n: 96, k: 16, rows: 8, columns: 12, slices: 2, eager: true, tflops: 39, together: 2, alone: 1.2 },
  { m: 64, n: 96, k: 16, rows: 8, columns: 12, slices: 2, eager: true, tflops: 44, together: 2, alone: 1.15 },
  { m: 64, n: 64, k: 32, rows: 8, columns: 8, slices: 2, eager: true, tflops: 44.5, together: 2, alone: 1.7 },
  { m: 64, n: 64, k: 16, rows: 8, columns: 8, slices: 2, eager: true, tflops: 42, together: 1, alone: 1.3 },
  { m: 32, n: 64, k: 32, rows: 8, columns: 8, slices: 4, eager: true, tflops: 40, together: 1, alone: 1.5 },
  { m: 32, n: 32, k: 16, rows: 4, columns: 4, tflops: 21, together: 1, alone: 1.5 },
];

type Sized = Pick<Tile, "m" | "n" | "k">;

const cores = 132;
/** Bytes a second that parts of a product are written and read at. */
const partsRate = 2e12;

/** A product of `count` matrices, parts of one among them, with `depth` terms each. */
export interface ProductSize {
  readonly m: number;
  readonly n: number;
  readonly depth: number;
  readonly count: number;
}

/** Seconds that a product takes by tiles of a kind, less what every kernel takes. */
function timeOf(t: Sized & Pace, p: ProductSize): number {
  const groups = Math.ceil(p.m / t.m) * Math.ceil(p.n / t.n) * p.count;
  const terms = Math.ceil(p.depth / t.k) * t.k + (t.ends ?? 0);
  const each = (2 * t.m * t.n * terms * cores) / (t.tflops * 1e12);
  const most = Math.ceil(groups / cores);
  const turns = most <= t.together ? Math.max(most, t.alone) : Math.ceil(groups / (cores * t.together)) * t.together;
  return each * Math.max(turns, t.alone);
}

/** Seconds to write and read the parts of a product beyond what its result takes. */
export const timeOfParts = (p: ProductSize, parts: number): number =>
  (p.m * p.n * (p.count / parts) * (parts - 1) * 4 * 2) / partsRate;

/** The quickest of the tiles that fit. */
export function quickest<T extends Sized & Pace>(
  p: ProductSize,
  list: readonly T[],
  fits: (t: T) => boolean,
): { readonly tile: T; readonly time: number } | undefined {
  let best: { readonly tile: T; readonly time: number } | undefined;
  for (const tile of list) {
    const time = timeOf(tile, p);
    if ((!best || time < best.time) && fits(tile)) best = { tile, time };
  }
  return best;
}
