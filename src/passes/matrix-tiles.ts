import type { Capabilities } from "../manifest/manifest.ts";
import { type Pace, type ProductSize, quickest } from "./product-tiles.ts";

/** A workgroup computes m × n elements, k at a time, and each of its subgroups rows × columns of them. */
export interface MatrixTile {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly rows: number;
  readonly columns: number;
  /** Halves between lines of staged operands: with 8, lines of 16 rows lie in different banks. */
  readonly pad?: number;
  /** Loads the next tile into registers while this one is multiplied. Default true. */
  readonly prefetch?: boolean;
  /** Rows of tiles that are computed together, so that what they read stays in the cache. Default: at most 16. */
  readonly band?: number;
  /** The matrices of a step's depth are multiplied in a loop, which takes a third of the time to compile. Default false. */
  readonly looped?: boolean;
}

/** Of f32 as two halves; the next tile is always loaded ahead. */
export interface PairTile extends Omit<MatrixTile, "prefetch"> {
  /** Terms after which matrices are added to sums in registers: matrix units truncate where they add. A multiple of k. */
  readonly chunk: number;
}

/**
 * Of f32 that is stored as pairs of halves. With `direct`, fragments of the left operand are loaded from where it is stored, along whose
 * rows the sum must go; what is not is staged in workgroup memory. A chunk is a block's part of the sum.
 */
export interface StoredTile extends Omit<MatrixTile, "prefetch" | "looped" | "pad"> {
  readonly direct: boolean;
  /** The product of the upper halves comes first of the three. Which is quicker, was measured. */
  readonly upperFirst?: boolean;
}

/** Lanes of the subgroups, and rows, columns and depth of the matrices that devices of this capability have. */
export const lanes = 32;
export const unit = 16;

/** Tiles of halves, and how quick they are. */
export const matrixTiles: readonly (MatrixTile & Pace)[] = [
  { m: 128, n: 128, k: 32, rows: 64, columns: 64, looped: true, tflops: 325, together: 2, alone: 1.45, ends: 285 },
  { m: 128, n: 96, k: 32, rows: 64, columns: 48, looped: true, tflops: 268, together: 2, alone: 1.5, ends: 240 },
  { m: 128, n: 64, k: 32, rows: 64, columns: 32, looped: true, tflops: 216, together: 2, alone: 1.2, ends: 210 },
  { m: 64, n: 128, k: 32, rows: 32, columns: 64, looped: true, tflops: 223, together: 2, alone: 1.6, ends: 230 },
  { m: 64, n: 64, k: 64, rows: 32, columns: 32, tflops: 210, together: 2, alone: 1.25, ends: 300 },
  { m: 64, n: 64, k: 32, rows: 32, columns: 32, looped: true, tflops: 190, together: 1, alone: 1.4, ends: 190 },
  { m: 32, n: 64, k: 64, rows: 16, columns: 32, tflops: 146, together: 1, alone: 1.3, ends: 440 },
];

/** Tiles of f32 as two halves, and how quick they are. */
export const pairTiles: readonly (PairTile & Pace)[] = [
  { m: 128, n: 128, k: 32, rows: 32, columns: 64, chunk: 256, tflops: 79.8, together: 1, alone: 1, ends: 53 },
  { m: 64, n: 64, k: 64, rows: 32, columns: 32, chunk: 256, tflops: 42, together: 1, alone: 1.04, ends: 40 },
  { m: 64, n: 64, k: 32, rows: 16, columns: 32, chunk: 256, tflops: 52.5, together: 2, alone: 1.55, ends: 88 },
];

/**
 * Tiles of f32 that is stored as halves. A multiprocessor runs two workgroups side by side where neither has more than 24 KiB of workgroup
 * memory.
 */
export const storedTiles: readonly (StoredTile & Pace)[] = [
  { ...{ m: 128, n: 64, k: 64, rows: 32, columns: 64, direct: true }, tflops: 110, together: 2, alone: 1.6, ends: 150 },
  { ...{ m: 64, n: 64, k: 32, rows: 32, columns: 64, direct: true }, tflops: 93.7, together: 4, alone: 3.2, ends: 99 },
  {
    ...{ m: 128, n: 128, k: 32, rows: 32, columns: 64, direct: false, upperFirst: true },
    ...{ tflops: 105.6, together: 1, alone: 1, ends: 200 },
  },
  {
    ...{ m: 128, n: 64, k: 16, rows: 32, columns: 64, direct: false },
    tflops: 94.4,
    together: 2,
    alone: 1.21,
    ends: 95,
  },
];

export const matrixName = (t: MatrixTile): string => `matrix_${t.m}x${t.n}x${t.k}`;
export const pairName = (t: PairTile): string => `f16x3_${t.m}x${t.n}x${t.k}`;

export const storedName = (t: StoredTile): string => `f16x3_${t.m}x${t.n}x${t.k}_${t.direct ? "direct" : "staged"}`;

/** Any tile of matrices, whichever way it is staged. */
export type TileShape = Omit<MatrixTile, "prefetch">;

export const subgroupsOf = (t: TileShape): number => (t.m / t.rows) * (t.n / t.columns);
export const matrixThreads = (t: TileShape): number => subgroupsOf(t) * lanes;

/** Vectors between lines of results in workgroup memory: of four f32, two vectors apart. */
export const resultPitch = (t: Pick<MatrixTile, "columns">): number => t.columns / 4 + 2;
/** Vectors of four f32 that all subgroups' results of 16 rows take. */
export const stripVectors = (t: TileShape): number => subgroupsOf(t) * unit * resultPitch(t);

/** Vectors of eight halves that both operands take, whichever way they lie. */
function stagedVectors(t: TileShape): number {
  const pad = t.pad ?? 8;
  const side = (size: number): number => Math.max(size * (t.k + pad), t.k * (size + pad)) / 8;
  return side(t.m) + side(t.n);
}

/** The most workgroup memory that a tile of halves takes, in bytes. */
export const matrixBytes = (t: MatrixTile): number => 16 * Math.max(stagedVectors(t), stripVectors(t));

/** Vectors from one line of a staged operand to the next, where lines are along its outer side, and where they are those of fragments. */
export const linePitch = (size: number): number => size / 8 + 1;
export const fragmentPitch = 3;

/** Vectors of eight halves that one of the two tiles of a stored operand takes, whichever way it lies. */
export const storedVectors = (size: number, depth: number, inner: boolean): number =>
  inner ? (size / unit) * depth * fragmentPitch : depth * linePitch(size);

/** The most workgroup memory that a tile of stored halves takes, in bytes. */
export function storedBytes(t: StoredTile): number {
  const side = (size: number): number => 2 * Math.max(storedVectors(size, t.k, true), storedVectors(size, t.k, false));
  return 16 * Math.max((t.direct ? 0 : side(t.m)) + side(t.n), stripVectors(t));
}

/** Strips of 16 rows that go through workgroup memory at a time. */
export function stripsAtOnce(t: TileShape, staged = 2 * stagedVectors(t)): number {
  const room = Math.floor(staged / stripVectors(t));
  return [4, 2, 1].find((n) => n <= room && (t.rows / unit) % n === 0) ?? 1;
}

/** Length of the array that operands, two halves an element, and results take in turn. */
export const pairVectors = (t: PairTile): number => Math.max(2 * stagedVectors(t), stripVectors(t) * stripsAtOnce(t));

/** Workgroup memory of a tile of pairs in bytes, maxima of its subgroups included. */
export const pairBytes = (t: PairTile): number => 16 * pairVectors(t) + 8 * subgroupsOf(t);

/** Seconds that a product of f32 as halves takes by the quickest of its tiles. */
export const timeOfPairs = (p: ProductSize, limits: Capabilities["limits"]): number | undefined =>
  quickest(p, pairTiles, (t) => matrixFits(t, pairBytes(t), limits))?.time;

/** The same for operands that are stored as halves; `inner` if the left one's rows go along the sum. */
export const timeOfStored = (p: ProductSize, inner: boolean, limits: Capabilities["limits"]): number | undefined =>
  quickest(p, storedTiles, (t) => t.direct === inner && matrixFits(t, storedBytes(t), limits))?.time;

export const matrixFits = (t: TileShape, bytes: number, limits: Capabilities["limits"]): boolean =>
  bytes <= limits.maxComputeWorkgroupStorageSize && matrixThreads(t) <= limits.maxComputeInvocationsPerWorkgroup;
