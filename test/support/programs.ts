import { halfRound } from "../../src/base/half.ts";
import {
  argMax,
  argMin,
  attention,
  batchNorm,
  bernoulli,
  bitcast,
  bool,
  cast,
  clamp,
  compile,
  concat,
  constant,
  crossEntropy,
  cumSum,
  dim,
  einsum,
  embedding,
  f16,
  f32,
  gather,
  gatherElements,
  gatherND,
  gelu,
  groupNorm,
  i32,
  instanceNorm,
  iota,
  l2,
  layerNorm,
  logSoftmax,
  logSumExp,
  matmul,
  mean,
  normal,
  oneHot,
  type Program,
  pad,
  prod,
  reduce,
  rmsNorm,
  rope,
  scatterAdd,
  scatterElements,
  scatterND,
  shiftRight,
  softmax,
  split,
  stack,
  sum,
  type Tensor,
  tanh,
  triangular,
  u32,
  uniform,
  where,
} from "../../src/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { count, type NDArray } from "../../src/ir/ndarray.ts";
import { randomOf } from "./values.ts";

/** A traced program at fixed sizes with a value for each of its inputs, by flat name. */
export interface ProgramCase {
  readonly name: string;
  readonly graph: Graph;
  readonly inputs: Readonly<Record<string, NDArray>>;
}

interface Options {
  readonly dims?: Readonly<Record<string, number>>;
  /** Ranges [low, high) of integer inputs that are not -8 … 8; also of floats that are not -2 … 2. */
  readonly ranges?: Readonly<Record<string, readonly [number, number]>>;
}

/** Values of a tensor's dtype: floats evenly spread over a range, integers in a range. */
function valuesOf(type: Graph["inputs"][0]["type"], random: () => number, range?: readonly [number, number]): NDArray {
  const { dtype } = type;
  const shape = type.shape as readonly number[];
  const [low, high] = range ?? { f32: [-2, 2], f16: [-2, 2], i32: [-8, 9], u32: [0, 16], bool: [0, 2] }[dtype];
  const data = Float64Array.from({ length: count(shape) }, () => {
    const x = (low as number) + random() * ((high as number) - (low as number));
    return dtype === "f32" ? Math.fround(x) : dtype === "f16" ? halfRound(x) : Math.floor(x);
  });
  return { dtype, shape, data };
}

const made: ProgramCase[] = [];

function add(name: string, program: Pick<Program, "bind">, { dims, ranges = {} }: Options = {}): void {
  const graph = program.bind(dims);
  const random = randomOf(made.length + 1);
  const inputs = Object.fromEntries(
    graph.inputs.map((n) => {
      const at = n.attrs.name as string;
      return [at, valuesOf(n.type, random, ranges[at])] as const;
    }),
  );
  made.push({ name, graph, inputs });
}

// Pointwise

add(
  "a chain of ten ops, odd sizes",
  compile({ x: f32(7, 33), y: f32(33) }, ({ x, y }) =>
    x.add(y).mul(0.5).tanh().sub(y).abs().add(1).log().neg().sigmoid().max(0.25).sqrt(),
  ),
);
add(
  "an elementwise DAG with three outputs and broadcasting",
  compile({ x: f32(6, 1, 34), y: f32(5, 1), z: f32() }, ({ x, y, z }) => {
    const a = x.mul(y).add(z);
    return { a, b: a.exp().sub(x), c: y.sub(x).div(a.abs().add(2)) };
  }),
);
add(
  "integer arithmetic and shifts",
  compile({ a: i32(3, 5, 7), b: i32(7), u: u32(3, 5, 7), v: u32(5, 1) }, ({ a, b, u, v }) => ({
    i: a.div(b).add(a.mod(b)).mul(7).sub(b).xor(a).max(b).abs(),
    u: u
      .shiftLeft(v)
      .or(shiftRight(u, v.add(1)))
      .mul(2654435761)
      .div(v.add(1)),
    s: a.shiftRight(1).neg().not(),
  })),
);
add(
  "comparisons, logic and where",
  compile({ x: f32(9, 11), y: f32(11), m: bool(9, 11), n: bool(9, 1) }, ({ x, y, m, n }) => {
    const below = x.less(y).and(m).or(n.not());
    return { below, picked: where(below, x, y.mul(-1)), odd: m.xor(n).equal(x.greaterEqual(0)), none: x.isNaN() };
  }),
);
add(
  "casts between all dtypes",
  compile({ f: f32(5, 13), h: f16(5, 13), i: i32(5, 13), u: u32(5, 13), b: bool(5, 13) }, ({ f, h, i, u, b }) => ({
    toHalf: cast(f, "f16"),
    toFloat: cast(h, "f32").add(cast(i, "f32")).add(cast(u, "f32")).add(cast(b, "f32")),
    toInt: cast(f.mul(100), "i32").add(cast(b, "i32")),
    toBool: cast(i, "bool"),
    bits: bitcast(f, "u32").xor(bitcast(i, "u32")),
  })),
);
add(
  "a chain in f16, odd sizes",
  compile({ x: f16(5, 33), y: f16(33) }, ({ x, y }) => x.mul(y).add(x).tanh().mul(3).sub(y)),
);
add(
  "f16 and f32 results from one kernel, even sizes",
  compile({ x: f16(4, 64), y: f32(64) }, ({ x, y }) => {
    const w = cast(x, "f32").mul(y);
    return { w, h: cast(w, "f16"), k: x.add(x).relu() };
  }),
);
add(
  "scalars",
  compile({ a: f32(), b: f32(), k: i32() }, ({ a, b, k }) => ({
    y: a.mul(b).add(0.1),
    n: k.mul(3).add(1),
    v: a.expand([5]).mul(b),
  })),
);
add(
  "nothing: zero-sized tensors",
  compile({ x: f32(0, 5), y: f32(3, 0), z: f32(3) }, ({ x, y, z }) => ({
    a: x.mul(2),
    sum: sum(y, { axes: 1 }).add(z),
    all: sum(x, { axes: 0 }),
    product: matmul(y, x),
  })),
);
add(
  "eight axes",
  compile({ x: f32(2, 1, 3, 1, 2, 2, 1, 3), y: f32(1, 4, 1, 1, 2, 1, 1, 3) }, ({ x, y }) =>
    x.add(y).transpose([7, 0, 2, 4, 1, 3, 5, 6]).mul(2).neg(),
  ),
);
add(
  "constants: zeros, infinities, NaN, the largest and smallest",
  compile({ x: f32(4) }, ({ x }) => {
    const special = [0, -0, Infinity, -Infinity, NaN, 3.4028234663852886e38, -3.4028234663852886e38, 2 ** -126, 0.1];
    return special.map((c) => (c === 0 ? x.mul(0).add(constant(c)) : where(x.less(9), constant(c), x)));
  }),
);
add(
  "a literal table and iota",
  compile({ x: f32(3, 4) }, ({ x }) => ({
    y: x.mul(constant([1.5, -2, 0, 1e-3])).add(iota([3, 4], { axis: 0, dtype: "f32" })),
    t: triangular(x, { upper: false, diagonal: 1 }),
    n: iota([3, 4], { axis: 1 }).add(1),
  })),
);
add(
  "views: transpose, slice with negative steps, flip, tile, reshape",
  compile({ x: f32(6, 10, 4) }, ({ x }) => ({
    a: x
      .transpose([2, 0, 1])
      .slice([
        [null, null, -1],
        [1, 6, 2],
      ])
      .neg(),
    b: x
      .reshape([12, 20])
      .flip({ axes: [1] })
      .add(1),
    c: x.slice([[0, 2]]).tile([2, 1, 3]),
    d: x.reshape([3, 2, 40]).transpose([1, 0, 2]),
  })),
);
add(
  "every way of padding",
  compile({ x: f32(5, 7) }, ({ x }) => ({
    constant: pad(x, { low: [1, 0], high: [2, 3], value: -1.5 }),
    edge: pad(x, { low: 2, high: 1, mode: "edge" }),
    reflection: pad(x, { low: [3, 4], high: [1, 5], mode: "reflection" }),
    symmetric: pad(x, { low: [2, 7], high: [5, 1], mode: "symmetric" }),
  })),
);
add(
  "more operands than a kernel binds",
  compile(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`x${i}`, f32(3, i + 1)])), (xs) => {
    const all = Object.values(xs);
    return {
      wide: concat(all, { axis: 1 }),
      total: all.map((x) => x.slice([null, [0, 1]])).reduce((a, b) => a.add(b)),
    };
  }),
);
add(
  "the same tensor several times",
  compile({ x: f32(65), y: f32(65) }, ({ x, y }) => ({
    twice: x.add(x),
    joined: concat([x, y, x], { axis: 0 }),
    pairs: stack([x.mul(y), y], { axis: 1 }),
  })),
);
add(
  "an input is an output",
  compile({ x: f32(5), h: f16(3), b: bool(2, 2) }, ({ x, h, b }) => ({ x, view: x.reshape([5, 1]), h, b })),
);

// Rows and columns

add(
  "softmax of odd rows, scaled and masked",
  compile({ x: f32(37, 65), m: f32(65) }, ({ x, m }) => softmax(x.mul(0.125).add(m))),
);
add(
  "softmax of long rows, few of them",
  compile({ x: f32(3, 5000) }, ({ x }) => softmax(x)),
);
add(
  "softmax over columns",
  compile({ x: f32(64, 36), y: f32(5, 12, 3) }, ({ x, y }) => ({
    a: softmax(x, { axis: 0 }),
    b: softmax(y, { axis: 1 }),
  })),
);
add(
  "logSoftmax of f16",
  compile({ x: f16(6, 50) }, ({ x }) => logSoftmax(x)),
);
add(
  "layerNorm with residual, affine and cast",
  compile({ x: f32(12, 96), r: f32(12, 96), scale: f32(96), bias: f32(96) }, ({ x, r, scale, bias }) => {
    const h = x.add(r);
    return { h, y: cast(layerNorm(h, { scale, bias }), "f16") };
  }),
);
add(
  "rmsNorm of f16, odd rows",
  compile({ x: f16(9, 33), scale: f16(33) }, ({ x, scale }) => rmsNorm(x, { scale })),
);
add(
  "a full reduction in two kernels",
  compile({ x: f32(301, 333) }, ({ x }) => ({ norm: l2(x), largest: x.max() })),
);
add(
  "reductions of every kind over middle axes",
  compile({ x: f32(4, 6, 5), i: i32(4, 6, 5), b: bool(4, 6, 5) }, ({ x, i, b }) => ({
    sum: sum(x, { axes: 1 }),
    prod: prod(x, { axes: [0, 2], keepDims: true }),
    least: x.min({ axes: 1 }),
    most: i.max({ axes: [0, 1] }),
    total: sum(i.mul(1000000007), { axes: 2 }),
    any: b.any({ axes: 0 }),
    all: b.all({ axes: [1, 2] }),
    mean: mean(x, { axes: [0, 1, 2] }),
    lse: logSumExp(x, { axes: 2, keepDims: true }),
  })),
);
add(
  "many reductions of one tensor, by rows and by columns",
  compile({ x: f32(70, 44) }, ({ x }) => {
    const each = (axes: number) => [1, 2, 3, 4, 5, 6].map((i) => sum(x.mul(i).exp(), { axes }));
    return {
      rows: each(1)
        .reduce((a, b) => a.add(b))
        .sub(x.max({ axes: 1 })),
      columns: each(0),
    };
  }),
);
add(
  "Welford's mean and variance by a reduce of three states",
  compile({ x: f32(5, 700) }, ({ x }) => {
    const [m, s, n] = reduce([x, x.mul(0), x.mul(0).add(1)], {
      axes: 1,
      identity: [0, 0, 0],
      combine: ([ma, sa, na], [mb, sb, nb]) => {
        const n = na.add(nb);
        const safe = n.max(1);
        const d = mb.sub(ma);
        return [ma.add(d.mul(nb).div(safe)), sa.add(sb).add(d.mul(d).mul(na).mul(nb).div(safe)), n];
      },
    });
    return { m, variance: s.div(n) };
  }),
);
add(
  "argMax and argMin",
  compile({ x: f32(7, 130) }, ({ x }) => ({ most: argMax(x), least: argMin(x, { axis: 0, keepDims: true }) })),
);
add(
  "column sums, f32 and f16",
  compile({ x: f32(129, 66), h: f16(40, 6) }, ({ x, h }) => ({ b: sum(x, { axes: 0 }), c: sum(h, { axes: 0 }) })),
);
add(
  "normalisations of images",
  compile({ x: f32(2, 6, 5, 3), m: f32(6), v: f32(6), scale: f32(6), bias: f32(6) }, ({ x, m, v, scale, bias }) => ({
    batch: batchNorm(x, m, v, { scale, bias }),
    group: groupNorm(x, { groups: 3, scale, bias }),
    instance: instanceNorm(x, { bias }),
  })),
  { ranges: { v: [0.5, 2] } },
);
add(
  "crossEntropy of logits",
  compile({ x: f32(10, 77), t: i32(10) }, ({ x, t }) => ({
    each: crossEntropy(x, t, { reduction: "none" }),
    mean: crossEntropy(x, t),
  })),
  { ranges: { t: [0, 77] } },
);

// Contractions

add(
  "matmul with bias and gelu",
  compile({ x: f32(17, 64), w: f32(64, 96), b: f32(96) }, ({ x, w, b }) =>
    gelu(matmul(x, w).add(b), { approximate: "tanh" }),
  ),
);
add(
  "matmul of odd sizes with a residual and a row sum after it",
  compile({ x: f32(5, 7), w: f32(7, 3), r: f32(5, 3) }, ({ x, w, r }) => {
    const y = matmul(x, w).add(r);
    return { y, s: sum(y, { axes: 1 }) };
  }),
);
add(
  "batched matmul, broadcast and transposed",
  compile({ a: f32(2, 1, 8, 6), b: f32(3, 10, 8), c: f32(3, 9, 5), d: f32(3, 9, 4) }, ({ a, b, c, d }) => ({
    x: matmul(a, b, { transposeA: true, transposeB: true }),
    y: matmul(c, d, { transposeA: true }),
  })),
);
add(
  "matmul of f16 with f32 epilogue",
  compile({ x: f16(33, 40), w: f16(40, 24), b: f32(24) }, ({ x, w, b }) => cast(matmul(x, w), "f32").add(b)),
);
add(
  "matrix times vector and vector times matrix",
  compile({ a: f32(130, 128), v: f32(128), w: f32(130) }, ({ a, v, w }) => ({ r: matmul(a, v), l: matmul(w, a) })),
);
add(
  "integer matmul",
  compile({ a: i32(6, 9), b: i32(9, 4) }, ({ a, b }) => matmul(a, b).add(1)),
);
add(
  "matmul with elementwise operands",
  compile({ x: f16(16, 64), s: f32(64), w: f32(64, 32), m: f32(16, 64) }, ({ x, s, w, m }) =>
    matmul(tanh(cast(x, "f32").mul(s)).mul(m), w.mul(0.5)),
  ),
);
add(
  "matmul over an empty axis",
  compile({ a: f32(3, 0), b: f32(0, 4), c: f32(4) }, ({ a, b, c }) => matmul(a, b).add(c)),
);
add(
  "einsum",
  compile({ a: f32(3, 4, 5), b: f32(4, 6, 3) }, ({ a, b }) => einsum("bij,ikb->bkj", a, b)),
);

// Attention

add(
  "causal attention with grouped heads",
  compile({ q: f32(2, 4, 11, 8), k: f32(2, 2, 11, 8), v: f32(2, 2, 11, 8) }, ({ q, k, v }) =>
    attention(q, k, v, { causal: true }),
  ),
);
add(
  "masked attention of odd depth, keys beyond the queries",
  compile({ q: f32(3, 5, 7), k: f32(3, 9, 7), v: f32(3, 9, 5), m: f32(5, 9) }, ({ q, k, v, m }) =>
    attention(q, k, v, { mask: m, scale: 0.3 }),
  ),
);
add(
  "attention on parts of one tensor",
  compile({ qkv: f32(2, 13, 48) }, ({ qkv }) => {
    const [q, k, v] = split(qkv, { axis: 2, parts: 3 }).map((t) =>
      t.reshape([2, 13, 2, 8]).transpose([0, 2, 1, 3]),
    ) as [Tensor, Tensor, Tensor];
    return attention(q, k, v, { causal: true }).transpose([0, 2, 1, 3]).reshape([2, 13, 16]);
  }),
);
add(
  "attention of f16",
  compile({ q: f16(2, 6, 4), k: f16(2, 6, 4), v: f16(2, 6, 4) }, ({ q, k, v }) => attention(q, k, v)),
);

// Indexed, scan, random

add(
  "embedding, gather and oneHot",
  compile({ table: f32(29, 12), ids: i32(3, 5), u: u32(4) }, ({ table, ids, u }) => ({
    e: embedding(table, ids).mul(2),
    g: gather(table, u, { axis: 1 }),
    h: oneHot(ids, { depth: 6, axis: 1, on: 3, off: -1 }),
  })),
  { ranges: { ids: [-35, 35], u: [0, 12] } },
);
add(
  "gatherElements and gatherND",
  compile({ x: f32(6, 7, 5), i: i32(6, 3, 5), p: i32(4, 2) }, ({ x, i, p }) => ({
    e: gatherElements(x, i, { axis: 1 }),
    n: gatherND(x, p).add(1),
  })),
);
add(
  "scatters",
  compile({ x: f32(6, 5), i: i32(4, 5), u: f32(4, 5), n: i32(3, 1), w: f32(3, 5), ids: i32(9), g: f32(9, 5) }, (t) => ({
    set: scatterElements(t.x, t.i, t.u, { axis: 0 }),
    most: scatterElements(t.x, t.i, t.u, { axis: 0, reduction: "max" }),
    nd: scatterND(t.x, t.n, t.w, { reduction: "mul" }),
    add: scatterAdd(t.x.mul(0), t.ids, t.g).add(t.x),
  })),
);
add(
  "running sums",
  compile({ x: f32(5, 40), i: i32(3, 8, 2) }, ({ x, i }) => ({
    a: cumSum(x.mul(2)),
    b: cumSum(x, { axis: 0, exclusive: true, reverse: true }),
    c: cumSum(i, { axis: 1 }),
  })),
);
add(
  "rotary positions",
  compile({ x: f32(2, 7, 8), p: i32(7) }, ({ x, p }) => ({
    a: rope(x, p),
    b: rope(x, p, { pairing: "neighbours", base: 100 }),
  })),
  { ranges: { p: [0, 64] } },
);
add(
  "random numbers",
  compile({ seed: u32(2), x: f32(6, 9) }, ({ seed, x }) => ({
    u: uniform(seed, [6, 9]),
    n: normal(seed, [33], { mean: 1, std: 2 }),
    dropped: where(bernoulli(seed, [6, 9], { p: 0.75 }), x.div(0.75), 0),
  })),
);

// Whole programs

add(
  "weights prepared once: transposed, cast and normalised",
  compile(
    { x: f32(6, 16), w: f32(24, 16), g: f32(24), b: f32(24) },
    ({ x, w, g, b }) =>
      matmul(x, w.div(l2(w, { axes: 1, keepDims: true })).transpose())
        .mul(g.exp())
        .add(b),
    { weights: ["w", "g", "b"] },
  ),
);
const T = dim("T");
add(
  "a transformer block at a symbolic length",
  compile(
    { x: f32(2, T, 32), qkv: f32(32, 96), out: f32(32, 32), up: f32(32, 64), down: f32(64, 32), scale: f32(32) },
    ({ x, qkv, out, up, down, scale }) => {
      const heads = (t: Tensor): Tensor => t.reshape([2, T, 4, 8]).transpose([0, 2, 1, 3]);
      const [q, k, v] = split(matmul(layerNorm(x, { scale }), qkv), { axis: 2, parts: 3 }).map(heads) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      const mixed = attention(q, k, v, { causal: true }).transpose([0, 2, 1, 3]).reshape([2, T, 32]);
      const h = x.add(matmul(mixed, out));
      return h.add(matmul(gelu(matmul(layerNorm(h), up)), down));
    },
    { weights: ["qkv", "out", "up", "down", "scale"] },
  ),
  {
    dims: { T: 13 },
    ranges: { qkv: [-0.3, 0.3], out: [-0.3, 0.3], up: [-0.3, 0.3], down: [-0.3, 0.3] },
  },
);
add(
  "an optimiser step over several parameters, with clipping; state is donated",
  compile(
    {
      p: { a: f32(9, 7), b: f32(13) },
      m: { a: f32(9, 7), b: f32(13) },
      g: { a: f32(9, 7), b: f32(13) },
      lr: f32(),
      bound: f32(),
    },
    ({ p, m, g, lr, bound }) => {
      const norm = sum(g.a.mul(g.a))
        .add(sum(g.b.mul(g.b)))
        .sqrt();
      const by = clamp(bound.div(norm), null, 1);
      const next = (["a", "b"] as const).map((k) => {
        const moment = m[k].mul(0.9).add(g[k].mul(by).mul(0.1));
        return { k, moment, value: p[k].sub(moment.mul(lr)) };
      });
      return {
        norm,
        p: Object.fromEntries(next.map((n) => [n.k, n.value])),
        m: Object.fromEntries(next.map((n) => [n.k, n.moment])),
      };
    },
    { donate: ["p", "m"] },
  ),
);
add(
  "states that exchange their places",
  compile({ a: f32(6), b: f32(6), x: f32(6) }, ({ a, b, x }) => ({ a: b, b: a.add(x) }), { donate: ["a", "b"] }),
);

/** Programs of every family, dtype and kind of shape, with several outputs, weights and state; small enough to run everywhere. */
export const programs: readonly ProgramCase[] = made;
