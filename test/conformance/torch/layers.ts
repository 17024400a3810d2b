import * as s from "../../../src/index.ts";
import { pNorm, variance } from "./reductions.ts";
import {
  type Arg,
  axesOf,
  axisOf,
  count,
  type Kwargs,
  number,
  numbers,
  operand,
  optional,
  shape,
  type Tensor,
  type TorchOperator,
  tensor,
} from "./values.ts";

const defined = <T extends object>(o: T): T =>
  Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined)) as T;

/** Affine parameters under PyTorch's names. */
const affine = (scale: Arg, bias: Arg, eps: number): s.AffineOptions =>
  defined({ scale: optional(scale), bias: optional(bias), epsilon: eps }) as s.AffineOptions;

const trailing = (x: Tensor, n: number): number[] =>
  shape(x)
    .map((_, i) => i)
    .slice(x.rank - n);

/** Statistics of a batch by channel (axis 1), as training uses them. */
function batchStatistics(x: Tensor): { mean: Tensor; variance: Tensor } {
  const axes = axesOf(x, null).filter((a) => a !== 1);
  const o = { axes, keepDims: false };
  return { mean: s.mean(x, o), variance: variance(x, o, 0) };
}

const batchNorm: TorchOperator = (x, args, kw) => {
  // A vector is a batch of one.
  if (x.rank === 1) return s.squeeze(batchNorm(s.unsqueeze(x, { axes: [0] }), args, kw) as Tensor, { axes: [0] });
  const [mean, vari, scale, bias] = args;
  const training = kw.training === true;
  const stats = training ? batchStatistics(x) : { mean: tensor(mean), variance: tensor(vari) };
  return s.batchNorm(x, stats.mean, stats.variance, affine(scale ?? kw.weight, bias ?? kw.bias, number(kw.eps, 1e-5)));
};

/** PyTorch lets a causal mask start at the first key; ours ends at the last one. */
function attention(q: Tensor, k: Tensor, v: Tensor, kw: Kwargs): Tensor {
  const batch = broadcast([q, k, v].map((x) => shape(x).slice(0, -2)));
  const wide = (x: Tensor): Tensor => s.expand(x, [...batch, ...shape(x).slice(-2)]);
  const [rows, keys] = [shape(q).at(-2) as number, shape(k).at(-2) as number];
  const mask = optional(kw.attn_mask);
  if (kw.is_causal !== true) return s.attention(wide(q), wide(k), wide(v), mask ? { mask } : {});
  if (rows === keys) return s.attention(wide(q), wide(k), wide(v), { causal: true });
  const row = s.iota([rows, keys], { axis: 0, dtype: "i32" });
  const column = s.iota([rows, keys], { axis: 1, dtype: "i32" });
  const hidden = s.where(s.lessEqual(column, row), s.constant(0, [], "f32"), Number.NEGATIVE_INFINITY);
  return s.attention(wide(q), wide(k), wide(v), { mask: hidden });
}

function broadcast(list: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...list.map((d) => d.length));
  return Array.from({ length: rank }, (_, i) =>
    list.reduce((n, d) => {
      const own = d[i - rank + d.length] ?? 1;
      return own === 1 ? n : own;
    }, 1),
  );
}

const cosine: TorchOperator = (a, [b], kw) => {
  const both = broadcast([shape(a), shape(tensor(b))]);
  const [x, y] = [s.expand(a, both), s.expand(tensor(b), both)];
  const o = { axes: axesOf(x, kw.dim ?? 1), keepDims: false };
  const eps = number(kw.eps, 1e-8);
  const length = (t: Tensor): Tensor => s.max(s.l2(t, { ...o, keepDims: true }), eps);
  return s.sum(s.mul(s.div(x, length(x)), s.div(y, length(y))), o);
};

const product =
  (transposeB = false): TorchOperator =>
  (x, [y]) =>
    s.matmul(x, tensor(y), { transposeB });

/** beta * x + alpha * (a @ b) */
const addProduct: TorchOperator = (x, [a, b], kw) =>
  s.add(s.mul(x, number(kw.beta, 1)), s.mul(s.matmul(tensor(a), tensor(b)), number(kw.alpha, 1)));

function bilinear(x: Tensor, y: Tensor, w: Tensor, bias: Tensor | undefined): Tensor {
  const batch = shape(x).slice(0, -1);
  const n = batch.reduce((p, d) => p * d, 1);
  const [o, i, j] = shape(w) as [number, number, number];
  // [n, 1, i] · [o, i, j] would broadcast n against o; one product of matrices over i, then a sum over j.
  const xw = s.reshape(s.matmul(s.reshape(x, [n, i]), s.reshape(s.transpose(w, [1, 0, 2]), [i, o * j])), [n, o, j]);
  const made = s.sum(s.mul(xw, s.reshape(y, [n, 1, j])), { axes: [2] });
  return s.reshape(bias ? s.add(made, bias) : made, [...batch, o]);
}

function kron(a: Tensor, b: Tensor): Tensor {
  const rank = Math.max(a.rank, b.rank);
  const wide = (x: Tensor): number[] => [...new Array<number>(rank - x.rank).fill(1), ...shape(x)];
  const [p, q] = [wide(a), wide(b)];
  const made = s.mul(
    s.reshape(
      a,
      p.flatMap((n) => [n, 1]),
    ),
    s.reshape(
      b,
      q.flatMap((n) => [1, n]),
    ),
  );
  return s.reshape(
    made,
    p.map((n, i) => n * (q[i] as number)),
  );
}

const soft =
  (f: (x: Tensor, o: { axis: number }) => Tensor): TorchOperator =>
  (x, [dim]) =>
    x.rank === 0 ? s.reshape(f(s.reshape(x, [1]), { axis: 0 }), []) : f(x, { axis: axisOf(x, dim) });

export const layers: Readonly<Record<string, TorchOperator>> = {
  addmm: addProduct,
  "addmm.decomposed": addProduct,
  baddbmm: addProduct,
  "bmm.triton_optimized": product(),
  kron: (x, [y]) => kron(x, tensor(y)),
  log_softmax: soft(s.logSoftmax),
  matmul: product(),
  mm: product(),
  outer: (x, [y]) => s.mul(s.reshape(x, [count(x), 1]), tensor(y)),
  softmax: soft(s.softmax),
  "nn.functional.batch_norm": batchNorm,
  "nn.functional.bilinear": (x, [y, w, b]) => bilinear(x, tensor(y), tensor(w), optional(b)),
  "nn.functional.cosine_similarity": cosine,
  "nn.functional.group_norm": (x, [groups], kw) =>
    s.groupNorm(x, { groups: number(groups), ...affine(kw.weight, kw.bias, number(kw.eps, 1e-5)) }),
  "nn.functional.instance_norm": (x, _, kw) =>
    kw.use_input_stats === false
      ? s.batchNorm(
          x,
          tensor(kw.running_mean),
          tensor(kw.running_var),
          affine(kw.weight, kw.bias, number(kw.eps, 1e-5)),
        )
      : s.instanceNorm(x, affine(kw.weight, kw.bias, number(kw.eps, 1e-5))),
  "nn.functional.layer_norm": (x, [sizes, scale, bias], kw) =>
    s.layerNorm(x, {
      axes: trailing(x, numbers(sizes).length),
      ...affine(scale ?? kw.weight, bias ?? kw.bias, number(kw.eps, 1e-5)),
    }),
  "nn.functional.normalize": (x, _, kw) => {
    const length = pNorm(x, number(kw.p, 2), { axes: axesOf(x, kw.dim ?? 1), keepDims: true });
    return s.div(x, s.max(length, number(kw.eps, 1e-12)));
  },
  "nn.functional.pairwise_distance": (x, [y], kw) => {
    const d = s.add(s.sub(x, operand(y)), number(kw.eps, 1e-6));
    return pNorm(d, number(kw.p, 2), { axes: [d.rank - 1], keepDims: kw.keepdim === true });
  },
  "nn.functional.rms_norm": (x, [sizes, scale], kw) =>
    s.rmsNorm(x, {
      axes: trailing(x, numbers(sizes).length),
      ...defined({ scale: optional(scale ?? kw.weight) }),
      epsilon: number(kw.eps, 2 ** -23),
    } as s.RmsNormOptions),
  "nn.functional.scaled_dot_product_attention": (q, [k, v], kw) => attention(q, tensor(k), tensor(v), kw),
  "nn.functional.softmin": soft((x, o) => s.softmax(s.neg(x), o)),
};
