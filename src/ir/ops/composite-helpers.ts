import { fail } from "../../base/diagnostic.ts";
import type { DType } from "../../base/dtype.ts";
import { type Dim, type Shape, shapeEqual, shapeText } from "../dim.ts";
import type { Attrs, GraphBuilder, Node, TensorType } from "../graph.ts";
import type { AttrSpec } from "../op.ts";
import { range } from "./axes.ts";
import { mayEqual, typeText } from "./infer.ts";
import { sliceAttrs } from "./view.ts";

export const cast = (b: GraphBuilder, x: Node, dtype: DType): Node =>
  x.type.dtype === dtype ? x : b.add("cast", [x], { dtype });

/** Computes in f32 what is given in f16, and rounds once at the end. */
export function inF32(b: GraphBuilder, x: Node, fn: (x: Node) => Node): Node {
  const { dtype } = x.type;
  return dtype === "f16" ? cast(b, fn(cast(b, x, "f32")), "f16") : fn(x);
}

/** A scalar of the dtype of `like`. */
export const scalar = (b: GraphBuilder, value: number, like: Node): Node => b.const(value, like.type.dtype);

export const reduceOver = (b: GraphBuilder, op: string, x: Node, axes: readonly number[], keepDims: boolean): Node =>
  b.add(op, [x], { axes, keepDims });

export const reshape = (b: GraphBuilder, x: Node, shape: Shape): Node =>
  shapeEqual(shape, x.type.shape) ? x : b.add("reshape", [x], { shape });

export const transpose = (b: GraphBuilder, x: Node, perm: readonly number[]): Node =>
  perm.every((p, i) => p === i) ? x : b.add("transpose", [x], { perm });

/** `size` elements of one axis of x from `start`. */
export const sliceAxis = (b: GraphBuilder, x: Node, axis: number, start: Dim, size: Dim, step = 1): Node =>
  b.add("slice", [x], sliceAttrs(x.type.shape, axis, start, size, step));

/**
 * A tensor of the sizes of `axes` of a tensor of rank `rank`, in the order of `axes`, as a tensor that broadcasts against
 * it.
 */
export function alongAxes(b: GraphBuilder, p: Node, axes: readonly number[], rank: number): Node {
  const order = range(axes.length).sort((i, j) => (axes[i] as number) - (axes[j] as number));
  const sorted = transpose(b, p, order);
  const shape = range(rank).map((axis): Dim => {
    const at = axes.indexOf(axis);
    return at < 0 ? 1 : (p.type.shape[at] as Dim);
  });
  return reshape(b, sorted, shape);
}

/** The attribute of rows with optional parameters. */
export const has: AttrSpec = {
  type: "ints",
  doc: "which of the optional parameters are given, counted from 0; absent: the first ones, as many as there are",
  default: null,
};

/** The optional parameters of a row, undefined where absent. @throws SinterError `bad-arguments` */
export function optionals<T>(
  op: string,
  args: readonly T[],
  attrs: Attrs,
  required: number,
  names: readonly string[],
): (T | undefined)[] {
  const given = args.slice(required);
  const which = (attrs.has as readonly number[] | null | undefined) ?? range(given.length);
  const ascending = which.every((w, i) => w >= 0 && w < names.length && (i === 0 || w > (which[i - 1] as number)));
  if (args.length < required || which.length !== given.length || !ascending) {
    fail("bad-arguments", `${op} takes ${required} arguments and then ${names.join(", ")}, but got ${args.length}`, {
      cause: `attribute has is [${which.join(", ")}]`,
      hint: "list in has the position of each optional argument that is given, ascending",
    });
  }
  return names.map((_, i) => (which.includes(i) ? given[which.indexOf(i)] : undefined));
}

/** Refuses a parameter whose dtype is neither that of x nor f32, or whose shape is not `shape`. */
export function requireParam(op: string, name: string, p: TensorType | undefined, x: TensorType, shape: Shape): void {
  if (!p) return;
  if (p.dtype !== x.dtype && p.dtype !== "f32") {
    fail("dtype-mismatch", `${op}: ${name} is ${typeText(p)} and x is ${typeText(x)}`, {
      cause: `${name} has the dtype of x or f32`,
      hint: `cast(${name}, "${x.dtype}")`,
    });
  }
  if (p.shape.length !== shape.length || p.shape.some((d, i) => !mayEqual(d, shape[i] as Dim))) {
    fail("shape-mismatch", `${op}: ${name} is ${typeText(p)} and x is ${typeText(x)}`, {
      cause: `${name} must have shape ${shapeText(shape)}`,
      hint: `reshape ${name} to ${shapeText(shape)}`,
    });
  }
}

export const epsilon: AttrSpec = { type: "float", doc: "added to the variance", default: 1e-5 };
export const epsilonOf = (a: Attrs): number => (a.epsilon as number | undefined) ?? 1e-5;
