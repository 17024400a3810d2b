import { type Dim, isSym, type Shape, shapeSize } from "../dim.ts";
import type { GraphBuilder, Node } from "../graph.ts";
import type { Adjoint, Derivative } from "../op.ts";
import { range, splice } from "../ops/axes.ts";
import { cast, reshape, scalar } from "../ops/composite-helpers.ts";
import { zeros } from "./helpers.ts";
import { productOfOthers } from "./structural-reduction.ts";

/** Sizes of an axis, or of several as a vector along the last axis of index tuples. */
function sizesOf(b: GraphBuilder, sizes: Shape, dtype: "i32" | "u32"): Node {
  const one = (d: Dim): Node => (isSym(d) ? b.add("elementCount", [], { shape: [d], dtype }) : b.const(d, dtype));
  if (sizes.length === 1) return one(sizes[0] as Dim);
  if (!sizes.some(isSym)) return b.add("literal", [], { data: sizes, dtype, shape: [sizes.length] });
  return b.add("stack", sizes.map(one), { axis: 0 });
}

/**
 * Indices as a gather reads them, for a scatter: both count negative ones from the end, but a gather clamps what is outside
 * and a scatter drops it.
 */
function clamped(b: GraphBuilder, indices: Node, sizes: Shape): Node {
  const dtype = indices.type.dtype as "i32" | "u32";
  if (sizes.length === 0 || sizes.includes(0)) return indices;
  const n = sizesOf(b, sizes, dtype);
  const below = b.add("min", [indices, b.add("sub", [n, scalar(b, 1, indices)])]);
  return dtype === "u32" ? below : b.add("max", [below, b.add("neg", [n])]);
}

/** Whether a scatter writes what it has for each of these indices. */
function inside(b: GraphBuilder, indices: Node, sizes: Shape): Node {
  const dtype = indices.type.dtype as "i32" | "u32";
  const n = sizesOf(b, sizes, dtype);
  const below = b.add("less", [indices, n]);
  return dtype === "u32" ? below : b.add("and", [below, b.add("greaterEqual", [indices, b.add("neg", [n])])]);
}

/** Which element of its data a scatter writes each update to, in the forms that its derivative needs. */
interface Writes {
  /** What `x`, of the shape of the data, holds where each update goes. */
  read(x: Node): Node;
  /** `x` with updates joined to it. */
  write(x: Node, updates: Node, reduction: string): Node;
  /** Whether each update is written at all, broadcasting to the updates. */
  readonly written: Node;
}

type Scatter = (a: Adjoint, w: Writes) => (Node | undefined)[];

const zero = (b: GraphBuilder, x: Node): Node => scalar(b, 0, x);

/** Of several updates of one element the last one counts: each writes its number, and reads who was the last. */
const replace: Scatter = ({ b, args, ct, needs }, w) => {
  const updates = args[2] as Node;
  const { shape } = updates.type;
  const count = shapeSize(shape);
  const number = reshape(b, b.add("iota", [], { axis: 0, dtype: "i32", shape: [count] }), shape);
  const last = (): Node => {
    const none = b.const(-1, "i32", (args[0] as Node).type.shape);
    return b.add("equal", [w.read(w.write(none, number, "none")), number]);
  };
  return [
    needs(0) ? w.write(ct, zeros(b, updates.type), "none") : undefined,
    undefined,
    needs(2) ? b.add("where", [last(), w.read(ct), zero(b, ct)]) : undefined,
  ];
};

const add: Scatter = ({ b, ct, needs }, w) => [
  ct,
  undefined,
  needs(2) ? b.add("where", [w.written, w.read(ct), zero(b, ct)]) : undefined,
];

const multiply: Scatter = ({ b, args, ct, needs }, w) => {
  const [data, , updates] = args as [Node, Node, Node];
  const ones = b.const(1, data.type.dtype, data.type.shape);
  const others = (): Node =>
    productOfOthers(
      b,
      updates,
      (factors) => w.read(w.write(data, factors, "mul")),
      (counted) => w.read(w.write(zeros(b, data.type), counted, "add")),
    );
  return [
    needs(0) ? b.add("mul", [ct, w.write(ones, updates, "mul")]) : undefined,
    undefined,
    needs(2) ? b.add("where", [w.written, b.add("mul", [w.read(ct), others()]), zero(b, ct)]) : undefined,
  ];
};

/** The element itself and the updates that attain the extreme share its cotangent evenly, as PyTorch's scatter_reduce has it. */
const extreme: Scatter = ({ b, args, node, ct }, w) => {
  const [data, , updates] = args as [Node, Node, Node];
  const own = b.add("equal", [data, node]);
  const hit = b.add("and", [w.written, b.add("equal", [updates, w.read(node)])]);
  const ties = w.write(cast(b, own, ct.type.dtype), cast(b, hit, ct.type.dtype), "add");
  const share = b.add("div", [ct, ties]);
  return [b.add("where", [own, share, zero(b, ct)]), undefined, b.add("where", [hit, w.read(share), zero(b, ct)])];
};

const byReduction: Readonly<Record<string, Scatter>> = {
  none: replace,
  add,
  mul: multiply,
  min: extreme,
  max: extreme,
};

/** Data without elements takes no updates, and there is nothing to read back. */
const isEmpty = (data: Node): boolean => data.type.shape.includes(0);

const scatter = (a: Adjoint, w: Writes): (Node | undefined)[] =>
  isEmpty(a.args[0] as Node)
    ? [a.ct]
    : (byReduction[(a.node.attrs.reduction as string | undefined) ?? "none"] as Scatter)(a, w);

const scatterElements: Derivative = (a) => {
  const { b, node, args } = a;
  const [data, indices] = args as [Node, Node];
  const axis = node.attrs.axis as number;
  return scatter(a, {
    read: (x) => b.add("gatherElements", [x, indices], { axis }),
    write: (x, updates, reduction) => b.add("scatterElements", [x, indices, updates], { axis, reduction }),
    written: inside(b, indices, [data.type.shape[axis] as Dim]),
  });
};

const scatterND: Derivative = (a) => {
  const { b, args } = a;
  const [data, indices, updates] = args as [Node, Node, Node];
  const tuples = indices.type.shape.slice(0, -1);
  const depth = indices.type.shape[tuples.length] as number;
  const each = inside(b, indices, data.type.shape.slice(0, depth));
  const all = depth === 1 ? each : b.add("all", [each], { axes: [tuples.length], keepDims: true });
  const ones = new Array<Dim>(updates.type.shape.length - tuples.length).fill(1);
  return scatter(a, {
    read: (x) => b.add("gatherND", [x, indices], { batchDims: 0 }),
    write: (x, values, reduction) => b.add("scatterND", [x, indices, values], { reduction }),
    written: reshape(b, all, [...tuples, ...ones]),
  });
};

const scatterAdd: Derivative = ({ b, node, args, ct, needs }) => {
  const [data, indices] = args as [Node, Node];
  const axis = node.attrs.axis as number;
  const updates = (): Node => {
    const after = new Array<Dim>(data.type.shape.length - axis - 1).fill(1);
    const written = reshape(b, inside(b, indices, [data.type.shape[axis] as Dim]), [...indices.type.shape, ...after]);
    return b.add("where", [written, b.add("gather", [ct, indices], { axis }), zero(b, ct)]);
  };
  return [ct, undefined, needs(2) && !isEmpty(data) ? updates() : undefined];
};

const gather: Derivative = ({ b, node, args, ct }) => {
  const [data, indices] = args as [Node, Node];
  const axis = node.attrs.axis as number;
  const at = clamped(b, indices, [data.type.shape[axis] as Dim]);
  return [b.add("scatterAdd", [zeros(b, data.type), at, ct], { axis }), undefined];
};

const gatherElements: Derivative = ({ b, node, args, ct }) => {
  const [data, indices] = args as [Node, Node];
  const axis = node.attrs.axis as number;
  const at = clamped(b, indices, [data.type.shape[axis] as Dim]);
  return [b.add("scatterElements", [zeros(b, data.type), at, ct], { axis, reduction: "add" }), undefined];
};

const gatherND: Derivative = ({ b, node, args, ct }) => {
  const [data, indices] = args as [Node, Node];
  const batch = (node.attrs.batchDims as number | undefined) ?? 0;
  const tuple = indices.type.shape.length - 1;
  const depth = indices.type.shape[tuple] as number;
  const at = clamped(b, indices, data.type.shape.slice(batch, batch + depth));
  // A scatter has no batch axes: the batch's own index goes first in each tuple.
  const counters = range(batch).map((axis) =>
    b.add("iota", [], { axis, dtype: indices.type.dtype, shape: splice(indices.type.shape, tuple, 1, 1) }),
  );
  const tuples = batch ? b.add("concat", [...counters, at], { axis: tuple }) : at;
  return [b.add("scatterND", [zeros(b, data.type), tuples, ct], { reduction: "add" }), undefined];
};

const dynamicSlice: Derivative = ({ b, args, ct }) => {
  const [x, ...starts] = args as [Node, ...Node[]];
  return [b.add("dynamicUpdateSlice", [zeros(b, x.type), ct, ...starts])];
};

const dynamicUpdateSlice: Derivative = ({ b, args, ct, needs }) => {
  const [, update, ...starts] = args as [Node, Node, ...Node[]];
  return [
    needs(0) ? b.add("dynamicUpdateSlice", [ct, zeros(b, update.type), ...starts]) : undefined,
    needs(1) ? b.add("dynamicSlice", [ct, ...starts], { sizes: update.type.shape }) : undefined,
  ];
};

export const indexedDerivatives: Readonly<Record<string, Derivative | null>> = {
  gather,
  gatherElements,
  gatherND,
  scatterElements,
  scatterND,
  scatterAdd,
  dynamicSlice,
  dynamicUpdateSlice,
};
