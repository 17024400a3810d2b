import type { DType } from "../../base/dtype.ts";
import { count } from "../ndarray.ts";

/** For every element of a row-major array: the position of its result in the array reduced over `axes`. */
export function reducedPositions(shape: readonly number[], axes: readonly number[]): Int32Array {
  let positions = new Int32Array(1);
  let stride = count(shape.filter((_, i) => !axes.includes(i)));
  shape.forEach((n, axis) => {
    const kept = !axes.includes(axis);
    if (kept) stride = n === 0 ? 0 : stride / n;
    const next = new Int32Array(positions.length * n);
    let k = 0;
    for (const p of positions) for (let j = 0; j < n; j++) next[k++] = kept ? p + j * stride : p;
    positions = next;
  });
  return positions;
}

const extremes: Readonly<Record<DType, { readonly least: number; readonly greatest: number }>> = {
  f32: { least: Number.NEGATIVE_INFINITY, greatest: Number.POSITIVE_INFINITY },
  f16: { least: Number.NEGATIVE_INFINITY, greatest: Number.POSITIVE_INFINITY },
  i32: { least: -(2 ** 31), greatest: 2 ** 31 - 1 },
  u32: { least: 0, greatest: 2 ** 32 - 1 },
  bool: { least: 0, greatest: 1 },
};
export const leastOf = (dtype: DType): number => extremes[dtype].least;
export const greatestOf = (dtype: DType): number => extremes[dtype].greatest;

/** Brings an exact integer back into its dtype's range as 32-bit arithmetic does; floats pass through. */
export const wrap = (dtype: DType, x: number): number => (dtype === "i32" ? x | 0 : dtype === "u32" ? x >>> 0 : x);

export type Combine = (a: number, b: number, dtype: DType) => number;

/** Binary meanings that reductions, scans and scatters share, in f64 and in wrapping integers. */
export const combines: Readonly<Record<"add" | "mul" | "min" | "max" | "and" | "or", Combine>> = {
  add: (a, b, t) => wrap(t, a + b),
  mul: (a, b, t) => (t === "i32" || t === "u32" ? wrap(t, Math.imul(a, b)) : a * b),
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
};
