import { fail } from "../../base/diagnostic.ts";
import { enter } from "../../frontend/enter.ts";
import { describe, isTensor, type Tensor } from "../../frontend/tensor.ts";
import { cast } from "../../frontend/unary.ts";
import { readNumber, readScalar, type Scalar, scalar } from "../scalar.ts";

/**
 * A value that depends on the number of updates made so far, from 0: of a number on the CPU, of a 0-d tensor (such as the
 * `step` of an optimiser's state) in the program, where it is data.
 */
export interface Schedule {
  (step: number): number;
  (step: Tensor): Scalar;
}

const { add, sub, mul, div, min, max, pow, cos, whereLess } = scalar;

/** A schedule of this formula; steps are f32 or numbers in it. */
const schedule = (formula: (step: Scalar) => Scalar): Schedule =>
  ((step: Scalar) => enter(() => formula(isTensor(step) ? readScalar("schedule", "step", step) : step))) as Schedule;

/** Part of the way from step 0 to step `steps`, 0 to 1. */
const progress = (step: Scalar, steps: number): Scalar => max(0, min(1, div(step, steps)));

const readSteps = (op: string, steps: number): number => readNumber(op, "steps", steps, 1);

/** The same value at every step; a 0-d tensor makes it data. */
export function constantRate(value: Scalar): Schedule {
  return schedule(() => value);
}

/** From value / steps at step 0 in equal parts up to value at step `steps` - 1, and on. */
export function linearWarmup(value: number, steps: number): Schedule {
  return enter(() => {
    readSteps("linearWarmup", steps);
    return schedule((step) => mul(progress(add(step, 1), steps), value));
  });
}

/** In a straight line from `from` at step 0 to `to` at step `steps`, and on. */
export function linearDecay(from: number, steps: number, to = 0): Schedule {
  return enter(() => {
    readSteps("linearDecay", steps);
    return schedule((step) => add(mul(progress(step, steps), to - from), from));
  });
}

/** Half a cosine from `from` at step 0 to `to` at step `steps`, and on. Loshchilov and Hutter, 2017, without restarts. */
export function cosineDecay(from: number, steps: number, to = 0): Schedule {
  return enter(() => {
    readSteps("cosineDecay", steps);
    return schedule((step) => add(mul(add(cos(mul(progress(step, steps), Math.PI)), 1), (from - to) / 2), to));
  });
}

/** {@link linearWarmup} over `warmup` steps, then {@link cosineDecay} to `to` at step `steps`. */
export function warmupCosine(value: number, warmup: number, steps: number, to = 0): Schedule {
  return enter(() => {
    if (!(warmup >= 1 && steps > warmup)) {
      fail("bad-option", `warmupCosine: ${describe(warmup)} of ${describe(steps)} steps`, {
        cause: "warm-up takes at least one step and fewer than there are",
        hint: "give the steps of the warm-up, then all steps",
      });
    }
    return joinSchedules([linearWarmup(value, warmup), cosineDecay(value, steps - warmup, to)], [warmup]);
  });
}

/** value * rate^(step / steps). */
export function exponentialDecay(value: number, rate: number, steps = 1): Schedule {
  return enter(() => {
    readNumber("exponentialDecay", "rate", rate);
    readSteps("exponentialDecay", steps);
    return schedule((step) => mul(pow(rate, div(step, steps)), value));
  });
}

/** values[i] from step boundaries[i - 1] on; one value more than boundaries. */
export function piecewise(values: readonly number[], boundaries: readonly number[]): Schedule {
  return enter(() => joinSchedules(values.map(constantRate), boundaries));
}

/** schedules[i] from step boundaries[i - 1] on, each with its steps counted from there. */
export function joinSchedules(schedules: readonly Schedule[], boundaries: readonly number[]): Schedule {
  return enter(() => {
    if (schedules.length !== boundaries.length + 1 || boundaries.some((b, i) => !(b > (boundaries[i - 1] ?? 0)))) {
      fail("bad-option", `joinSchedules: ${schedules.length} parts with boundaries [${boundaries.join(", ")}]`, {
        cause: "between each two parts there is one boundary, and boundaries rise",
        hint: "give one boundary fewer than parts, in rising order",
      });
    }
    return schedule((step) =>
      boundaries.reduceRight(
        (later, boundary, i) => whereLess(step, boundary, partOf(schedules, boundaries, i, step), later),
        partOf(schedules, boundaries, boundaries.length, step),
      ),
    );
  });
}

function partOf(parts: readonly Schedule[], boundaries: readonly number[], i: number, step: Scalar): Scalar {
  const start = boundaries[i - 1] ?? 0;
  const own = start === 0 ? step : sub(step, start);
  const part = parts[i] as (step: Scalar) => Scalar;
  return part(isTensor(own) ? cast(own, "f32") : own);
}
