import type { DType } from "../../src/base/dtype.ts";
import { halfRound, toHalfBits } from "../../src/base/half.ts";

const f32 = new Float32Array(1);
const i32 = new Int32Array(f32.buffer);

function f32Order(x: number): number {
  f32[0] = x;
  const bits = i32[0] as number;
  return bits < 0 ? -(bits & 0x7fffffff) : bits;
}

function f16Order(x: number): number {
  const bits = toHalfBits(x);
  return bits & 0x8000 ? -(bits & 0x7fff) : bits;
}

/** Rounds an exact value to what a tensor of this dtype can hold. Integers and bool are exact already. */
export function roundTo(dtype: DType, x: number): number {
  return dtype === "f32" ? Math.fround(x) : dtype === "f16" ? halfRound(x) : x;
}

/**
 * How many representable values of the dtype lie between two numbers, both rounded to it first. Zeros of either sign are
 * equal, NaN equals NaN and is infinitely far from everything else. For integers and bool: the absolute difference.
 */
export function ulpDistance(dtype: DType, a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) && Number.isNaN(b) ? 0 : Number.POSITIVE_INFINITY;
  if (a === b) return 0;
  if (dtype === "f32") return Math.abs(f32Order(a) - f32Order(b));
  if (dtype === "f16") return Math.abs(f16Order(a) - f16Order(b));
  return Math.abs(a - b);
}

/** The distance from |x| to the next larger representable value of the dtype. */
export function ulpOf(dtype: DType, x: number): number {
  const [bits, least] = dtype === "f16" ? [10, -14] : [23, -126];
  const a = Math.abs(x);
  if (!Number.isFinite(a)) return Number.POSITIVE_INFINITY;
  const e = a === 0 ? least : Math.max(least, Math.floor(Math.log2(a)));
  return 2 ** (e - bits);
}
