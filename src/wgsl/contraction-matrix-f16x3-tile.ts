import { type MatrixTile, resultPitch, subgroupsOf, unit } from "./contraction-matrix.ts";

/** As of halves; the next tile is always loaded ahead. */
export interface PairTile extends Omit<MatrixTile, "prefetch"> {
  /** Terms after which matrices are added to sums in registers: matrix units truncate where they add. A multiple of k. */
  readonly chunk: number;
}

/** The variant's name. */
export const pairName = (t: PairTile): string => `f16x3_${t.m}x${t.n}x${t.k}`;

/** Vectors of four f32 that all subgroups' results of 16 rows take. */
export const stripVectors = (t: PairTile): number => subgroupsOf(t) * unit * resultPitch(t);

/** Vectors of eight halves that both operands take, whichever way they lie: two halves an element. */
function stagedVectors(t: PairTile): number {
  const pad = t.pad ?? 8;
  const side = (size: number): number => 2 * (Math.max(size * (t.k + pad), t.k * (size + pad)) / 8);
  return side(t.m) + side(t.n);
}

/** Strips of 16 rows that go through workgroup memory at a time. */
export function stripsAtOnce(t: PairTile): number {
  const room = Math.floor(stagedVectors(t) / stripVectors(t));
  return [4, 2, 1].find((n) => n <= room && (t.rows / unit) % n === 0) ?? 1;
}

/** Length of the array that operands and results take in turn. */
export const pairVectors = (t: PairTile): number => Math.max(stagedVectors(t), stripVectors(t) * stripsAtOnce(t));

/** Workgroup memory of the tile, maxima of its subgroups included. */
export const pairBytes = (t: PairTile): number => 16 * pairVectors(t) + 8 * subgroupsOf(t);
