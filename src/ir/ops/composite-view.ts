import { fail } from "../../base/diagnostic.ts";
import type { DType } from "../../base/dtype.ts";
import { type Dim, dimAdd, dimSub, dimText, isSym, type Shape, shapeText } from "../dim.ts";
import type { Attrs, GraphBuilder, Node, TensorType } from "../graph.ts";
import type { OpRow } from "../op.ts";
import { axesOf, axisOf, splice, tensorType } from "./axes.ts";
import { reshape, scalar, sliceAxis } from "./composite-helpers.ts";
import { mayEqual, requireInteger, requireRank, sameDType, sameShape, typeText } from "./infer.ts";

function squeezeShape(x: Shape, axes: readonly number[]): Shape {
  const bad = axes.find((i) => !mayEqual(x[i] as Dim, 1));
  if (bad !== undefined) {
    fail("shape-mismatch", `squeeze: axis ${bad} of ${shapeText(x)} has size ${dimText(x[bad] as Dim)}, not 1`, {
      cause: "only axes of size 1 can be dropped",
      hint: "name axes of size 1, or use reshape",
    });
  }
  return x.filter((_, i) => !axes.includes(i));
}

function flip(b: GraphBuilder, x: Node, axes: readonly number[]): Node {
  const { shape } = x.type;
  return b.add("slice", [x], {
    starts: shape.map((n, i) => (axes.includes(i) ? dimSub(n, 1) : 0)),
    steps: shape.map((_, i) => (axes.includes(i) ? -1 : 1)),
    sizes: shape,
  });
}

function splitTypes(x: TensorType, a: Attrs): readonly TensorType[] {
  const axis = axisOf("split", a.axis, x.shape);
  const sizes = a.sizes as Shape;
  const total = sizes.reduce(dimAdd, 0);
  if (sizes.length === 0 || sizes.some((s) => !isSym(s) && s < 0) || !mayEqual(total, x.shape[axis] as Dim)) {
    fail("shape-mismatch", `split: sizes ${shapeText(sizes)} do not divide axis ${axis} of ${typeText(x)}`, {
      cause: `they add up to ${dimText(total)}, the axis has ${dimText(x.shape[axis] as Dim)} elements`,
      hint: "give sizes that add up to the axis",
    });
  }
  return sizes.map((s) => ({ dtype: x.dtype, shape: splice(x.shape, axis, 1, s) }));
}

function stackType(xs: readonly TensorType[], a: Attrs): TensorType {
  const first = xs[0] ?? fail("bad-arguments", "stack takes at least one tensor", { hint: "give it a tensor" });
  const dtype = sameDType("stack", ...xs);
  const shape = xs.reduce((s, t) => sameShape("stack", s, t.shape, "the tensors"), first.shape);
  const axis = axisOf("stack", a.axis, [...shape, 1]);
  return tensorType("stack", dtype, splice(shape, axis, 0, xs.length));
}

const oneHotAxis = (x: Shape, a: Attrs): number =>
  typeof a.axis === "number" ? axisOf("oneHot", a.axis, [...x, 1]) : x.length;

function oneHot(b: GraphBuilder, ids: Node, a: Attrs): Node {
  const dtype = (a.dtype as DType | undefined) ?? "f32";
  const axis = oneHotAxis(ids.type.shape, a);
  const depth = a.depth as Dim;
  const shape = splice(ids.type.shape, axis, 0, depth);
  const classes = b.add("iota", [], {
    axis,
    dtype: ids.type.dtype,
    shape: shape.map((d, i) => (i === axis ? d : 1)),
  });
  const id = reshape(b, ids, splice(ids.type.shape, axis, 0, 1));
  const hit = b.add("equal", [id, classes]);
  const any =
    ids.type.dtype === "u32"
      ? hit
      : b.add("or", [hit, b.add("equal", [id, b.add("sub", [classes, depthOf(b, depth)])])]);
  return b.add("where", [any, b.const((a.on as number) ?? 1, dtype), b.const((a.off as number) ?? 0, dtype)]);
}

/** A size as an i32 scalar. */
const depthOf = (b: GraphBuilder, depth: Dim): Node =>
  isSym(depth)
    ? fail("unbound-dim", `oneHot: depth ${dimText(depth)} has no size here`, { hint: "bind it before decomposing" })
    : b.const(depth, "i32");

function triangular(b: GraphBuilder, x: Node, a: Attrs): Node {
  const shape = x.type.shape.slice(-2);
  const [m, n] = shape as [Dim, Dim];
  const row = b.add("iota", [], { axis: 0, dtype: "i32", shape: [m, 1] });
  const column = b.add("iota", [], { axis: 1, dtype: "i32", shape: [1, n] });
  const edge = a.diagonal ? b.add("add", [row, b.const(a.diagonal as number, "i32")]) : row;
  const kept = b.add(a.upper ? "greaterEqual" : "lessEqual", [column, edge]);
  return b.add("where", [kept, x, scalar(b, 0, x)]);
}

export const viewComposites: readonly OpRow[] = [
  {
    name: "squeeze",
    kind: "composite",
    params: ["x"],
    attrs: { axes: { type: "ints", doc: "axes of size 1 to drop, ascending" } },
    doc: "Drops axes of size 1. Any dtype.",
    infer: ([t], a) => {
      const x = t as TensorType;
      return { dtype: x.dtype, shape: squeezeShape(x.shape, axesOf("squeeze", a.axes, x.shape)) };
    },
    decompose: (b, [x], a) =>
      b.add("reshape", [x as Node], { shape: squeezeShape((x as Node).type.shape, a.axes as number[]) }),
    accuracy: { ulp: 0 },
  },
  {
    name: "flip",
    kind: "composite",
    params: ["x"],
    attrs: { axes: { type: "ints", doc: "axes to reverse, ascending" } },
    doc: "Reverses the order of the elements along axes. Any dtype.",
    infer: ([x], a) => {
      axesOf("flip", a.axes, (x as TensorType).shape);
      return x as TensorType;
    },
    decompose: (b, [x], a) => flip(b, x as Node, a.axes as number[]),
    accuracy: { ulp: 0 },
  },
  {
    name: "split",
    kind: "composite",
    params: ["x"],
    attrs: {
      axis: { type: "int", doc: "axis to cut" },
      sizes: { type: "shape", doc: "size of each part; they add up to the axis" },
    },
    doc: "Cuts x along an axis into parts, one result for each size. Any dtype.",
    infer: ([x], a) => splitTypes(x as TensorType, a),
    decompose: (b, [x], a) => {
      let start: Dim = 0;
      return (a.sizes as Shape).map((size) => {
        const part = sliceAxis(b, x as Node, a.axis as number, start, size);
        start = dimAdd(start, size);
        return part;
      });
    },
    accuracy: { ulp: 0 },
  },
  {
    name: "stack",
    kind: "composite",
    params: ["...xs"],
    attrs: { axis: { type: "int", doc: "position of the new axis in the result" } },
    doc: "Joins tensors of one dtype and shape along a new axis.",
    infer: stackType,
    decompose: (b, xs, a) =>
      b.add(
        "concat",
        xs.map((x) => b.add("reshape", [x], { shape: splice(x.type.shape, a.axis as number, 0, 1) })),
        { axis: a.axis },
      ),
    accuracy: { ulp: 0 },
  },
  {
    name: "oneHot",
    kind: "composite",
    params: ["indices"],
    attrs: {
      depth: { type: "dim", doc: "number of classes" },
      axis: { type: "int", doc: "position of the class axis in the result; absent: last", default: null },
      dtype: { type: "dtype", doc: "dtype of the result", default: "f32" },
      on: { type: "float", doc: "value where the class is the index", default: 1 },
      off: { type: "float", doc: "value elsewhere", default: 0 },
    },
    doc: "A new axis of `depth` classes holding `on` at the index and `off` elsewhere. Indices are i32 or u32; -depth..-1 count from the end; others match no class.",
    infer: ([t], a) => {
      const x = t as TensorType;
      requireInteger("oneHot", x, "indices");
      const shape = splice(x.shape, oneHotAxis(x.shape, a), 0, a.depth as Dim);
      return tensorType("oneHot", (a.dtype as DType | undefined) ?? "f32", shape);
    },
    decompose: (b, [x], a) => oneHot(b, x as Node, a),
    accuracy: { ulp: 0 },
  },
  {
    name: "triangular",
    kind: "composite",
    params: ["x"],
    attrs: {
      upper: { type: "bool", doc: "keep the upper triangle, else the lower", default: true },
      diagonal: {
        type: "int",
        doc: "diagonal that bounds the triangle: 0 the main one, 1 the one above it",
        default: 0,
      },
    },
    doc: "x [..., M, N] with zeros outside a triangle: upper keeps j - i >= diagonal, lower keeps j - i <= diagonal. Any dtype.",
    infer: ([x]) => {
      requireRank("triangular", x as TensorType, 2);
      return x as TensorType;
    },
    decompose: (b, [x], a) => triangular(b, x as Node, { ...a, upper: a.upper ?? true }),
    accuracy: { ulp: 0 },
  },
];
