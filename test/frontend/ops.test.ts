import { expect, test } from "vitest";
import { methods } from "../../src/frontend/methods.ts";
import * as s from "../../src/index.ts";
import { rows } from "../../src/ir/ops.ts";
import { foreach } from "../../src/nn/index.ts";

const T = s.dim("T");
const specs = {
  x: s.f32(2, 3),
  y: s.f32(3),
  h: s.f16(2, 3),
  i: s.i32(2, 3),
  u: s.u32(2, 3),
  b: s.bool(2, 3),
  t: s.f32(4, T, 6),
  img: s.f32(1, 4, 5, 5),
  c: s.f32(4),
  q: s.f32(1, 4, T, 8),
  k: s.f32(1, 2, T, 8),
  ids: s.i32(5),
  pairs: s.i32(5, 2),
  seed: s.u32(2),
  n: s.i32(),
};
type Inputs = s.Traced<typeof specs>;
type Result = s.Tensor | readonly s.Tensor[];

const unary = [
  ...["neg", "abs", "sign", "floor", "ceil", "round", "trunc", "exp", "exp2", "expm1", "log", "log2", "log1p", "sqrt"],
  ...["rsqrt", "reciprocal", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "erf", "sigmoid"],
  ...["logSigmoid", "relu", "silu", "softplus", "softsign", "hardSwish", "isNaN", "isInf"],
] as const;
const binary = ["add", "sub", "mul", "div", "pow", "mod", "min", "max", "atan2", "prelu"] as const;
const compare = ["equal", "notEqual", "less", "lessEqual", "greater", "greaterEqual"] as const;
const bits = ["and", "or", "xor", "shiftLeft", "shiftRight"] as const;
const reductions = ["sum", "prod", "mean", "min", "max", "logSumExp", "l1", "l2", "sumSquare"] as const;

/** y = x * alpha, with what the build reads of it. */
const scale = s.wgslKernel(
  `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: P;
struct P { n: u32, alpha: f32 }
@compute @workgroup_size(64) fn scale(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < p.n) { y[id.x] = x[id.x] * p.alpha; }
}`,
  undefined,
  {
    entry: "scale",
    bindings: [
      { name: "x", binding: 0, access: "read", dtype: "f32", unit: 1, count: null, type: "array<f32>" },
      { name: "y", binding: 1, access: "read_write", dtype: "f32", unit: 1, count: null, type: "array<f32>" },
      {
        ...{ name: "p", binding: 2, access: "read", dtype: "u32", unit: 1, count: 2, type: "P" },
        fields: [
          { name: "n", scalar: "u32", type: "u32", word: 0, lanes: 1, count: 1, stride: 0 },
          { name: "alpha", scalar: "f32", type: "f32", word: 1, lanes: 1, count: 1, stride: 0 },
        ],
      },
    ],
    ...{ overrides: [], constants: {}, workgroupSize: ["64", "1", "1"], workgroupMemory: [], requires: [] },
  },
);

const cases: Record<string, (t: Inputs) => Result> = {
  "a kernel in WGSL of one's own": ({ t }) => [
    scale(
      { x: t, p: { n: s.dimMul(T, 24), alpha: 0.5 } },
      { outputs: { y: s.f32(4, T, 6) }, workgroups: [s.dimCeilDiv(s.dimMul(T, 24), 64)] },
    ).y,
  ],
  ...Object.fromEntries(unary.map((op) => [op, ({ x }: Inputs) => x[op]()])),
  ...Object.fromEntries(binary.map((op) => [op, ({ x, y }: Inputs) => [x[op](y), x[op](2)]])),
  ...Object.fromEntries(compare.map((op) => [op, ({ x, y }: Inputs) => x[op](y)])),
  ...Object.fromEntries(bits.map((op) => [op, ({ i }: Inputs) => i[op](1)])),
  ...Object.fromEntries(
    reductions.map((op) => [
      `${op} (reduction)`,
      ({ x }: Inputs) => [x[op](), x[op]({ axes: -1 }), x[op]({ axes: [1, 0], keepDims: true })],
    ]),
  ),
  "not, bool and integer": ({ b, i }) => [s.not(b), s.not(i)],
  "and, bool": ({ b }) => s.and(b, true),
  "numbers on either side, rounded to the dtype": ({ x, h, i }) => [
    s.sub(1, x),
    s.add(h, 0.1),
    s.mul(i, -3),
    s.max(2, x),
  ],
  gelu: ({ x }) => [s.gelu(x), s.gelu(x, { approximate: "tanh" })],
  elu: ({ x }) => [s.elu(x), s.elu(x, { alpha: 0.5 })],
  leakyRelu: ({ x }) => s.leakyRelu(x),
  hardSigmoid: ({ x }) => s.hardSigmoid(x),
  where: ({ b, x, y }) => [s.where(b, x, y), s.where(b, x, 0), s.where(b, 1, y)],
  clamp: ({ x, y }) => [s.clamp(x, 0, 1), s.clamp(x, y, null), s.clamp(x, null, 6), s.clamp(x, null, null)],
  cast: ({ x }) => [s.cast(x, "f16"), s.cast(x, "f32")],
  bitcast: ({ x }) => s.bitcast(x, "u32"),
  any: ({ b }) => s.any(b, { axes: 0 }),
  all: ({ b }) => s.all(b),
  argMin: ({ x }) => s.argMin(x),
  argMax: ({ x }) => s.argMax(x, { axis: 0, keepDims: true }),
  cumSum: ({ x }) => [s.cumSum(x), s.cumSum(x, { axis: 0, exclusive: true, reverse: true })],
  reduce: ({ x, i }) =>
    s.reduce([x, i], {
      axes: 1,
      identity: [-Infinity, 0],
      combine: ([a, ai], [b, bi]) => [a.max(b), s.where(b.greater(a), bi, ai)],
    }),
  reshape: ({ x, t }) => [s.reshape(x, [3, 2]), s.reshape(x, [-1]), s.reshape(t, [4, -1, 2, 3]), s.reshape(t, [-1, 6])],
  transpose: ({ x, t }) => [s.transpose(x), s.transpose(t, [0, -1, 1])],
  expand: ({ y }) => s.expand(y, [4, 3]),
  "squeeze, unsqueeze": ({ img, x }) => [
    s.squeeze(img),
    s.squeeze(img, { axes: 0 }),
    s.unsqueeze(x),
    s.unsqueeze(x, { axes: [-1, 1] }),
  ],
  slice: ({ x, t }) => [
    s.slice(x, [[1], [null, null, -2]]),
    s.slice(t, [null, [-1]]),
    s.slice(t, { starts: [0, 1], ends: [2] }),
  ],
  pad: ({ x }) => [
    s.pad(x, { low: 1 }),
    s.pad(x, { high: [0, 2], mode: "reflection" }),
    s.pad(x, { low: 1, value: -1 }),
  ],
  concat: ({ x }) => s.concat([x, x], { axis: -1 }),
  split: ({ t }) => [...s.split(t, { axis: -1, parts: 2 }), ...s.split(t, { sizes: [1, 3] })],
  stack: ({ x }) => [s.stack([x, x]), s.stack([x, x], { axis: -1 })],
  tile: ({ x }) => s.tile(x, [2, 1]),
  flip: ({ x }) => [s.flip(x), s.flip(x, { axes: -1 })],
  triangular: ({ x }) => [s.triangular(x), s.triangular(x, { upper: false, diagonal: -1 })],
  matmul: ({ t, x, y }) => [
    s.matmul(t, t, { transposeB: true }),
    s.matmul(x, x, { transposeA: true }),
    s.matmul(x, y),
    s.matmul(y, x, { transposeB: true }),
    s.matmul(y, y),
  ],
  einsum: ({ x }) => [s.einsum("ij, kj -> ik", x, x), s.einsum("ij", x)],
  gather: ({ x, ids }) => [s.gather(x, ids), s.gather(x, ids, { axis: -1 })],
  gatherElements: ({ x, i }) => s.gatherElements(x, i, { axis: 1 }),
  gatherND: ({ x, pairs }) => s.gatherND(x, pairs),
  dynamicSlice: ({ x, n }) => [
    s.dynamicSlice(x, { starts: [n, 1], sizes: [1, 2] }),
    s.dynamicSlice(x, { starts: [0, n], sizes: [2, 1] }),
  ],
  dynamicUpdateSlice: ({ x, y, n }) => s.dynamicUpdateSlice(x, y.reshape([1, 3]), { starts: [n, 0] }),
  scatterElements: ({ x, i }) => s.scatterElements(x, i, x, { axis: -1, reduction: "max" }),
  scatterND: ({ x, pairs }) => s.scatterND(x, pairs, s.constant([1, 2, 3, 4, 5]), { reduction: "add" }),
  scatterAdd: ({ c, ids }) => s.scatterAdd(c, ids, s.constant(1, [5])),
  oneHot: ({ ids }) => [
    s.oneHot(ids, { depth: 7 }),
    s.oneHot(ids, { depth: T, axis: 0, dtype: "bool", on: 1, off: 0 }),
  ],
  softmax: ({ x }) => [s.softmax(x), s.softmax(x, { axis: 0 })],
  logSoftmax: ({ x }) => s.logSoftmax(x),
  layerNorm: ({ x, y }) => [
    s.layerNorm(x),
    s.layerNorm(x, { scale: y, bias: y, epsilon: 1e-6 }),
    s.layerNorm(x, { bias: y }),
  ],
  rmsNorm: ({ x, y }) => s.rmsNorm(x, { scale: y, axes: [-1] }),
  batchNorm: ({ img, c }) => [s.batchNorm(img, c, c), s.batchNorm(img, c, c, { bias: c })],
  groupNorm: ({ img, c }) => s.groupNorm(img, { groups: 2, scale: c }),
  instanceNorm: ({ img, c }) => [
    s.instanceNorm(img),
    s.instanceNorm(img.transpose([0, 2, 3, 1]), { layout: "nhwc", scale: c }),
  ],
  crossEntropy: ({ t, x }) => [
    s.crossEntropy(x, s.constant([0, 1], undefined, "i32")),
    s.crossEntropy(t.slice([null, [0, 1]]).reshape([4, 6]), s.iota([4]), { reduction: "none" }),
    s.crossEntropy(x, s.iota([2]), { ignoreIndex: -100, labelSmoothing: 0.1 }),
    s.crossEntropy(x, s.cast(s.iota([2]), "u32"), { ignoreIndex: 1, reduction: "sum" }),
  ],
  "the number of elements of a symbolic shape": ({ t }) => s.grad((x: s.Tensor) => s.mean(x))(t),
  attention: ({ q, k }) => [
    s.attention(q, k, k, { causal: true }),
    s.attention(q, k, k, { mask: s.constant(0, [1, 1]), scale: 1 }),
  ],
  rope: ({ q }) => s.rope(q, s.iota([T]), { pairing: "neighbours" }),
  embedding: ({ x, ids }) => s.embedding(x, ids),
  "random, each call with a stream of its own": ({ seed }) => [
    s.randomBits(seed, [4]),
    s.uniform(seed, [2, T]),
    s.uniform(seed, [4], { low: -1, high: 1, dtype: "f16" }),
    s.normal(seed, [4], { std: 0.02 }),
    s.bernoulli(seed, [4], { p: 0.9 }),
  ],
  constant: () => [
    s.constant(2),
    s.constant(0.1, [2, 2], "f16"),
    s.constant(true),
    s.constant(new Float32Array([1, 2])),
    s.constant(
      [
        [1, 2],
        [3, 4],
      ],
      [4],
      "i32",
    ),
    s.constant([true, false]),
    s.constant(new Uint16Array([0x3c00, 0xc000]), [2], "f16"),
  ],
  iota: () => [s.iota([3]), s.iota([2, T], { axis: 0, dtype: "f32" })],
  stopGradient: ({ x }) => x.stopGradient(),
  "checkpoint, and its gradient": ({ x }) =>
    s.grad((y: s.Tensor) =>
      s
        .checkpoint((z: s.Tensor) => z.exp())(y)
        .sum(),
    )(x),
  customGradient: ({ x }) =>
    s.customGradient(
      (y: s.Tensor) => y.round(),
      (ct) => [ct],
    )(x),
  "the gradient of a reduction of one's own": ({ x }) =>
    s.grad((y: s.Tensor) => s.reduce([y], { identity: [1], combine: ([a], [b]) => [a.mul(b)] })[0])(x),
  "the gradient of attention": ({ q, k, x }) =>
    Object.values(
      s.grad((p: { k: s.Tensor; x: s.Tensor }) =>
        s.attention(q, p.k, p.k, { mask: p.x.sum({ axes: [1] }).slice([[0, 1]]) }).sum(),
      )({ k, x }),
    ),
  "foreach of sinter/nn": ({ x, y }) =>
    Object.values(foreach({ p: { x, y } }, ({ p }, each) => p.mul(each({ x: 2, y: 3 })))),
};

const textOf = (fn: (t: Inputs) => Result): string =>
  String(s.compile(specs, fn))
    .split("\n")
    .filter((l) => !/^(graph|\) \{|}|$)/.test(l) && !/^ {2}%[a-z]+: /.test(l))
    .join("\n");

test("the graph of every op", async () => {
  const text = Object.entries(cases).map(([name, fn]) => `${name}\n${textOf(fn)}\n`);
  await expect(text.join("\n")).toMatchFileSnapshot("ops.txt");
});

/** What the compiler alone makes, for products with `precision: "f16x3"` (test/passes/halve-operands.test.ts). */
const madeByTheCompiler = new Set(["fromHalves"]);

test("every row of the op table can be reached", () => {
  const used = new Set(Object.values(cases).flatMap((fn) => s.compile(specs, fn).graph.nodes.map((n) => n.op)));
  expect(rows.map((r) => r.name).filter((r) => !used.has(r) && !madeByTheCompiler.has(r))).toEqual([]);
});

test("every function whose first parameter is a tensor is a method of the same meaning", () => {
  expect(Object.keys(methods).length).toBeGreaterThan(90);
  s.compile({ x: s.f32(2, 3) }, ({ x }) => {
    for (const name of Object.keys(methods)) expect(typeof (x as never)[name], name).toBe("function");
    return x
      .add(1)
      .mul(x)
      .sum({ axes: [1] })
      .reshape([2, 1])
      .gelu();
  });
  const free = textOf(({ x, y }) => s.gelu(s.matmul(x, y)));
  expect(textOf(({ x, y }) => x.matmul(y).gelu())).toBe(free);
});
