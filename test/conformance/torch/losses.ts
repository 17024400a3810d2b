import * as s from "../../../src/index.ts";
import { type Kwargs, number, optional, shape, type Tensor, type TorchOperator, tensor } from "./values.ts";

const square = (x: Tensor): Tensor => s.mul(x, x);

/** `reduction`: mean (default), sum, none, or batchmean. */
function reduced(loss: Tensor, kw: Kwargs): Tensor {
  const how = kw.reduction ?? "mean";
  if (how === "none") return loss;
  if (how === "sum") return s.sum(loss);
  return how === "batchmean" ? s.div(s.sum(loss), shape(loss)[0] ?? 1) : s.mean(loss);
}

const loss =
  (f: (x: Tensor, y: Tensor, kw: Kwargs) => Tensor): TorchOperator =>
  (x, [y], kw) =>
    reduced(f(x, tensor(y), kw), kw);

/** Quadratic up to delta, linear beyond; `scale` divides the quadratic part. */
function huber(x: Tensor, y: Tensor, delta: number): Tensor {
  const d = s.abs(s.sub(x, y));
  return s.where(s.less(d, delta), s.mul(square(d), 0.5), s.mul(s.sub(d, 0.5 * delta), delta));
}

function smoothL1(x: Tensor, y: Tensor, beta: number): Tensor {
  const d = s.abs(s.sub(x, y));
  return beta === 0 ? d : s.where(s.less(d, beta), s.div(s.mul(square(d), 0.5), beta), s.sub(d, 0.5 * beta));
}

/** -(y log p + (1 - y) log(1 - p)), logarithms not below -100. */
function binaryCrossEntropy(p: Tensor, y: Tensor): Tensor {
  const log = (v: Tensor): Tensor => s.max(s.log(v), -100);
  return s.neg(s.add(s.mul(y, log(p)), s.mul(s.sub(1, y), log(s.sub(1, p)))));
}

function withLogits(x: Tensor, y: Tensor, kw: Kwargs): Tensor {
  const positive = optional(kw.pos_weight);
  const minus = s.neg(s.logSigmoid(s.neg(x)));
  const plus = s.neg(s.logSigmoid(x));
  return s.add(s.mul(s.mul(y, plus), positive ?? 1), s.mul(s.sub(1, y), minus));
}

const weighted = (l: Tensor, kw: Kwargs): Tensor => {
  const w = optional(kw.weight);
  return w ? s.mul(l, w) : l;
};

/** e^x - y x, or x - y log x, with Stirling's terms where y > 1. */
function poisson(x: Tensor, y: Tensor, kw: Kwargs): Tensor {
  const base =
    kw.log_input === false ? s.sub(x, s.mul(y, s.log(s.add(x, number(kw.eps, 1e-8))))) : s.sub(s.exp(x), s.mul(y, x));
  if (kw.full !== true) return base;
  const stirling = s.add(s.sub(s.mul(y, s.log(y)), y), s.mul(s.log(s.mul(y, 2 * Math.PI)), 0.5));
  return s.add(base, s.where(s.greater(y, 1), stirling, 0));
}

function klDiv(x: Tensor, y: Tensor, kw: Kwargs): Tensor {
  if (kw.log_target === true) return s.mul(s.exp(y), s.sub(y, x));
  const entropy = s.where(s.equal(y, 0), 0, s.mul(y, s.log(y)));
  return s.sub(entropy, s.mul(y, x));
}

/** Classes on axis 1 (0 for a vector) moved to the end. */
function classesLast(x: Tensor): Tensor {
  if (x.rank < 3) return x;
  const axes = shape(x).map((_, i) => i);
  return s.transpose(x, [0, ...axes.slice(2), 1]);
}

/** -x[target] by class, with class weights and an ignored class. */
function negativeLogLikelihood(logp: Tensor, target: Tensor, kw: Kwargs): Tensor {
  const x = classesLast(logp);
  const ignored = number(kw.ignore_index, -100);
  const counts = s.notEqual(target, ignored);
  const index = s.where(counts, target, 0);
  const picked = s.reshape(
    s.gatherElements(x, s.reshape(index, [...shape(index), 1]), { axis: x.rank - 1 }),
    shape(index),
  );
  const w = optional(kw.weight);
  const weight = s.where(counts, w ? s.gather(w, index) : s.expand(s.constant(1, [], "f32"), shape(index)), 0);
  // An ignored target may sit on a class of log-probability -inf, and 0 · inf is NaN.
  const losses = s.where(counts, s.neg(s.mul(picked, weight)), 0);
  if (kw.reduction === "none") return losses;
  return kw.reduction === "sum" ? s.sum(losses) : s.div(s.sum(losses), s.sum(weight));
}

function crossEntropy(x: Tensor, target: Tensor, kw: Kwargs): Tensor {
  const axis = x.rank === 1 ? 0 : 1;
  if (target.dtype !== "f32") {
    if (optional(kw.weight) || kw.ignore_index !== undefined) {
      return negativeLogLikelihood(s.logSoftmax(x, { axis }), target, kw);
    }
    const how = (kw.reduction ?? "mean") as "mean" | "sum" | "none";
    return s.crossEntropy(classesLast(x), target, { reduction: how });
  }
  const w = optional(kw.weight);
  const logp = s.logSoftmax(x, { axis });
  const one = w && x.rank > 1 ? s.reshape(w, [w.size(0) as number, ...new Array<number>(x.rank - 2).fill(1)]) : w;
  const losses = s.neg(s.sum(s.mul(one ? s.mul(logp, one) : logp, target), { axes: [axis] }));
  if (kw.reduction === "none") return losses;
  const total = s.sum(losses);
  const n = shape(losses).reduce((p, d) => p * d, 1);
  return kw.reduction === "sum" ? total : s.div(total, n);
}

export const losses: Readonly<Record<string, TorchOperator>> = {
  "nn.functional.binary_cross_entropy": loss((x, y, kw) => weighted(binaryCrossEntropy(x, y), kw)),
  "nn.functional.binary_cross_entropy_with_logits": loss((x, y, kw) => weighted(withLogits(x, y, kw), kw)),
  "nn.functional.cross_entropy": (x, [y], kw) => crossEntropy(x, tensor(y), kw),
  "nn.functional.huber_loss": loss((x, y, kw) => huber(x, y, number(kw.delta, 1))),
  "nn.functional.kl_div": loss(klDiv),
  "nn.functional.l1_loss": loss((x, y) => s.abs(s.sub(x, y))),
  "nn.functional.mse_loss": loss((x, y) => square(s.sub(x, y))),
  "nn.functional.nll_loss": (x, [y], kw) => negativeLogLikelihood(x, tensor(y), kw),
  "nn.functional.poisson_nll_loss": loss(poisson),
  "nn.functional.smooth_l1_loss": loss((x, y, kw) => smoothL1(x, y, number(kw.beta, 1))),
};
