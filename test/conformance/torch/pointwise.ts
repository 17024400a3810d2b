import * as s from "../../../src/index.ts";
import { type Arg, number, operand, optional, type Tensor, type TorchOperator, tensor } from "./values.ts";

const unary =
  (f: (x: Tensor) => Tensor): TorchOperator =>
  (x) =>
    f(x);
const binary =
  (f: (x: Tensor, y: Tensor) => Tensor): TorchOperator =>
  (x, [y]) =>
    f(x, tensor(y as Arg));

const truth = (x: Tensor): Tensor => s.notEqual(x, 0);
const square = (x: Tensor): Tensor => s.mul(x, x);

function xlogy(x: Tensor, y: Tensor): Tensor {
  return s.where(s.and(s.equal(x, 0), s.not(s.isNaN(y))), 0, s.mul(x, s.log(y)));
}

/** The larger of a and b plus log1p of e to minus their distance. */
function logaddexp(a: Tensor, b: Tensor): Tensor {
  return s.add(s.max(a, b), s.log1p(s.exp(s.neg(s.abs(s.sub(a, b))))));
}

/** One slope for all, or one for each channel (axis 1). */
function prelu(x: Tensor, weight: Tensor): Tensor {
  if (x.rank === 0) return s.prelu(x, s.reshape(weight, []));
  const channels = weight.rank === 1 && x.rank > 1;
  return s.prelu(x, channels ? s.reshape(weight, [weight.size(0), ...new Array<number>(x.rank - 2).fill(1)]) : weight);
}

const softplus: TorchOperator = (x, _, kw) => {
  const beta = number(kw.beta, 1);
  const scaled = s.mul(x, beta);
  return s.where(s.greater(scaled, number(kw.threshold, 20)), x, s.div(s.softplus(scaled), beta));
};

const softshrink: TorchOperator = (x, _, kw) => {
  const l = number(kw.lambd, 0.5);
  return s.where(s.greater(x, l), s.sub(x, l), s.where(s.less(x, -l), s.add(x, l), 0));
};

const logit: TorchOperator = (x, [eps]) => {
  const p = eps === undefined || eps === null ? x : s.clamp(x, number(eps), 1 - number(eps));
  return s.log(s.div(p, s.sub(1, p)));
};

const bound = (v: Arg): Tensor | number | null => (v === undefined || v === null ? null : operand(v));

/** Gradient of the SELU's negative part and its scale. Klambauer et al., 2017. */
const seluAlpha = 1.6732632423543772;
const seluScale = 1.0507009873554805;

const roundTo =
  (decimals: number): TorchOperator =>
  (x) =>
    decimals === 0 ? s.round(x) : s.div(s.round(s.mul(x, 10 ** decimals)), 10 ** decimals);

export const pointwise: Readonly<Record<string, TorchOperator>> = {
  acos: unary(s.acos),
  acosh: unary((x) => s.log(s.add(x, s.sqrt(s.sub(square(x), 1))))),
  asin: unary(s.asin),
  clone: unary((x) => x),
  cos: unary(s.cos),
  cosh: unary(s.cosh),
  erf: unary(s.erf),
  exp: unary(s.exp),
  exp2: unary(s.exp2),
  expm1: unary(s.expm1),
  isnan: unary(s.isNaN),
  log: unary(s.log),
  log10: unary((x) => s.mul(s.log(x), Math.LOG10E)),
  log1p: unary(s.log1p),
  log2: unary(s.log2),
  logical_not: unary((x) => s.not(truth(x))),
  logit,
  neg: unary(s.neg),
  reciprocal: unary(s.reciprocal),
  round: roundTo(0),
  "round.decimals_0": roundTo(0),
  "round.decimals_3": roundTo(3),
  "round.decimals_neg_3": roundTo(-3),
  rsqrt: unary(s.rsqrt),
  sigmoid: unary(s.sigmoid),
  sign: unary(s.sign),
  sinh: unary(s.sinh),
  tanh: unary(s.tanh),
  trunc: unary(s.trunc),
  "nn.functional.elu": unary((x) => s.elu(x)),
  "nn.functional.gelu": (x, _, kw) => s.gelu(x, { approximate: (kw.approximate as "none" | "tanh") ?? "none" }),
  "nn.functional.hardsigmoid": unary((x) => s.hardSigmoid(x, { alpha: 1 / 6, beta: 0.5 })),
  "nn.functional.hardswish": unary(s.hardSwish),
  "nn.functional.hardtanh": (x, _, kw) => s.clamp(x, number(kw.min_val, -1), number(kw.max_val, 1)),
  "nn.functional.leaky_relu": (x, [slope]) => s.leakyRelu(x, { alpha: number(slope, 0.01) }),
  "nn.functional.logsigmoid": unary(s.logSigmoid),
  "nn.functional.mish": unary((x) => s.mul(x, s.tanh(s.softplus(x)))),
  "nn.functional.prelu": (x, [w], kw) => prelu(x, tensor(w ?? kw.weight)),
  "nn.functional.relu": unary(s.relu),
  "nn.functional.relu6": unary((x) => s.clamp(x, 0, 6)),
  "nn.functional.selu": unary((x) => s.mul(s.elu(x, { alpha: seluAlpha }), seluScale)),
  "nn.functional.silu": unary(s.silu),
  "nn.functional.softplus": softplus,
  "nn.functional.softshrink": softshrink,
  "nn.functional.softsign": unary(s.softsign),
  "nn.functional.tanhshrink": unary((x) => s.sub(x, s.tanh(x))),
  "nn.functional.threshold": (x, [t, v]) => s.where(s.greater(x, number(t)), x, number(v)),
  add: binary(s.add),
  atan2: binary(s.atan2),
  "div.floor_rounding": binary((a, b) => s.floor(s.div(a, b))),
  "div.no_rounding_mode": binary(s.div),
  "div.trunc_rounding": binary((a, b) => s.trunc(s.div(a, b))),
  eq: binary(s.equal),
  fmod: binary((a, b) => s.mul(s.sign(a), s.mod(s.abs(a), s.abs(b)))),
  ge: binary(s.greaterEqual),
  gt: binary(s.greater),
  hypot: binary((a, b) => s.sqrt(s.add(square(a), square(b)))),
  le: binary(s.lessEqual),
  logaddexp: binary(logaddexp),
  logical_and: binary((a, b) => s.and(truth(a), truth(b))),
  logical_or: binary((a, b) => s.or(truth(a), truth(b))),
  logical_xor: binary((a, b) => s.xor(truth(a), truth(b))),
  lt: binary(s.less),
  "max.binary": binary((a, b) => s.max(a, b)),
  maximum: binary((a, b) => s.max(a, b)),
  "min.binary": binary((a, b) => s.min(a, b)),
  minimum: binary((a, b) => s.min(a, b)),
  mul: binary(s.mul),
  ne: binary(s.notEqual),
  pow: binary(s.pow),
  remainder: binary(s.mod),
  rsub: binary((a, b) => s.sub(b, a)),
  sub: binary(s.sub),
  true_divide: binary(s.div),
  xlogy: binary(xlogy),
  addcdiv: (x, [a, b], kw) => s.add(x, s.mul(s.div(tensor(a), tensor(b)), number(kw.value, 1))),
  addcmul: (x, [a, b], kw) => s.add(x, s.mul(s.mul(tensor(a), tensor(b)), number(kw.value, 1))),
  clamp: (x, [low, high]) => s.clamp(x, bound(low), bound(high)),
  clamp_max: (x, [high]) => s.clamp(x, null, bound(high)),
  clamp_min: (x, [low]) => s.clamp(x, bound(low), null),
  lerp: (x, [y, w]) => s.add(x, s.mul(s.sub(tensor(y), x), operand(w))),
  masked_fill: (x, [mask, v]) => s.where(tensor(mask), operand(v), x),
  where: (x, [condition, y]) => s.where(tensor(condition), x, operand(y)),
  "nn.functional.glu": (x, [dim]) => {
    const [a, b] = s.split(x, { axis: number(dim, -1), parts: 2 }) as [Tensor, Tensor];
    return s.mul(a, s.sigmoid(b));
  },
  "nn.functional.linear": (x, [w, b]) => {
    const y = s.matmul(x, tensor(w), { transposeB: true });
    const bias = optional(b);
    return bias ? s.add(y, bias) : y;
  },
};
