import { fail } from "../base/diagnostic.ts";
import type { Node } from "../ir/graph.ts";
import { resolveAxis } from "./axes.ts";
import { enter } from "./enter.ts";
import { readOptions } from "./options.ts";
import { describe, node, type Tensor, wrap } from "./tensor.ts";

/** Options of ops along one axis. */
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
