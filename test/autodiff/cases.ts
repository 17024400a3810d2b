import type { DType } from "../../src/base/dtype.ts";
import { type Attrs, type Graph, GraphBuilder, makeGraph, type TensorType } from "../../src/ir/graph.ts";
import type { OpRow } from "../../src/ir/op.ts";
import { rowGraphs } from "../support/row-graphs.ts";
import type { Range } from "./gradcheck.ts";

/** `f32[2,3]` */
function type(text: string): TensorType {
  const [dtype = "", sizes = ""] = text.slice(0, -1).split("[");
  return { dtype: dtype as DType, shape: sizes === "" ? [] : sizes.split(",").map(Number) };
}

/** One node of a row on inputs `x0`, `x1`, …, with outputs `y0`, …. */
export function graphOf(op: string, args: string, attrs: Attrs = {}): Graph {
  const b = new GraphBuilder();
  const inputs = args === "" ? [] : args.split(" ").map((a, i) => b.input(`x${i}`, type(a)));
  const outputs = b.results(b.add(op, inputs, attrs)).map((node, i) => ({ name: `y${i}`, node }));
  return makeGraph(inputs, outputs);
}

const positive: Range = [0.3, 3];
const inside: Range = [-0.9, 0.9];

/** Where an argument must lie for the row to be smooth there; by position, or of all arguments. */
export const ranges: Readonly<Record<string, Readonly<Record<number, Range>> & { readonly all?: Range }>> = {
  log: { all: positive },
  log2: { all: positive },
  log1p: { all: [-0.7, 3] },
  sqrt: { all: positive },
  rsqrt: { all: positive },
  asin: { all: inside },
  acos: { all: inside },
  tan: { all: [-1.2, 1.2] },
  pow: { 0: positive },
  mod: { 1: positive },
  batchNorm: { 2: positive },
};

/** More forms of a row than test/support/row-graphs.ts has: other shapes, attributes and optional arguments. */
const more: Readonly<Record<string, readonly (readonly [args: string, attrs?: Attrs])[]>> = {
  gelu: ["f32[7]", "f32[]"].flatMap((t) =>
    ["none", "tanh"].map((approximate): [string, Attrs] => [t, { approximate }]),
  ),
  elu: [1, 0.5, 0, -0.7].map((alpha) => ["f32[9]", { alpha }]),
  leakyRelu: [0.01, 0.4, 0, -0.7].map((alpha) => ["f32[9]", { alpha }]),
  hardSigmoid: [
    ["f32[9]", { alpha: 0.5, beta: 0.2 }],
    ["f32[9]", { alpha: -0.5, beta: 0.2 }],
  ],
  cast: [["f32[2,3]", { dtype: "f32" }]],
  where: [["bool[2,3] f32[] f32[3]"], ["bool[3] f32[2,3] f32[2,1]"]],
  clamp: [["f32[2,5] f32[] f32[5]"], ["f32[] f32[3] f32[3]"]],
  mean: [
    ["f32[2,3,4]", { axes: [0, 1, 2], keepDims: false }],
    ["f32[]", { axes: [], keepDims: false }],
  ],
  logSumExp: [
    ["f32[2,3,4]", { axes: [0, 1, 2], keepDims: false }],
    ["f32[2,3]", { axes: [], keepDims: true }],
  ],
  l2: [["f32[2,3,4]", { axes: [0, 1, 2], keepDims: true }]],
  softmax: [
    ["f32[2,3,4]", { axis: 1 }],
    ["f32[5]", { axis: 0 }],
  ],
  logSoftmax: [
    ["f32[2,3,4]", { axis: 0 }],
    ["f32[5]", { axis: 0 }],
  ],
  crossEntropy: [
    ["f32[7] i32[]"],
    ["f32[2,3,5] u32[2,3]"],
    ["f32[4,5] i32[4]", { labelSmoothing: 0.2 }],
    ["f32[4,5] i32[4]", { ignoreIndex: 1, labelSmoothing: 0.1 }],
    ["f32[4,5] u32[4]", { ignoreIndex: 2 }],
  ],
  layerNorm: [
    ["f32[2,4]", { axes: [1], epsilon: 1e-5 }],
    ["f32[3,4,2] f32[2,3] f32[2,3]", { axes: [2, 0], epsilon: 1e-3 }],
    ["f32[2,4] f32[4]", { axes: [1], epsilon: 1e-5, has: [1] }],
  ],
  rmsNorm: [
    ["f32[2,4]", { axes: [1], epsilon: 1e-5 }],
    ["f32[3,4,2] f32[3,2]", { axes: [0, 2], epsilon: 1e-3 }],
  ],
  batchNorm: [
    ["f32[2,3] f32[3] f32[3]", { axis: 1, epsilon: 1e-5 }],
    ["f32[2,3,2] f32[2] f32[2] f32[2] f32[2]", { axis: 2, epsilon: 1e-3 }],
  ],
  groupNorm: [["f32[2,6,4] f32[6]", { groups: 3, epsilon: 1e-5, has: [1] }]],
  instanceNorm: [["f32[2,3,4] f32[3] f32[3]", { epsilon: 1e-5, layout: "nchw" }]],
  rope: ["halves", "neighbours"].flatMap((pairing): [string, Attrs][] => [
    ["f32[2,3,8] i32[3]", { base: 10000, pairing }],
    ["f32[2,3,4] f32[2,1]", { base: 100, pairing }],
    ["f32[2,3,4] f32[]", { base: 100, pairing }],
  ]),
  scatterElements: ["add", "mul", "min", "max"].map((reduction) => [
    "f32[3,4] i32[2,4] f32[2,4]",
    { axis: 0, reduction },
  ]),
  scatterND: ["none", "mul", "min", "max"].map((reduction) => ["f32[5,4] i32[3,1] f32[3,4]", { reduction }]),
  flip: [["f32[2,3,2]", { axes: [0, 2] }]],
  cumSum: [["f32[2,5]", { axis: 0, exclusive: false, reverse: false }]],
};

const heads = "f32[2,2,3] f32[1,3,3] f32[1,3,2]";
const causal = { causal: true, scale: 0.5 };

/** Forms in place of those of test/support/row-graphs.ts: these are infinite, or larger than a difference quotient by each element can bear. */
const instead: Readonly<Record<string, readonly (readonly [args: string, attrs?: Attrs])[]>> = {
  pad: ["constant", "edge", "reflection", "symmetric"].map((mode) => [
    "f32[3,4]",
    { low: [1, 2], high: [0, 1], mode, value: 0 },
  ]),
  attention: [
    [heads, causal],
    [`${heads} f32[2,3]`, { causal: false }],
  ],
  attentionStats: [
    [heads, causal],
    [`${heads} f32[2,3]`, { causal: false }],
  ],
  attentionGradQuery: [
    [`${heads} f32[2,2] f32[2,2,2]`, causal],
    [`${heads} f32[2,2] f32[2,2,2] f32[2,2,2]`, { causal: false, has: [1] }],
    [`${heads} f32[2,2] f32[2,2,2] f32[2,3]`, { causal: false, has: [0] }],
  ],
  attentionGradKeyValue: [
    [`${heads} f32[2,2,2] f32[2,2,2]`, causal],
    [`${heads} f32[2,2,2] f32[2,2,2] f32[2,3]`, { causal: false }],
  ],
  attentionGradMask: [[`${heads} f32[2,2,2] f32[2,2,2] f32[2,3]`, { causal: true }]],
};

const pairs = ["f32[2,3] f32[3]", "f32[2,1] f32[1,3]", "f32[] f32[2,2]", "f32[3] f32[]"];

/** Graphs of one op each in f32, in which floats and integers may have any value near those of `points`. */
export function cases(row: OpRow): Graph[] {
  const own = instead[row.name];
  const all = own ? [] : rowGraphs(row).filter((g) => g.nodes.every((n) => n.type.dtype !== "f16"));
  for (const [args, attrs] of own ?? more[row.name] ?? []) all.push(graphOf(row.name, args, attrs));
  if (!row.elementwise || row.params.includes("cond")) return all;
  const shapes = row.params.length === 1 ? ["f32[]", "f32[2,4]"] : row.params.length === 2 ? pairs : [];
  for (const args of row.attrs ? [] : shapes) {
    try {
      all.push(graphOf(row.name, args));
    } catch {
      // Rows of integers and truth values alone.
    }
  }
  return all;
}
