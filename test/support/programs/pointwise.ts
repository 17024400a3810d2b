import {
  bitcast,
  bool,
  cast,
  compile,
  concat,
  constant,
  f16,
  f32,
  i32,
  iota,
  matmul,
  pad,
  shiftRight,
  stack,
  sum,
  triangular,
  u32,
  where,
} from "../../../src/index.ts";
import type { Listed } from "./listed.ts";

/** Elementwise programs, views, casts and constants. */
export const pointwisePrograms: readonly Listed[] = [
  [
    "a chain of ten ops, odd sizes",
    compile({ x: f32(7, 33), y: f32(33) }, ({ x, y }) =>
      x.add(y).mul(0.5).tanh().sub(y).abs().add(1).log().neg().sigmoid().max(0.25).sqrt(),
    ),
  ],
  [
    "an elementwise DAG with three outputs and broadcasting",
    compile({ x: f32(6, 1, 34), y: f32(5, 1), z: f32() }, ({ x, y, z }) => {
      const a = x.mul(y).add(z);
      return { a, b: a.exp().sub(x), c: y.sub(x).div(a.abs().add(2)) };
    }),
  ],
  [
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
  ],
  [
    "comparisons, logic and where",
    compile({ x: f32(9, 11), y: f32(11), m: bool(9, 11), n: bool(9, 1) }, ({ x, y, m, n }) => {
      const below = x.less(y).and(m).or(n.not());
      return { below, picked: where(below, x, y.mul(-1)), odd: m.xor(n).equal(x.greaterEqual(0)), none: x.isNaN() };
    }),
  ],
  [
    "casts between all dtypes",
    compile({ f: f32(5, 13), h: f16(5, 13), i: i32(5, 13), u: u32(5, 13), b: bool(5, 13) }, ({ f, h, i, u, b }) => ({
      toHalf: cast(f, "f16"),
      toFloat: cast(h, "f32").add(cast(i, "f32")).add(cast(u, "f32")).add(cast(b, "f32")),
      toInt: cast(f.mul(100), "i32").add(cast(b, "i32")),
      toBool: cast(i, "bool"),
      bits: bitcast(f, "u32").xor(bitcast(i, "u32")),
    })),
  ],
  [
    "a chain in f16, odd sizes",
    compile({ x: f16(5, 33), y: f16(33) }, ({ x, y }) => x.mul(y).add(x).tanh().mul(3).sub(y)),
  ],
  [
    "f16 and f32 results from one kernel, even sizes",
    compile({ x: f16(4, 64), y: f32(64) }, ({ x, y }) => {
      const w = cast(x, "f32").mul(y);
      return { w, h: cast(w, "f16"), k: x.add(x).relu() };
    }),
  ],
  [
    "scalars",
    compile({ a: f32(), b: f32(), k: i32() }, ({ a, b, k }) => ({
      y: a.mul(b).add(0.1),
      n: k.mul(3).add(1),
      v: a.expand([5]).mul(b),
    })),
  ],
  [
    "nothing: zero-sized tensors",
    compile({ x: f32(0, 5), y: f32(3, 0), z: f32(3) }, ({ x, y, z }) => ({
      a: x.mul(2),
      sum: sum(y, { axes: 1 }).add(z),
      all: sum(x, { axes: 0 }),
      product: matmul(y, x),
    })),
  ],
  [
    "eight axes",
    compile({ x: f32(2, 1, 3, 1, 2, 2, 1, 3), y: f32(1, 4, 1, 1, 2, 1, 1, 3) }, ({ x, y }) =>
      x.add(y).transpose([7, 0, 2, 4, 1, 3, 5, 6]).mul(2).neg(),
    ),
  ],
  [
    "constants: zeros, infinities, NaN, the largest and smallest",
    compile({ x: f32(4) }, ({ x }) => {
      const special = [0, -0, Infinity, -Infinity, NaN, 3.4028234663852886e38, -3.4028234663852886e38, 2 ** -126, 0.1];
      return special.map((c) => (c === 0 ? x.mul(0).add(constant(c)) : where(x.less(9), constant(c), x)));
    }),
  ],
  [
    "a literal table and iota",
    compile({ x: f32(3, 4) }, ({ x }) => ({
      y: x.mul(constant([1.5, -2, 0, 1e-3])).add(iota([3, 4], { axis: 0, dtype: "f32" })),
      t: triangular(x, { upper: false, diagonal: 1 }),
      n: iota([3, 4], { axis: 1 }).add(1),
    })),
  ],
  [
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
  ],
  [
    "every way of padding",
    compile({ x: f32(5, 7) }, ({ x }) => ({
      constant: pad(x, { low: [1, 0], high: [2, 3], value: -1.5 }),
      edge: pad(x, { low: 2, high: 1, mode: "edge" }),
      reflection: pad(x, { low: [3, 4], high: [1, 5], mode: "reflection" }),
      symmetric: pad(x, { low: [2, 7], high: [5, 1], mode: "symmetric" }),
    })),
  ],
  [
    "more operands than a kernel binds",
    compile(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`x${i}`, f32(3, i + 1)])), (xs) => {
      const all = Object.values(xs);
      return {
        wide: concat(all, { axis: 1 }),
        total: all.map((x) => x.slice([null, [0, 1]])).reduce((a, b) => a.add(b)),
      };
    }),
  ],
  [
    "the same tensor several times",
    compile({ x: f32(65), y: f32(65) }, ({ x, y }) => ({
      twice: x.add(x),
      joined: concat([x, y, x], { axis: 0 }),
      pairs: stack([x.mul(y), y], { axis: 1 }),
    })),
  ],
  [
    "an input is an output",
    compile({ x: f32(5), h: f16(3), b: bool(2, 2) }, ({ x, h, b }) => ({ x, view: x.reshape([5, 1]), h, b })),
  ],
];
