import { fail } from "../base/diagnostic.ts";
import { resolveAxis } from "./axes.ts";
import { enter } from "./enter.ts";
import type { AxisOptions } from "./join.ts";
import { readOptions } from "./options.ts";
import { quotient } from "./sizes.ts";
import { node, type Tensor, wrap } from "./tensor.ts";

/** Into what {@link split} divides an axis: `parts` or `sizes`. */
export interface SplitOptions extends AxisOptions {
  /** The number of equal parts. */
  readonly parts?: number;
  /** The size of each part; they add up to the size of the axis. */
  readonly sizes?: readonly number[];
}

/** x cut along `axis` (0 by default) into `parts` equal parts or parts of given `sizes`, in order. */
export function split(x: Tensor, options: SplitOptions): Tensor[] {
  return enter((b) => {
    const arg = node("split", x);
    const { shape } = arg.type;
    const o = readOptions("split", options, { axis: 0, parts: undefined, sizes: undefined });
    const axis = resolveAxis("split", o.axis, shape.length);
    const n = shape[axis] as number;
    if ((o.parts === undefined) === (o.sizes === undefined)) {
      fail("bad-option", "split takes either parts or sizes", { hint: "write split(x, { axis: -1, parts: 3 })" });
    }
    const { parts } = o;
    const each =
      parts === undefined ? undefined : Number.isInteger(parts) && parts > 0 ? quotient([n], [parts]) : undefined;
    if (parts !== undefined && each === undefined) {
      fail("shape-mismatch", `split: axis ${axis} of ${x} cannot be cut into ${parts} equal parts`, {
        hint: `give a divisor of the axis size, or sizes: […]`,
      });
    }
    const sizes = o.sizes ? [...o.sizes] : new Array(parts).fill(each);
    return b.results(b.add("split", [arg], { axis, sizes })).map(wrap);
  });
}
