import { halfRound } from "../../../src/base/half.ts";
import type { KernelDefinition, KernelDType } from "../../../src/index.ts";

/** Sizes and scalars of a call by name. */
export type Sizes = Readonly<Record<string, number>>;
/** Elements of tensors by name, exact. */
export type Values = Readonly<Record<string, Float64Array>>;

/** How a tensor's elements are drawn: uniformly from low up to high, or by a function of the place. */
export type Draw = readonly [low: number, high: number] | ((i: number, random: () => number, d: Sizes) => number);

/** A kernel of the library with what it must compute, written as loops that know nothing of the tensor language. */
export interface KernelCase {
  // biome-ignore lint/suspicious/noExplicitAny: kernels of all signatures
  readonly kernel: KernelDefinition<any>;
  /** Dispatches of a call; 1 unless given. */
  readonly steps?: number;
  readonly scalars?: Sizes;
  /** Small sizes: odd, prime, of one, of fours. */
  readonly sizes: readonly Sizes[];
  /** Sizes for adapters alone, where the interpreter would take too long. */
  readonly large?: readonly Sizes[];
  readonly draw?: Readonly<Record<string, Draw>>;
  /** Each output's elements. `round` is the rounding of the dtype that the kernel is built for. */
  reference(x: Values, d: Sizes, round: (v: number) => number): Values;
  /** What f32 arithmetic may lose, relative to 1 + |element|. */
  readonly tolerance?: (d: Sizes) => number;
}

export const roundingOf = (dtype: KernelDType): ((v: number) => number) => (dtype === "f16" ? halfRound : Math.fround);

/** Elements i = 0 … n - 1 of a function. */
export const filled = (n: number, f: (i: number) => number): Float64Array =>
  Float64Array.from({ length: n }, (_, i) => f(i));

/** Sum of f(i) for i = 0 … n - 1. */
export function total(n: number, f: (i: number) => number): number {
  let s = 0;
  for (let i = 0; i < n; i++) s += f(i);
  return s;
}

export const at = (x: Float64Array | undefined, i: number): number => (x as Float64Array)[i] as number;

/** A size or scalar that the case gives. */
export const of = (d: Sizes, name: string): number => d[name] as number;

/** One object for each combination in a table of `names`. */
export const sizesOf = (names: string, ...rows: readonly (readonly number[])[]): Sizes[] =>
  rows.map((row) => Object.fromEntries(names.split(" ").map((name, i) => [name, row[i] as number])));

export const rowSizes = sizesOf(
  "rows cols",
  [1, 1],
  [1, 2],
  [2, 3],
  [3, 5],
  [5, 4],
  [7, 16],
  [2, 33],
  [9, 64],
  [4, 127],
  [3, 256],
  [2, 1000],
  [1, 2053],
);
export const manyRows = sizesOf("rows cols", [70_001, 3], [66_000, 4], [3, 8200]);
export const flatSizes = sizesOf(
  "n",
  [1],
  [2],
  [3],
  [4],
  [5],
  [7],
  [8],
  [63],
  [64],
  [65],
  [257],
  [1000],
  [1021],
  [4096],
);
/** For reductions of all elements, which take a thousand workgroups however few there are. */
export const wholeSizes = sizesOf("n", [3], [5003]);
export const manyElements = sizesOf("n", [65_537], [262_144], [300_007]);
