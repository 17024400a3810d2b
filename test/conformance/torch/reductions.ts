import * as s from "../../../src/index.ts";
import {
  type Arg,
  axesOf,
  axisOf,
  flat,
  type Kwargs,
  number,
  shape,
  type Tensor,
  type TorchOperator,
  tensor,
} from "./values.ts";

type Options = { axes: readonly number[]; keepDims: boolean };

/** Reductions called as f(x, dim, keepdim), positional or named. */
const reduction =
  (f: (x: Tensor, o: Options) => Tensor): TorchOperator =>
  (x, [dim, keep], kw) =>
    f(x, { axes: axesOf(x, dim ?? kw.dim), keepDims: Boolean(keep ?? kw.keepdim ?? false) });

const arg =
  (f: (x: Tensor, o: { axis: number; keepDims: boolean }) => Tensor): TorchOperator =>
  (x, _, kw) => {
    const keepDims = Boolean(kw.keepdim ?? false);
    if (x.rank === 0) return s.cast(s.mul(x, 0), "i32");
    if (kw.dim === undefined || kw.dim === null) return f(flat(x), { axis: 0, keepDims: false });
    return f(x, { axis: number(kw.dim), keepDims });
  };

const withIndices =
  (
    value: (x: Tensor, o: Options) => Tensor,
    index: (x: Tensor, o: { axis: number; keepDims: boolean }) => Tensor,
  ): TorchOperator =>
  (x, [dim, keep]) => {
    if (x.rank === 0) return [x, s.cast(s.mul(x, 0), "i32")];
    const axis = axisOf(x, dim);
    const keepDims = Boolean(keep ?? false);
    return [value(x, { axes: [axis], keepDims }), index(x, { axis, keepDims })];
  };

/** Sum of squared distances from the mean over n - correction. */
export function variance(x: Tensor, o: Options, correction: number): Tensor {
  const n = o.axes.reduce((p, a) => p * (shape(x)[a] as number), 1);
  const centred = s.sub(x, s.mean(x, { axes: o.axes, keepDims: true }));
  // PyTorch never divides by less than 0.
  return s.div(s.sumSquare(centred, o), Math.max(0, n - correction));
}

const correctionOf = (kw: Kwargs, unbiased: Arg): number =>
  typeof unbiased === "boolean" ? Number(unbiased) : number(kw.correction, 1);

const spread =
  (f: (v: Tensor) => Tensor, withMean: boolean): TorchOperator =>
  (x, [first], kw) => {
    const unbiased = typeof first === "boolean" ? first : kw.unbiased;
    const o = { axes: axesOf(x, kw.dim), keepDims: Boolean(kw.keepdim ?? false) };
    const v = f(variance(x, o, correctionOf(kw, unbiased)));
    return withMean ? [v, s.mean(x, o)] : v;
  };

/** The p-norm over axes. */
export function pNorm(x: Tensor, p: number, o: Options): Tensor {
  if (p === Number.POSITIVE_INFINITY) return s.max(s.abs(x), o);
  if (p === Number.NEGATIVE_INFINITY) return s.min(s.abs(x), o);
  if (p === 0) return s.sum(s.cast(s.notEqual(x, 0), "f32"), o);
  if (p === 1) return s.l1(x, o);
  if (p === 2) return s.l2(x, o);
  return s.pow(s.sum(s.pow(s.abs(x), p), o), 1 / p);
}

const norm: TorchOperator = (x, [p, dim], kw) =>
  pNorm(x, p === "fro" || p === undefined ? 2 : number(p), {
    axes: axesOf(x, dim ?? kw.dim),
    keepDims: Boolean(kw.keepdim ?? false),
  });

export const reductions: Readonly<Record<string, TorchOperator>> = {
  amax: reduction((x, o) => s.max(x, o)),
  amin: reduction((x, o) => s.min(x, o)),
  argmax: arg(s.argMax),
  argmin: arg(s.argMin),
  cumsum: (x, [dim]) => s.cumSum(x, { axis: axisOf(x, dim as Arg) }),
  dist: (x, [y, p]) => {
    const d = s.sub(x, tensor(y));
    return pNorm(d, number(p, 2), { axes: axesOf(d, null), keepDims: false });
  },
  "linalg.vector_norm": (x, _, kw) =>
    pNorm(x, number(kw.ord, 2), { axes: axesOf(x, kw.dim), keepDims: Boolean(kw.keepdim ?? false) }),
  logsumexp: reduction(s.logSumExp),
  "max.reduction_with_dim": withIndices((x, o) => s.max(x, o), s.argMax),
  mean: reduction(s.mean),
  "min.reduction_no_dim": reduction((x, o) => s.min(x, o)),
  "min.reduction_with_dim": withIndices((x, o) => s.min(x, o), s.argMin),
  norm,
  "norm.fro": norm,
  "norm.inf": norm,
  prod: reduction(s.prod),
  std: spread(s.sqrt, false),
  "std.unbiased": spread(s.sqrt, false),
  std_mean: spread(s.sqrt, true),
  "std_mean.unbiased": spread(s.sqrt, true),
  sum: reduction(s.sum),
  trace: (x) => {
    const [n, m] = shape(x) as [number, number];
    const diagonal = s.equal(s.iota([n, m], { axis: 0, dtype: "i32" }), s.iota([n, m], { axis: 1, dtype: "i32" }));
    return s.sum(s.where(diagonal, x, 0));
  },
  var: spread((v) => v, false),
  "var.unbiased": spread((v) => v, false),
  var_mean: spread((v) => v, true),
  "var_mean.unbiased": spread((v) => v, true),
};
