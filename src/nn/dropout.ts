import { fail } from "../base/diagnostic.ts";
import { div, greater, greaterEqual, mul, sub, where } from "../frontend/binary.ts";
import { enter } from "../frontend/enter.ts";
import { constant } from "../frontend/leaf.ts";
import { readOptions } from "../frontend/options.ts";
import { uniform } from "../frontend/random.ts";
import { isTensor, type Tensor } from "../frontend/tensor.ts";
import { cast } from "../frontend/unary.ts";
import { readScalar, type Scalar } from "./scalar.ts";

/** What makes a forward pass random. */
export interface DropoutOptions {
  /** u32[2], another one each step. Without a seed nothing is dropped: inference. */
  readonly seed?: Tensor | undefined;
  /** The probability of 0: a number, or a 0-d tensor, which may change without compiling anything. */
  readonly rate?: Scalar;
}

/**
 * x with elements set to 0 at random and the others divided by 1 - rate, so that the mean stays (Srivastava et al., 2014).
 * Each call of a program draws from a stream of its own. The mask is a function of the seed, so backward computes it
 * again and nothing is kept. Without a seed, and at rate 0, it is x.
 * @throws SinterError `bad-option` for a rate outside 0 to 1, where it is a number
 */
export function dropout(x: Tensor, options?: DropoutOptions): Tensor {
  return enter(() => {
    const o = readOptions("dropout", options, { seed: undefined, rate: undefined });
    const rate = readScalar("dropout", "rate", o.rate ?? 0);
    if (typeof rate === "number" && !(rate >= 0 && rate <= 1)) {
      fail("bad-option", `dropout: rate is ${rate}`, {
        cause: "it is the probability that an element becomes 0",
        hint: "give a rate from 0 to 1",
      });
    }
    if (o.seed === undefined || rate === 0) return x;
    const p = isTensor(rate) ? rate : constant(rate);
    const kept = greaterEqual(uniform(o.seed, x.shape), p);
    // At rate 1 everything is dropped, and 0 times a scale of infinity would be NaN.
    const scale = where(greater(sub(1, p), 0), div(1, sub(1, p)), 0);
    return where(kept, mul(x, cast(scale, x.dtype)), 0);
  });
}
