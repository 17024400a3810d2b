import { cast, defineKernel, dim, div, expm1, f16, f32, i32, log, min, sqrt, sum, type Tensor } from "sinter";
import { like, wide } from "./precision.ts";

const n = dim("n", { hint: 1_048_576 });

/** 1 - b^t without the cancellation of b near 1. */
const oneMinusPower = (b: Tensor, t: Tensor): Tensor => expm1(t.mul(log(b))).neg();

const average = (old: Tensor, next: Tensor, keep: Tensor): Tensor => old.mul(keep).add(next.mul(keep.neg().add(1)));

const scalars = { lr: f32(), beta1: f32(), beta2: f32(), eps: f32(), weightDecay: f32(), step: i32() };
const moments = { params: f32(n), m: f32(n), v: f32(n) };
type Update = Readonly<Record<keyof typeof scalars | keyof typeof moments | "grads", Tensor>>;

function updated(x: Update): { params: Tensor; m: Tensor; v: Tensor } {
  const g = wide(x.grads);
  const t = cast(x.step, "f32");
  const m = average(x.m, g, x.beta1);
  const v = average(x.v, g.mul(g), x.beta2);
  const rate = x.lr.div(oneMinusPower(x.beta1, t));
  const spread = sqrt(oneMinusPower(x.beta2, t));
  const decayed = x.params.mul(x.lr.mul(x.weightDecay).neg().add(1));
  return { params: decayed.sub(m.div(sqrt(v).div(spread).add(x.eps)).mul(rate)), m, v };
}

/**
 * One step of AdamW over a flat arena of parameters, as torch.optim.AdamW: params, m and v are f32 and updated in place; grads
 * may be f16. `step` counts updates from 1.
 */
export const adamW = defineKernel(
  {
    name: "adamW",
    inputs: (float) => ({ ...moments, grads: float(n), ...scalars }),
    donate: ["params", "m", "v"],
  },
  (x) => updated(x),
);

/** `adamW` with f16 gradients that also writes the new parameters rounded to f16, for the next forward pass. */
export const adamWCast = defineKernel(
  {
    name: "adamWCast",
    inputs: () => ({ ...moments, grads: f16(n), ...scalars }),
    donate: ["params", "m", "v"],
    dtypes: ["f16"],
  },
  (x) => {
    const next = updated(x);
    return { ...next, half: cast(next.params, "f16") };
  },
);

/**
 * One step of stochastic gradient descent with momentum over a flat arena, as torch.optim.SGD: velocity = momentum · velocity +
 * grads + weightDecay · params, params -= lr · velocity, both in place and f32; grads may be f16.
 */
export const sgd = defineKernel(
  {
    name: "sgd",
    inputs: (float) => ({
      params: f32(n),
      velocity: f32(n),
      grads: float(n),
      lr: f32(),
      momentum: f32(),
      weightDecay: f32(),
    }),
    donate: ["params", "velocity"],
  },
  ({ params, velocity, grads, lr, momentum, weightDecay }) => {
    const next = velocity.mul(momentum).add(wide(grads).add(params.mul(weightDecay)));
    return { params: params.sub(next.mul(lr)), velocity: next };
  },
);

/** acc += grads · scale in place: acc is f32, grads may be f16. */
export const gradAccumulate = defineKernel(
  {
    name: "gradAccumulate",
    inputs: (float) => ({ acc: f32(n), grads: float(n), scale: f32() }),
    donate: ["acc"],
  },
  ({ acc, grads, scale }) => ({ acc: acc.add(wide(grads).mul(scale)) }),
);

const normOf = (grads: Tensor): Tensor => {
  const g = wide(grads);
  return sqrt(sum(g.mul(g)));
};

/** norm = the Euclidean norm of a flat arena, one f32. */
export const globalNorm = defineKernel(
  { name: "globalNorm", inputs: (float) => ({ grads: float(n) }) },
  ({ grads }) => ({
    norm: normOf(grads),
  }),
);

/**
 * Scales a flat arena in place so that its norm is at most maxNorm, by min(1, maxNorm / (norm + 1e-6)) as
 * torch.nn.utils.clip_grad_norm_; norm is what it was before.
 */
export const globalNormClip = defineKernel(
  { name: "globalNormClip", inputs: (float) => ({ grads: float(n), maxNorm: f32() }), donate: ["grads"] },
  ({ grads, maxNorm }) => {
    const norm = normOf(grads);
    const factor = min(div(maxNorm, norm.add(1e-6)), 1);
    return { grads: like(wide(grads).mul(factor), grads), norm };
  },
);
