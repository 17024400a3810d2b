import { type Dim, isConcrete, type Shape } from "../dim.ts";
import type { GraphBuilder, Node } from "../graph.ts";
import { count } from "../ndarray.ts";
import type { Adjoint, Derivative } from "../op.ts";
import { reducedShape } from "../ops/axes.ts";
import { reduceOver, reshape } from "../ops/composite-helpers.ts";
import { layerNormDerivative } from "./composite-norm.ts";
import { ropeDerivative } from "./composite-rope.ts";
import { type Formula, type Point, widened } from "./formula.ts";
import { zeros } from "./helpers.ts";

const axesOf = (a: Adjoint): readonly number[] => a.node.attrs.axes as readonly number[];

const shapeOf = (a: Adjoint): Shape => (a.args[0] as Node).type.shape;

/** A reduction's result, or its cotangent, with the reduced axes as axes of size 1. */
const kept = (a: Adjoint, x: Node): Node => reshape(a.b, x, reducedShape(shapeOf(a), axesOf(a), true));

/** A formula that also sums along the axis of the row's attributes. */
const alongAxis =
  (fn: (f: Formula, at: Point, sum: (x: Node) => Node) => Node): Derivative =>
  (a) => [widened(a, 0, (f, at) => fn(f, at, (x) => reduceOver(a.b, "sum", x, [at.attrs.axis as number], true)))];

/** The number of elements of a shape, as a constant as soon as it is known. */
function elementCount(b: GraphBuilder, shape: Shape): Node {
  return isConcrete(shape) ? b.const(count(shape), "f32") : b.add("elementCount", [], { shape, dtype: "f32" });
}

/** The cotangent over the number of elements, repeated: divided where it is small. */
const mean: Derivative = (a) => {
  const n = elementCount(
    a.b,
    axesOf(a).map((i) => shapeOf(a)[i] as Dim),
  );
  const each = widened(a, 0, (f, { ct }) => f("div", kept(a, ct), n));
  return [a.b.add("expand", [each], { shape: shapeOf(a) })];
};

/** e^(x - y), y being the result: nothing of the sum is needed again. A row of -inf has no direction to grow in. */
const logSumExp: Derivative = (a) => [
  widened(a, 0, (f, { ct, x, y }) => {
    const top = f("where", f("isInf", y), 0, y);
    return f("mul", kept(a, ct), f("exp", f("sub", x, kept(a, top))));
  }),
];

/** x / y, and 0 at the origin as PyTorch has it. */
const l2: Derivative = (a) => [
  widened(a, 0, (f, { ct, x, y }) => f("mul", x, kept(a, f("where", f("equal", y, 0), 0, f("div", ct, y))))),
];

/** The parts' cotangents side by side; the decomposition's would be padded to the whole and added. */
const split: Derivative = ({ b, node, cotangents }) => {
  const parts = (node.results ?? []).map((type, i) => cotangents[i] ?? zeros(b, type));
  return [b.add("concat", parts, { axis: node.attrs.axis })];
};

/** Integers and random draws do not change with what they are made from. */
const without = ["argMin", "argMax", "oneHot", "uniform", "normal", "bernoulli", "elementCount"];

/** Derivatives of composites that have a better one than their decomposition. */
export const compositeDerivatives: Readonly<Record<string, Derivative | null>> = {
  ...Object.fromEntries(without.map((name) => [name, null])),
  mean,
  logSumExp,
  l2,
  softmax: alongAxis((f, { ct, y }, sum) => f("mul", y, f("sub", ct, sum(f("mul", ct, y))))),
  logSoftmax: alongAxis((f, { ct, y }, sum) => f("sub", ct, f("mul", f("exp", y), sum(ct)))),
  layerNorm: layerNormDerivative,
  split,
  flip: ({ b, node, ct }) => [b.add("flip", [ct], node.attrs)],
  rope: ropeDerivative,
};
