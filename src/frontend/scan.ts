import { resolveAxis } from "./axes.ts";
import { enter } from "./enter.ts";
import { readOptions } from "./options.ts";
import { node, type Tensor, wrap } from "./tensor.ts";

/** Options of {@link cumSum}. */
export interface CumSumOptions {
  /** The axis to sum along; the last by default. */
  readonly axis?: number;
  /** Leave the element itself out of its sum; false by default. */
  readonly exclusive?: boolean;
  /** Sum from the end; false by default. */
  readonly reverse?: boolean;
}

/** The running sum along an axis. */
export function cumSum(x: Tensor, options?: CumSumOptions): Tensor {
  return enter((b) => {
    const arg = node("cumSum", x);
    const o = readOptions("cumSum", options, { axis: -1, exclusive: false, reverse: false });
    return wrap(b.add("cumSum", [arg], { ...o, axis: resolveAxis("cumSum", o.axis, arg.type.shape.length) }));
  });
}
