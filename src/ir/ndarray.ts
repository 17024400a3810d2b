import type { DType } from "../base/dtype.ts";

/**
 * A tensor on the CPU as the interpreter sees it: every dtype is held in f64, row-major. Integers are exact, bool is
 * 0 or 1, f16 values are always representable in binary16; f32 values are not rounded (the interpreter is an f64 oracle).
 */
export interface NDArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export const count = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

export function ndarray(dtype: DType, shape: readonly number[], data?: ArrayLike<number>): NDArray {
  return { dtype, shape, data: data ? Float64Array.from(data) : new Float64Array(count(shape)) };
}

/** Row-major strides, in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  const s = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) s[i] = (s[i + 1] as number) * (shape[i + 1] as number);
  return s;
}

/** Calls `fn(index, linear)` for every element in row-major order; `index` is reused between calls. */
export function forEachIndex(shape: readonly number[], fn: (index: number[], linear: number) => void): void {
  const n = count(shape);
  const index = new Array<number>(shape.length).fill(0);
  for (let linear = 0; linear < n; linear++) {
    fn(index, linear);
    for (let i = shape.length - 1; i >= 0; i--) {
      index[i] = (index[i] as number) + 1;
      if ((index[i] as number) < (shape[i] as number)) break;
      index[i] = 0;
    }
  }
}
