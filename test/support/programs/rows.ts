import {
  argMax,
  argMin,
  batchNorm,
  bool,
  cast,
  compile,
  crossEntropy,
  f16,
  f32,
  groupNorm,
  i32,
  instanceNorm,
  l2,
  layerNorm,
  logSoftmax,
  logSumExp,
  mean,
  prod,
  reduce,
  rmsNorm,
  softmax,
  sum,
} from "../../../src/index.ts";
import type { Listed } from "./listed.ts";

/** Reductions and normalisations, over rows and over columns. */
export const rowPrograms: readonly Listed[] = [
  [
    "softmax of odd rows, scaled and masked",
    compile({ x: f32(37, 65), m: f32(65) }, ({ x, m }) => softmax(x.mul(0.125).add(m))),
  ],
  ["softmax of long rows, few of them", compile({ x: f32(3, 5000) }, ({ x }) => softmax(x))],
  [
    "softmax over columns",
    compile({ x: f32(64, 36), y: f32(5, 12, 3) }, ({ x, y }) => ({
      a: softmax(x, { axis: 0 }),
      b: softmax(y, { axis: 1 }),
    })),
  ],
  ["logSoftmax of f16", compile({ x: f16(6, 50) }, ({ x }) => logSoftmax(x))],
  [
    "layerNorm with residual, affine and cast",
    compile({ x: f32(12, 96), r: f32(12, 96), scale: f32(96), bias: f32(96) }, ({ x, r, scale, bias }) => {
      const h = x.add(r);
      return { h, y: cast(layerNorm(h, { scale, bias }), "f16") };
    }),
  ],
  ["rmsNorm of f16, odd rows", compile({ x: f16(9, 33), scale: f16(33) }, ({ x, scale }) => rmsNorm(x, { scale }))],
  ["a full reduction in two kernels", compile({ x: f32(301, 333) }, ({ x }) => ({ norm: l2(x), largest: x.max() }))],
  [
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
  ],
  [
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
  ],
  [
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
  ],
  [
    "argMax and argMin",
    compile({ x: f32(7, 130) }, ({ x }) => ({ most: argMax(x), least: argMin(x, { axis: 0, keepDims: true }) })),
  ],
  [
    "column sums, f32 and f16",
    compile({ x: f32(129, 66), h: f16(40, 6) }, ({ x, h }) => ({ b: sum(x, { axes: 0 }), c: sum(h, { axes: 0 }) })),
  ],
  [
    "normalisations of images",
    compile({ x: f32(2, 6, 5, 3), m: f32(6), v: f32(6), scale: f32(6), bias: f32(6) }, ({ x, m, v, scale, bias }) => ({
      batch: batchNorm(x, m, v, { scale, bias }),
      group: groupNorm(x, { groups: 3, scale, bias }),
      instance: instanceNorm(x, { bias }),
    })),
    { ranges: { v: [0.5, 2] } },
  ],
  [
    "crossEntropy of logits",
    compile({ x: f32(10, 77), t: i32(10) }, ({ x, t }) => ({
      each: crossEntropy(x, t, { reduction: "none" }),
      mean: crossEntropy(x, t),
    })),
    { ranges: { t: [0, 77] } },
  ],
];
