import type { DType } from "../base/dtype.ts";
import type { Shape } from "../ir/dim.ts";
import { add, mul } from "./binary.ts";
import { enter } from "./enter.ts";
import { oneOf, readOptions } from "./options.ts";
import { checkShape } from "./spec.ts";
import { node, type Tensor, wrap } from "./tensor.ts";
import { nextStream } from "./trace.ts";
import { cast } from "./unary.ts";

// All draw from Philox-4x32-10 (Salmon et al., 2011), a function of the seed, the position and the number of the call in its program.
const draw = (name: string, op: string, seed: Tensor, shape: Shape, attrs = {}): Tensor =>
  enter((b) => {
    const key = node(name, seed, "seed");
    return wrap(b.add(op, [key], { shape: checkShape(name, shape), stream: nextStream(name), ...attrs }));
  });

/** x * scale + offset in a float dtype. */
function place(name: string, x: Tensor, scale: number, offset: number, dtype: DType): Tensor {
  const scaled = scale === 1 ? x : mul(x, scale);
  const moved = offset === 0 ? scaled : add(scaled, offset);
  return cast(moved, oneOf(name, "dtype", dtype, ["f32", "f16"]));
}

/** 32 random bits an element (u32), a function of `seed` (u32[2]) and nothing else. */
export function randomBits(seed: Tensor, shape: Shape): Tensor {
  return draw("randomBits", "philox", seed, shape);
}

/** Options of {@link uniform}. */
export interface UniformOptions {
  /** The least value, 0 by default. */
  readonly low?: number;
  /** The end of the range, 1 by default. */
  readonly high?: number;
  /** f32 by default. */
  readonly dtype?: "f32" | "f16";
}

/** Random numbers evenly spread over [low, high), a function of `seed` (u32[2]). */
export function uniform(seed: Tensor, shape: Shape, options?: UniformOptions): Tensor {
  return enter(() => {
    const { low, high, dtype } = readOptions("uniform", options, { low: 0, high: 1, dtype: "f32" as "f32" | "f16" });
    return place("uniform", draw("uniform", "uniform", seed, shape), high - low, low, dtype);
  });
}

/** Options of {@link normal}. */
export interface NormalOptions {
  /** 0 by default. */
  readonly mean?: number;
  /** The standard deviation, 1 by default. */
  readonly std?: number;
  /** f32 by default. */
  readonly dtype?: "f32" | "f16";
}

/** Random numbers of the normal distribution by Box and Muller's transform, a function of `seed` (u32[2]). */
export function normal(seed: Tensor, shape: Shape, options?: NormalOptions): Tensor {
  return enter(() => {
    const { mean, std, dtype } = readOptions("normal", options, { mean: 0, std: 1, dtype: "f32" as "f32" | "f16" });
    return place("normal", draw("normal", "normal", seed, shape), std, mean, dtype);
  });
}

/** Options of {@link bernoulli}. */
export interface BernoulliOptions {
  /** The probability of true, 0.5 by default. */
  readonly p?: number;
}

/** Random booleans that are true with probability p, a function of `seed` (u32[2]). */
export function bernoulli(seed: Tensor, shape: Shape, options?: BernoulliOptions): Tensor {
  return enter(() => draw("bernoulli", "bernoulli", seed, shape, readOptions("bernoulli", options, { p: 0.5 })));
}
