import { fail } from "../base/diagnostic.ts";
import type { Node } from "../ir/graph.ts";
import { resolveAxis } from "./axes.ts";
import { enter } from "./enter.ts";
import { readOptions } from "./options.ts";
import { quotient } from "./sizes.ts";
import { describe, node, type Tensor, wrap } from "./tensor.ts";

export interface AxisOptions {
  /** An axis, a negative one counting from the end. */
  readonly axis?: number;
}

function list(op: string, xs: readonly Tensor[]): Node[] {
  if (!Array.isArray(xs) || xs.length === 0) {
    fail(
      "not-a-tensor",
      `${op} takes an array of tensors, not ${Array.isArray(xs) ? "an empty array" : describe(xs)}`,
      {
        hint: `write ${op}([a, b])`,
      },
    );
  }
  return xs.map((x, i) => node(op, x, `element ${i}`));
}

/** Tensors of equal sizes but for `axis` (0 by default), one after the other along it. */
export function concat(xs: readonly Tensor[], options?: AxisOptions): Tensor {
  return enter((b) => {
    const args = list("concat", xs);
    const { axis } = readOptions("concat", options, { axis: 0 });
    return wrap(b.add("concat", args, { axis: resolveAxis("concat", axis, (args[0] as Node).type.shape.length) }));
  });
}

/** Tensors of one shape along a new axis at position `axis` (0 by default) of the result. */
export function stack(xs: readonly Tensor[], options?: AxisOptions): Tensor {
  return enter((b) => {
    const args = list("stack", xs);
    const { axis } = readOptions("stack", options, { axis: 0 });
    return wrap(b.add("stack", args, { axis: resolveAxis("stack", axis, (args[0] as Node).type.shape.length + 1) }));
  });
}

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
