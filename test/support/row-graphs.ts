import type { DType } from "../../src/base/dtype.ts";
import { type Attrs, type Graph, GraphBuilder, makeGraph, type TensorType } from "../../src/ir/graph.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import type { AttrSpec, OpRow } from "../../src/ir/op.ts";
import { setOwnMeaning } from "../../src/ir/ops/wgsl.ts";

const t = (text: string): TensorType => {
  const [, dtype, sizes] = /^(\w+)\[(.*)\]$/.exec(text) as unknown as [string, DType, string];
  return { dtype, shape: sizes ? sizes.split(",").map(Number) : [] };
};

/** Larger of two pairs by the first state: a `reduce` with two states. */
function maxPair(): Graph {
  const b = new GraphBuilder();
  const [a0, a1, b0, b1] = ["a0", "a1", "b0", "b1"].map((n) => b.input(n, t("f32[]"))) as [never, never, never, never];
  const first = b.add("greaterEqual", [a0, b0]);
  return makeGraph(
    [a0, a1, b0, b1],
    [
      { name: "r0", node: b.add("where", [first, a0, b0]) },
      { name: "r1", node: b.add("where", [first, a1, b1]) },
    ],
  );
}

/** x * y + 1 and its gradient: a function of two arguments. */
function product(): Graph {
  const b = new GraphBuilder();
  const [x, y] = ["a0", "a1"].map((n) => b.input(n, t("f32[2,3]"))) as [never, never];
  return makeGraph([x, y], [{ name: "r0", node: b.add("add", [b.add("mul", [x, y]), b.const(1, "f32")]) }]);
}
function productGradient(): Graph {
  const b = new GraphBuilder();
  const inputs = ["a0", "a1", "r0", "c0"].map((n) => b.input(n, t("f32[2,3]")));
  const [x, y, , ct] = inputs as [never, never, never, never];
  return makeGraph(
    inputs,
    [y, x].map((other, i) => ({ name: `g${i}`, node: b.add("mul", [ct, other]) })),
  );
}

/** A kernel of a user's own: counts on from a state, and doubles. */
function ownKernel(): Attrs {
  setOwnMeaning("row graphs", ([x, seen]) => [
    { ...(x as NDArray), data: (x as NDArray).data.map((v) => 2 * v) },
    { ...(seen as NDArray), data: (seen as NDArray).data.map((v) => v + 1) },
  ]);
  return {
    name: "double",
    source: [
      "@group(0) @binding(4) var<storage, read> x: array<f32>;",
      "@group(0) @binding(7) var<storage, read_write> seen: array<u32>;",
      "@group(0) @binding(5) var<storage, read_write> y: array<f32>;",
      "@compute @workgroup_size(4, 1, 1) fn main(@builtin(global_invocation_id) id: vec3<u32>) {",
      "  if (id.x < 6u) { y[id.x] = 2.0 * x[id.x]; seen[id.x] = seen[id.x] + 1u; }",
      "}",
    ].join("\n"),
    ...{ names: "x seen y", bindings: [4, 7, 5], dtypes: "f32 u32 f32" },
    ...{ arguments: [0, 1, -1], results: [-1, 1, 0], units: [1, -6, 2] },
    ...{ ranks: [2, 1], sizes: [2, 3, 6], workgroups: [2, 1, 1], workgroupSize: [4, 1, 1] },
    ...{ workgroupBytes: 0, cpu: "row graphs" },
  };
}

/** Arguments and attributes of a small program for each row that is not elementwise. */
const examples: Readonly<Record<string, readonly [args: string, attrs?: Attrs][]>> = {
  const: [["", { value: -0, dtype: "f16", shape: [2] }]],
  literal: [["", { data: [1, -2, 3.5, 0, 1e-3, 4], dtype: "f32", shape: [2, 3] }]],
  iota: [["", { axis: 1, dtype: "i32", shape: [2, 3] }]],
  reshape: [["f32[2,3]", { shape: [3, 2] }]],
  transpose: [["f32[2,3,4]", { perm: [2, 0, 1] }]],
  expand: [["f32[1,3]", { shape: [2, 4, 3] }]],
  slice: [["f32[5,4]", { starts: [4, 0], steps: [-2, 1], sizes: [3, 2] }]],
  tile: [["f32[2,3]", { repeats: [2, 2] }]],
  pad: ["constant", "edge", "reflection", "symmetric"].map((mode) => [
    "f32[3,4]",
    { low: [1, 2], high: [0, 1], mode, value: mode === "constant" ? -Infinity : 0 },
  ]),
  concat: [["f32[2,3] f32[1,3] f32[0,3]", { axis: 0 }]],
  pack: [["f32[2,3] f32[70] f32[]"]],
  window: [["f32[3,8]", { start: 5, shape: [2, 3] }]],
  segments: [["", { sizes: [64, 0, 128] }]],
  ...Object.fromEntries(
    ["sum", "prod", "reduceMin", "reduceMax", "l1", "l2", "sumSquare", "mean", "logSumExp"].map((op) => [
      op,
      [
        ["f32[2,3,4]", { axes: [0, 2], keepDims: false }],
        ["f32[2,3]", { axes: [1], keepDims: true }],
      ],
    ]),
  ),
  any: [["bool[2,3]", { axes: [1], keepDims: false }]],
  all: [["bool[2,3]", { axes: [1], keepDims: true }]],
  reduce: [["f32[2,3] f32[2,3]", { axes: [1], keepDims: false, combine: maxPair(), identity: [-Infinity, 0] }]],
  exclusiveScan: [false, true].map((reverse) => [
    "f32[2,5] f32[2,5]",
    { axis: 1, reverse, combine: maxPair(), identity: [-1000, 0] },
  ]),
  cumSum: [["f32[2,5]", { axis: 1, exclusive: true, reverse: true }]],
  matmul: [["f32[2,1,3,4] f32[5,4,2]"], ["f32[3,4] f32[4,2]"]],
  fromHalves: [
    ["u32[1,1,16384] u32[1,1]", { shape: [3, 8] }],
    ["u32[2,2,16384] u32[2,2]", { shape: [130, 132] }],
  ],
  gather: [["f32[5,4] i32[2,3]", { axis: 0 }]],
  gatherElements: [["f32[3,4] i32[2,4]", { axis: 0 }]],
  gatherND: [["f32[2,3,4] i32[5,2]", { batchDims: 0 }]],
  dynamicSlice: [
    ["f32[5,4] i32[] u32[]", { sizes: [2, 3] }],
    ["f16[6] i32[]", { sizes: [4] }],
  ],
  dynamicUpdateSlice: [["f32[5,4] f32[2,3] i32[] u32[]"], ["f16[6] f16[3] i32[]"]],
  scatterElements: [["f32[3,4] i32[2,4] f32[2,4]", { axis: 0, reduction: "none" }]],
  scatterND: [["f32[5,4] i32[3,1] f32[3,4]", { reduction: "add" }]],
  scatterAdd: [["f32[5,4] i32[3] f32[3,4]", { axis: 0 }]],
  embedding: [["f32[7,4] i32[2,3]"]],
  philox: [["u32[2]", { shape: [3, 5], stream: 1 }]],
  argMin: [["f32[2,5]", { axis: 1, keepDims: false }]],
  argMax: [["f32[2,5]", { axis: 0, keepDims: true }]],
  squeeze: [["f32[1,3,1]", { axes: [0, 2] }]],
  flip: [["f32[3,4]", { axes: [1] }]],
  split: [["f32[2,5]", { axis: 1, sizes: [2, 0, 3] }]],
  stack: [["f32[2,3] f32[2,3]", { axis: 1 }]],
  oneHot: [["i32[2,3]", { depth: 4, axis: 1, dtype: "f32", on: 1, off: 0 }]],
  triangular: [["f32[3,4]", { upper: false, diagonal: -1 }]],
  softmax: [
    ["f32[2,3]", { axis: 1 }],
    ["f16[2,3]", { axis: 0 }],
  ],
  logSoftmax: [["f32[2,3]", { axis: 1 }]],
  elementCount: [["", { shape: [3, 4], dtype: "f32" }]],
  crossEntropy: [["f32[4,7] i32[4]"], ["f16[4,7] u32[4]", { ignoreIndex: 2, labelSmoothing: 0.1 }]],
  layerNorm: [
    ["f32[2,4] f32[4] f32[4]", { axes: [1], epsilon: 1e-5 }],
    ["f16[2,4]", { axes: [1], epsilon: 1e-5 }],
  ],
  rmsNorm: [["f32[2,4] f32[4]", { axes: [1], epsilon: 1e-6 }]],
  batchNorm: [["f32[2,3,4] f32[3] f32[3] f32[3]", { axis: 1, epsilon: 1e-5, has: [1] }]],
  groupNorm: [["f32[2,6,4] f32[6] f32[6]", { groups: 2, epsilon: 1e-5 }]],
  instanceNorm: [["f32[2,4,4,3] f32[3]", { epsilon: 1e-5, layout: "nhwc" }]],
  attention: [
    ["f32[2,4,3,8] f32[2,2,5,8] f32[2,2,5,8]", { causal: true, scale: 0.25 }],
    ["f32[4,3,8] f32[4,5,8] f32[4,5,8] f32[3,5]", { causal: false }],
  ],
  attentionStats: [
    ["f32[2,4,3,8] f32[2,2,5,8] f32[2,2,5,6]", { causal: true, scale: 0.25 }],
    ["f16[4,3,8] f16[4,5,8] f16[4,5,8] f32[3,5]", { causal: false }],
  ],
  attentionGradQuery: [
    ["f32[2,4,3,8] f32[2,2,5,8] f32[2,2,5,6] f32[2,4,3] f32[2,4,3,6]", { causal: true, scale: 0.25 }],
    ["f16[4,3,8] f16[4,5,8] f16[4,5,8] f32[4,3] f16[4,3,8] f16[4,3,8]", { causal: false, has: [1] }],
    ["f32[4,3,7] f32[4,5,7] f32[4,5,7] f32[4,3] f32[4,3,7] f32[3,5]", { causal: false, has: [0] }],
  ],
  attentionGradKeyValue: [
    ["f32[2,4,3,8] f32[2,2,5,8] f32[2,2,5,6] f32[2,4,2,3] f32[2,4,3,6]", { causal: true, scale: 0.25 }],
    ["f16[4,3,8] f16[4,5,8] f16[4,5,8] f32[4,2,3] f16[4,3,8] f32[3,5]", { causal: false }],
  ],
  attentionGradMask: [
    ["f32[2,4,3,8] f32[2,2,5,8] f32[2,2,5,6] f32[2,4,2,3] f32[2,4,3,6] f32[4,1,5]", { causal: true }],
  ],
  rope: [["f32[2,3,8] i32[3]", { base: 10000, pairing: "halves" }]],
  einsum: [["f32[2,3,4] f32[2,4,5]", { equation: "bij,bjk->bik" }]],
  uniform: [["u32[2]", { shape: [3, 4], stream: 0 }]],
  normal: [["u32[2]", { shape: [3, 4], stream: 0 }]],
  bernoulli: [["u32[2]", { shape: [3, 4], stream: 0, p: 0.25 }]],
  wgsl: [["f32[2,3] u32[6]", ownKernel()]],
  words: [
    ["f32[] i32[]", { kinds: "uxfx", values: [2 ** 32 - 1, 0, 12, 0] }],
    ["", { kinds: "u", values: [7] }],
  ],
  stopGradient: [["f32[2,3]"], ["i32[]"]],
  recompute: [["f32[2,3]", { key: 1 }]],
  call: [
    ["f32[2,3] f32[2,3]", { body: product(), recompute: true, key: 2 }],
    ["f32[2,3] f32[2,3]", { body: product(), derivative: productGradient() }],
  ],
};

const sample: Readonly<Record<AttrSpec["type"], unknown>> = {
  int: 1,
  float: 0.5,
  bool: true,
  string: "",
  dtype: "i32",
  dim: 2,
  ints: [0],
  floats: [0],
  shape: [2],
  graph: undefined,
  data: [1],
};

/** Graphs of one op each: small, of every form of attributes the row has. */
export function rowGraphs(row: OpRow): Graph[] {
  if (row.name === "input") return [graphOf("neg", [t("f32[2]")], {})];
  if (row.name === "result") return rowGraphs({ ...row, name: "split" });
  if (!row.elementwise) {
    const given = examples[row.name];
    if (!given) throw new Error(`add an example of ${row.name} to test/support/row-graphs.ts`);
    return given.map(([args, attrs = {}]) => graphOf(row.name, args ? args.split(" ").map(t) : [], attrs));
  }
  const attrs = Object.fromEntries(
    Object.entries(row.attrs ?? {}).map(([name, spec]) => [name, spec.oneOf?.[0] ?? spec.default ?? sample[spec.type]]),
  );
  const graphs: Graph[] = [];
  for (const dtype of ["f32", "f16", "i32", "u32", "bool"] as const) {
    const types = row.params.map((_, i) =>
      t(`${row.name === "where" && i === 0 ? "bool" : dtype}[${i === 0 ? "2,3" : "3"}]`),
    );
    try {
      graphs.push(graphOf(row.name, types, attrs));
    } catch {
      // Not every row takes every dtype.
    }
  }
  return graphs;
}

function graphOf(op: string, types: readonly TensorType[], attrs: Attrs): Graph {
  const b = new GraphBuilder();
  const inputs = types.map((type, i) => b.input(`x${i}`, type));
  const node = b.add(op, inputs, attrs);
  return makeGraph(
    inputs,
    b.results(node).map((r, i) => ({ name: `y${i}`, node: r })),
  );
}
