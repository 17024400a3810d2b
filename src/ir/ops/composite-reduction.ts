import { fail } from "../../base/diagnostic.ts";
import type { DType } from "../../base/dtype.ts";
import { type Shape, sizeOf } from "../dim.ts";
import type { Attrs, Graph, GraphBuilder, Node, TensorType } from "../graph.ts";
import type { OpRow } from "../op.ts";
import { axisOf, reducedShape } from "./axes.ts";
import { greatestOf, leastOf } from "./combine.ts";
import { cast, inF32, reduceOver, scalar } from "./composite-helpers.ts";
import { floats, numbers, requireDType, requireNumber, typeText } from "./infer.ts";
import { reduceAttrs, reducedType } from "./reduction.ts";

const axesIn = (a: Attrs): readonly number[] => a.axes as readonly number[];
const keep = (a: Attrs): boolean => a.keepDims === true;

function reducing(
  name: string,
  dtypes: readonly DType[],
  doc: string,
  decompose: (b: GraphBuilder, x: Node, a: Attrs) => Node,
  ulp: (n: number) => number,
): OpRow {
  return {
    name,
    kind: "composite",
    params: ["x"],
    attrs: reduceAttrs,
    doc: `${doc} dtypes: ${dtypes.join(", ")}${dtypes.includes("f16") ? "; f16 computes in f32" : ""}.`,
    infer: ([x], a) => {
      requireDType(name, x as TensorType, dtypes);
      return reducedType(name, x as TensorType, a);
    },
    decompose: (b, [x], a) => inF32(b, x as Node, (y) => decompose(b, y, a)),
    accuracy: { ulp },
  };
}

function mean(b: GraphBuilder, x: Node, a: Attrs): Node {
  const axes = axesIn(a);
  const n = sizeOf(axes.map((i) => x.type.shape[i] as number));
  if (n === 0) return b.const(Number.NaN, x.type.dtype, reducedShape(x.type.shape, axes, keep(a)));
  const sum = reduceOver(b, "sum", x, axes, keep(a));
  return n === 1 ? sum : b.add("div", [sum, scalar(b, n, x)]);
}

/** log sum exp(x - m) + m, where m is the maximum, or 0 where that is infinite: inf - inf would make NaN of rows of -inf. */
function logSumExp(b: GraphBuilder, x: Node, a: Attrs): Node {
  const top = reduceOver(b, "reduceMax", x, axesIn(a), true);
  const m = b.add("where", [b.add("isInf", [top]), scalar(b, 0, x), top]);
  const sum = reduceOver(b, "sum", b.add("exp", [b.add("sub", [x, m])]), axesIn(a), keep(a));
  const back = keep(a) ? m : b.add("reshape", [m], { shape: sum.type.shape });
  return b.add("add", [b.add("log", [sum]), back]);
}

const squares = (b: GraphBuilder, x: Node, a: Attrs): Node =>
  reduceOver(b, "sum", b.add("mul", [x, x]), axesIn(a), keep(a));

const absolute = (b: GraphBuilder, x: Node): Node => (x.type.dtype === "u32" ? x : b.add("abs", [x]));

/**
 * Joins (value, index) states: the better value wins, NaN beats every number as in NumPy, and of equals the smaller index.
 */
function extremeGraph(builder: GraphBuilder, dtype: DType, better: "less" | "greater"): Graph {
  const nodes: Node[] = [];
  const keep = (node: Node): Node => {
    nodes.push(node);
    return node;
  };
  const input = (name: string, t: DType): Node => keep(builder.input(name, { dtype: t, shape: [] }));
  const op = (name: string, ...args: readonly Node[]): Node => keep(builder.add(name, args));
  const [a0, a1, b0, b1] = [input("a0", dtype), input("a1", "i32"), input("b0", dtype), input("b1", "i32")];
  let wins = op(better, b0, a0);
  let ties = op("equal", b0, a0);
  if (dtype === "f32") {
    const [aNaN, bNaN] = [op("isNaN", a0), op("isNaN", b0)];
    wins = op("or", wins, op("and", bNaN, op("not", aNaN)));
    ties = op("or", ties, op("and", bNaN, aNaN));
  }
  const take = op("or", wins, op("and", ties, op("less", b1, a1)));
  const outputs = [
    { name: "r0", node: op("where", take, b0, a0) },
    { name: "r1", node: op("where", take, b1, a1) },
  ];
  return { inputs: [a0, a1, b0, b1], outputs, nodes };
}

function extreme(name: string, better: "less" | "greater", what: string): OpRow {
  return {
    name,
    kind: "composite",
    params: ["x"],
    attrs: {
      axis: { type: "int", doc: "axis to search along" },
      keepDims: { type: "bool", doc: "keep the axis with size 1", default: false },
    },
    doc: `Index (i32) of the ${what} element along an axis; the first of equals; NaN counts as the ${what}. dtypes: f32, f16, i32, u32.`,
    infer: ([t], a) => {
      const x = t as TensorType;
      requireNumber(name, x);
      const axis = axisOf(name, a.axis, x.shape);
      if (x.shape[axis] === 0) {
        fail("empty-axis", `${name}: axis ${axis} of ${typeText(x)} is empty`, {
          cause: "there is no element whose index could be returned",
          hint: "search along an axis that has elements",
        });
      }
      return { dtype: "i32", shape: reducedShape(x.shape, [axis], keep(a)) };
    },
    decompose: (b, [t], a) => {
      const x = t as Node;
      const values = x.type.dtype === "f16" ? cast(b, x, "f32") : x;
      const { dtype, shape } = values.type;
      const node = b.add("reduce", [values, b.add("iota", [], { axis: a.axis, dtype: "i32", shape })], {
        axes: [a.axis],
        keepDims: keep(a),
        combine: extremeGraph(b, dtype, better),
        identity: [better === "less" ? greatestOf(dtype) : leastOf(dtype), greatestOf("i32")],
      });
      return b.results(node)[1] as Node;
    },
    accuracy: { ulp: 0 },
  };
}

/** Named dims have no size while a program is traced, but a derivative may need one. */
const elementCount: OpRow = {
  name: "elementCount",
  kind: "composite",
  params: [],
  attrs: {
    shape: { type: "shape", doc: "the shape whose elements are counted" },
    dtype: { type: "dtype", doc: "dtype of the result" },
  },
  doc: "The number of elements of a shape, as a scalar; a constant once named dims have sizes.",
  infer: (_, a) => ({ dtype: a.dtype as DType, shape: [] }),
  decompose: (b, _, a) => b.const(sizeOf(a.shape as Shape), a.dtype as DType),
  accuracy: { ulp: 1 },
};

export const reductionComposites: readonly OpRow[] = [
  elementCount,
  reducing("mean", floats, "sum / number of elements over axes; NaN over no elements.", mean, (n) => n + 2),
  reducing(
    "logSumExp",
    floats,
    "log(sum(exp(x))) over axes without overflow; -inf where all are -inf.",
    logSumExp,
    (n) => 2 * n + 18,
  ),
  reducing(
    "l1",
    numbers,
    "sum(|x|) over axes.",
    (b, x, a) => reduceOver(b, "sum", absolute(b, x), axesIn(a), keep(a)),
    (n) => Math.max(1, n),
  ),
  reducing(
    "l2",
    floats,
    "sqrt(sum(x^2)) over axes.",
    (b, x, a) => b.add("sqrt", [squares(b, x, a)]),
    (n) => 2 * n + 1,
  ),
  reducing("sumSquare", numbers, "sum(x^2) over axes.", squares, (n) => Math.max(1, 2 * n)),
  extreme("argMin", "less", "smallest"),
  extreme("argMax", "greater", "largest"),
];
