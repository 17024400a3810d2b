import type { DType } from "../../src/base/dtype.ts";
import { halfRound } from "../../src/base/half.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { count, type NDArray } from "../../src/ir/ndarray.ts";

/** A small pseudo-random generator (mulberry32): the same numbers for the same seed everywhere. In [0, 1). */
export function randomOf(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Values that are exact in every dtype: floats are multiples of 1/8 from -4 to 4, i32 -8..8, u32 0..15. */
export function benign(dtype: DType, shape: readonly number[], random: () => number): NDArray {
  const data = new Float64Array(count(shape));
  for (let i = 0; i < data.length; i++) {
    const r = random();
    if (dtype === "bool") data[i] = r < 0.5 ? 0 : 1;
    else if (dtype === "u32") data[i] = Math.floor(r * 16);
    else if (dtype === "i32") data[i] = Math.floor(r * 17) - 8;
    else data[i] = (Math.floor(r * 65) - 32) / 8;
  }
  return { dtype, shape, data };
}

/** Benign values for every input of a graph. */
export function benignInputs(graph: Graph, seed = 1): Record<string, NDArray> {
  const random = randomOf(seed);
  return Object.fromEntries(
    graph.inputs.map((n) => [n.attrs.name as string, benign(n.type.dtype, n.type.shape as number[], random)]),
  );
}

/** Numbers on which equations of real arithmetic fail: zeros of both signs, infinities, NaN, the ends of each dtype's range. */
export const special: Readonly<Record<DType, readonly number[]>> = {
  f32: [0, -0, 1, -1, 0.5, -2.5, 3, 1e-30, -1e30, 3.4028234663852886e38, Infinity, -Infinity, NaN, 2 ** -149].map(
    Math.fround,
  ),
  f16: [0, -0, 1, -1, 0.5, -2.5, 3, halfRound(1e-5), -1000, 65504, Infinity, -Infinity, NaN, 2 ** -24],
  i32: [0, 1, -1, 2, 7, -8, 2 ** 31 - 1, -(2 ** 31), 31, 32],
  u32: [0, 1, 2, 7, 2 ** 31, 2 ** 32 - 1, 31, 32],
  bool: [0, 1],
};

/** The first element that differs by more than `tolerance` (NaN equals NaN), as text; undefined when there is none. */
export function difference(actual: NDArray, expected: NDArray, tolerance = 0): string | undefined {
  if (actual.dtype !== expected.dtype || String(actual.shape) !== String(expected.shape)) {
    return `${actual.dtype}[${actual.shape}] instead of ${expected.dtype}[${expected.shape}]`;
  }
  for (let i = 0; i < expected.data.length; i++) {
    const [a, e] = [actual.data[i] as number, expected.data[i] as number];
    if (a === e || (Number.isNaN(a) && Number.isNaN(e)) || Math.abs(a - e) <= tolerance) continue;
    return `element ${i} is ${a} instead of ${e} (tolerance ${tolerance})`;
  }
  return undefined;
}
