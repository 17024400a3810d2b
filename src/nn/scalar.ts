import { fail } from "../base/diagnostic.ts";
import { add, div, mul, pow, sub, where } from "../frontend/binary.ts";
import { constant } from "../frontend/leaf.ts";
import { max, min } from "../frontend/reductions.ts";
import { describe, isTensor, type Tensor, type TensorLike } from "../frontend/tensor.ts";
import { cast, cos, sqrt } from "../frontend/unary.ts";

/** A number, which is part of the program, or a 0-d tensor, which is data: it may change without compiling anything. */
export type Scalar = number | Tensor;

const two =
  (host: (x: number, y: number) => number, op: (x: TensorLike, y: TensorLike) => Tensor) =>
  (x: Scalar, y: Scalar): Scalar =>
    typeof x === "number" && typeof y === "number" ? host(x, y) : op(x, y);

const one =
  (host: (x: number) => number, op: (x: Tensor) => Tensor) =>
  (x: Scalar): Scalar =>
    typeof x === "number" ? host(x) : op(x);

/** One arithmetic for numbers and tensors: on the CPU between numbers, an op as soon as a tensor takes part. */
export const scalar = {
  add: two((x, y) => x + y, add),
  sub: two((x, y) => x - y, sub),
  mul: two((x, y) => x * y, mul),
  div: two((x, y) => x / y, div),
  pow: two((x, y) => x ** y, pow),
  min: two(Math.min, min),
  max: two(Math.max, max),
  cos: one(Math.cos, cos),
  sqrt: one(Math.sqrt, sqrt),
  /** `a` where x < y, else `b`. */
  whereLess(x: Scalar, y: Scalar, a: Scalar, b: Scalar): Scalar {
    if (typeof x === "number" && typeof y === "number") return x < y ? a : b;
    const less = isTensor(x) ? x.less(y) : (y as Tensor).greater(x);
    return where(less, isTensor(a) || isTensor(b) ? a : constant(a), b);
  },
};

/**
 * An option that is a number or a 0-d tensor, in f32.
 * @throws SinterError `bad-option`, `rank-mismatch`
 */
export function readScalar(op: string, name: string, value: unknown): Scalar {
  if (isTensor(value)) {
    if (value.rank !== 0) {
      fail("rank-mismatch", `${op}: ${name} is ${value}, not one number`, {
        cause: "one value serves all parameters",
        hint: `declare it as f32(), or reshape it: ${name}: x.reshape([])`,
      });
    }
    return value.dtype === "f32" ? value : cast(value, "f32");
  }
  if (typeof value === "number" && !Number.isNaN(value)) return value;
  return fail("bad-option", `${op}: ${name} is ${describe(value)}, not a number or a 0-d tensor`, {
    hint: `give ${name}: 0.01, or an input declared as f32()`,
  });
}

/**
 * An option that is part of the program: a number from `low` up to but not including `high`.
 * @throws SinterError `bad-option`
 */
export function readNumber(op: string, name: string, value: number, low = 0, high = Number.POSITIVE_INFINITY): number {
  if (typeof value === "number" && value >= low && value < high) return value;
  const range = high === Number.POSITIVE_INFINITY ? `of at least ${low}` : `from ${low} up to, but not, ${high}`;
  return fail("bad-option", `${op}: ${name} is ${describe(value)}, not a number ${range}`, {
    cause: `${name} is part of the program`,
    hint: `give ${name} a number ${range}`,
  });
}
