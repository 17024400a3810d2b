import { fail } from "../base/diagnostic.ts";
import { type Shape, shapeText } from "../ir/dim.ts";
import { type GraphBuilder, type Node, typeText } from "../ir/graph.ts";
import { enter } from "./enter.ts";
import { readOptions } from "./options.ts";
import { checkShape } from "./spec.ts";
import { describe, isTensor, lift, node, type Tensor, wrap } from "./tensor.ts";

/** Where a block begins, one entry for each axis: integers from 0, or scalars (i32, u32) known when the program runs. */
export type Starts = readonly (Tensor | number)[];

/** Which block {@link dynamicSlice} takes. */
export interface DynamicSliceOptions {
  readonly starts: Starts;
  /** The result's shape. */
  readonly sizes: Shape;
}

/** Where {@link dynamicUpdateSlice} writes. */
export interface DynamicUpdateSliceOptions {
  readonly starts: Starts;
}

/** The nodes of the starts. A negative number is refused: a negative scalar is clamped to 0, and one meaning is enough. */
function startNodes(op: string, b: GraphBuilder, x: Node, starts: Starts | undefined): Node[] {
  const { shape } = x.type;
  if (!Array.isArray(starts) || starts.length !== shape.length) {
    const got = Array.isArray(starts) ? `${starts.length} starts` : describe(starts);
    fail("bad-option", `${op}: starts are ${got} for ${typeText(x.type)} of rank ${shape.length}`, {
      hint: `give one number or scalar for each axis, as in { starts: [${shape.map(() => 0).join(", ")}] }`,
    });
  }
  return (starts as Starts).map((s, i) => {
    if (isTensor(s)) return s.node;
    if (typeof s === "number" && Number.isInteger(s) && s >= 0) return lift(op, b, s, "i32");
    return fail("bad-option", `${op}: the start of axis ${i} of ${shapeText(shape)} is ${describe(s)}`, {
      cause: "a start is an integer from 0, or a scalar of dtype i32 or u32",
      hint: "count from the end yourself: x.size(axis) - n",
    });
  });
}

/**
 * The block of x of `sizes` that begins at `starts`, which may be data: `dynamicSlice(x, { starts: [t, 0], sizes: [1, 8] })`. Starts
 * are clamped so that the block lies inside x, as XLA does.
 */
export function dynamicSlice(x: Tensor, options: DynamicSliceOptions): Tensor {
  return enter((b) => {
    const op = "dynamicSlice";
    const arg = node(op, x);
    const { starts, sizes } = readOptions(op, options, { starts: undefined, sizes: undefined });
    const shape = checkShape(op, sizes as Shape);
    return wrap(b.add(op, [arg, ...startNodes(op, b, arg, starts)], { sizes: shape }));
  });
}

/**
 * x with the block that begins at `starts` replaced by `update`, a tensor of x's dtype and rank. Starts are as in
 * {@link dynamicSlice}. Of a donated input that is returned under its own name only the block is written.
 */
export function dynamicUpdateSlice(x: Tensor, update: Tensor, options: DynamicUpdateSliceOptions): Tensor {
  return enter((b) => {
    const op = "dynamicUpdateSlice";
    const [arg, block] = [node(op, x), node(op, update, "update")];
    const { starts } = readOptions(op, options, { starts: undefined });
    return wrap(b.add(op, [arg, block, ...startNodes(op, b, arg, starts)]));
  });
}
