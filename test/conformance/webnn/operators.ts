import type { DType } from "../../../src/base/dtype.ts";
import * as s from "../../../src/index.ts";
import type { Argument, CaseOperator } from "./cases.ts";

type Tensor = s.Tensor;

/** One operator's arguments with names of operands resolved to tensors. */
export interface Call {
  tensor(name: string): Tensor;
  tensors(name: string): Tensor[];
  optionTensor(name: string): Tensor | undefined;
  arg<T extends Argument>(name: string): T;
  option<T extends Argument>(name: string, otherwise: T): T;
  has(name: string): boolean;
}

/** An operator of WebNN in our DSL. */
export type Operator = (c: Call) => Tensor | readonly Tensor[];

const sizes = (x: Tensor): number[] => x.shape as number[];

const unary =
  (f: (x: Tensor) => Tensor): Operator =>
  (c) =>
    f(c.tensor("input"));
const binary =
  (f: (x: Tensor, y: Tensor) => Tensor): Operator =>
  (c) =>
    f(c.tensor("a"), c.tensor("b"));
/** WebNN's truth values are uint8: 0 is false, anything else is true. */
const truth = (x: Tensor): Tensor => s.cast(x, "bool");
const logical =
  (f: (x: Tensor, y: Tensor) => Tensor): Operator =>
  (c) =>
    f(truth(c.tensor("a")), truth(c.tensor("b")));
const reduction =
  (f: (x: Tensor, o: { axes: readonly number[]; keepDims: boolean }) => Tensor): Operator =>
  (c) => {
    const x = c.tensor("input");
    const axes = c.option<readonly number[]>(
      "axes",
      x.shape.map((_, i) => i),
    );
    return f(x, { axes, keepDims: c.option("keepDimensions", false) });
  };
const withAlpha =
  (f: (x: Tensor, o: { alpha?: number }) => Tensor): Operator =>
  (c) =>
    f(c.tensor("input"), c.has("alpha") ? { alpha: c.option("alpha", 0) } : {});
const arg =
  (f: (x: Tensor, o: { axis: number; keepDims: boolean }) => Tensor): Operator =>
  (c) =>
    s.cast(f(c.tensor("input"), { axis: c.arg("axis"), keepDims: c.option("keepDimensions", false) }), "i32");

/** WebNN's types as the DSL's; uint8 is u32 except where it stands for a truth value. */
const castTypes: Readonly<Record<string, DType>> = {
  float32: "f32",
  float16: "f16",
  int32: "i32",
  int64: "i32",
  int8: "i32",
  uint32: "u32",
  uint64: "u32",
  uint8: "u32",
};

const defined = <T extends object>(o: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };

const number = (v: Argument): number => Number(String(v).replace(/n$/, ""));

function clamp(c: Call): Tensor {
  // A bound that is NaN is no bound.
  const bound = (name: string): number | null => {
    const v = c.has(name) ? number(c.option(name, 0)) : Number.NaN;
    return Number.isNaN(v) ? null : v;
  };
  return s.clamp(c.tensor("input"), bound("minValue"), bound("maxValue"));
}

function gemm(c: Call): Tensor {
  const product = s.matmul(c.tensor("a"), c.tensor("b"), {
    transposeA: c.option("aTranspose", false),
    transposeB: c.option("bTranspose", false),
  });
  const scaled = c.has("alpha") ? s.mul(product, c.option("alpha", 1)) : product;
  const bias = c.optionTensor("c");
  if (!bias) return scaled;
  return s.add(scaled, c.has("beta") ? s.mul(bias, c.option("beta", 1)) : bias);
}

function layerNormalization(c: Call): Tensor {
  const x = c.tensor("input");
  const axes = c.option<readonly number[]>("axes", x.shape.map((_, i) => i).slice(1));
  // Scale and bias have their axes in the order of `axes`; ours are ascending.
  const order = axes.map((_, i) => i).sort((i, j) => (axes[i] as number) - (axes[j] as number));
  const ascending = (t: Tensor | undefined): Tensor | undefined =>
    t && order.some((from, to) => from !== to) ? s.transpose(t, order) : t;
  return s.layerNorm(
    x,
    defined({
      scale: ascending(c.optionTensor("scale")),
      bias: ascending(c.optionTensor("bias")),
      axes: order.map((i) => axes[i] as number),
      epsilon: c.option("epsilon", 1e-5),
    }) as s.LayerNormOptions,
  );
}

function slice(c: Call): Tensor {
  const starts = c.arg<readonly number[]>("starts");
  const lengths = c.arg<readonly number[]>("sizes");
  const steps = c.option<readonly number[]>(
    "strides",
    starts.map(() => 1),
  );
  return s.slice(c.tensor("input"), { starts, ends: starts.map((b, i) => b + (lengths[i] as number)), steps });
}

function split(c: Call): readonly Tensor[] {
  const splits = c.arg<number | readonly number[]>("splits");
  const axis = c.option("axis", 0);
  return s.split(c.tensor("input"), typeof splits === "number" ? { axis, parts: splits } : { axis, sizes: splits });
}

/** log(sum(x)): a sum of halves may leave their range where its logarithm does not. */
const reduceLogSum = reduction((x, o) => s.cast(s.log(s.sum(s.cast(x, "f32"), o)), x.dtype));

export const operators: Readonly<Record<string, Operator>> = {
  abs: unary(s.abs),
  add: binary(s.add),
  argMax: arg(s.argMax),
  argMin: arg(s.argMin),
  batchNormalization: (c) =>
    s.batchNorm(
      c.tensor("input"),
      c.tensor("mean"),
      c.tensor("variance"),
      defined({
        scale: c.optionTensor("scale"),
        bias: c.optionTensor("bias"),
        axis: c.option("axis", 1),
        epsilon: c.option("epsilon", 1e-5),
      }) as s.BatchNormOptions,
    ),
  cast: (c) => s.cast(c.tensor("input"), castTypes[c.arg<string>("type")] as DType),
  ceil: unary(s.ceil),
  clamp,
  concat: (c) => s.concat(c.tensors("inputs"), { axis: c.arg("axis") }),
  cos: unary(s.cos),
  cumulativeSum: (c) =>
    s.cumSum(c.tensor("input"), {
      axis: c.arg("axis"),
      exclusive: c.option("exclusive", false),
      reverse: c.option("reversed", false),
    }),
  div: binary(s.div),
  elu: withAlpha(s.elu),
  equal: binary(s.equal),
  erf: unary(s.erf),
  exp: unary(s.exp),
  expand: (c) => s.expand(c.tensor("input"), c.arg<number[]>("newShape")),
  floor: unary(s.floor),
  gather: (c) => s.gather(c.tensor("input"), c.tensor("indices"), { axis: c.option("axis", 0) }),
  gatherElements: (c) => s.gatherElements(c.tensor("input"), c.tensor("indices"), { axis: c.option("axis", 0) }),
  gatherND: (c) => s.gatherND(c.tensor("input"), c.tensor("indices")),
  gelu: unary((x) => s.gelu(x)),
  gemm,
  greater: binary(s.greater),
  greaterOrEqual: binary(s.greaterEqual),
  hardSigmoid: (c) => s.hardSigmoid(c.tensor("input"), { alpha: c.option("alpha", 0.2), beta: c.option("beta", 0.5) }),
  hardSwish: unary(s.hardSwish),
  identity: unary((x) => x),
  instanceNormalization: (c) =>
    s.instanceNorm(
      c.tensor("input"),
      defined({
        scale: c.optionTensor("scale"),
        bias: c.optionTensor("bias"),
        epsilon: c.option("epsilon", 1e-5),
        layout: c.option<"nchw" | "nhwc">("layout", "nchw"),
      }) as s.InstanceNormOptions,
    ),
  layerNormalization,
  leakyRelu: withAlpha(s.leakyRelu),
  lesser: binary(s.less),
  lesserOrEqual: binary(s.lessEqual),
  linear: (c) => s.add(s.mul(c.tensor("input"), c.option("alpha", 1)), c.option("beta", 0)),
  log: unary(s.log),
  logicalAnd: logical(s.and),
  logicalNot: unary((x) => s.not(truth(x))),
  logicalOr: logical(s.or),
  logicalXor: logical(s.xor),
  matmul: binary((a, b) => s.matmul(a, b)),
  max: binary((a, b) => s.max(a, b)),
  min: binary((a, b) => s.min(a, b)),
  mul: binary(s.mul),
  neg: unary(s.neg),
  notEqual: binary(s.notEqual),
  pad: (c) =>
    s.pad(c.tensor("input"), {
      low: c.arg<number[]>("beginningPadding"),
      high: c.arg<number[]>("endingPadding"),
      mode: c.option<"constant" | "edge" | "reflection" | "symmetric">("mode", "constant"),
      value: number(c.option("value", 0)),
    }),
  pow: binary(s.pow),
  prelu: (c) => s.prelu(c.tensor("input"), c.tensor("slope")),
  reciprocal: unary(s.reciprocal),
  reduceL1: reduction(s.l1),
  reduceL2: reduction(s.l2),
  reduceLogSum,
  reduceLogSumExp: reduction(s.logSumExp),
  reduceMax: reduction((x, o) => s.max(x, o)),
  reduceMean: reduction(s.mean),
  reduceMin: reduction((x, o) => s.min(x, o)),
  reduceProduct: reduction(s.prod),
  reduceSum: reduction(s.sum),
  reduceSumSquare: reduction(s.sumSquare),
  relu: unary(s.relu),
  reshape: (c) => s.reshape(c.tensor("input"), c.arg<number[]>("newShape")),
  reverse: (c) => s.flip(c.tensor("input"), c.has("axes") ? { axes: c.option<number[]>("axes", []) } : {}),
  scatterElements: (c) =>
    s.scatterElements(c.tensor("input"), c.tensor("indices"), c.tensor("updates"), { axis: c.option("axis", 0) }),
  scatterND: (c) => s.scatterND(c.tensor("input"), c.tensor("indices"), c.tensor("updates")),
  sigmoid: unary(s.sigmoid),
  sign: unary(s.sign),
  sin: unary(s.sin),
  slice,
  softmax: (c) => s.softmax(c.tensor("input"), { axis: c.arg<number | (undefined & Argument)>("axis") ?? -1 }),
  softplus: unary(s.softplus),
  softsign: unary(s.softsign),
  split,
  sqrt: unary(s.sqrt),
  sub: binary(s.sub),
  tan: unary(s.tan),
  tanh: unary(s.tanh),
  tile: (c) => s.tile(c.tensor("input"), c.arg<number[]>("repetitions")),
  transpose: (c) =>
    s.transpose(
      c.tensor("input"),
      c.option<number[]>(
        "permutation",
        sizes(c.tensor("input"))
          .map((_, i) => i)
          .reverse(),
      ),
    ),
  triangular: (c) =>
    s.triangular(c.tensor("input"), { upper: c.option("upper", true), diagonal: c.option("diagonal", 0) }),
  where: (c) => s.where(truth(c.tensor("condition")), c.tensor("trueValue"), c.tensor("falseValue")),
};

/** Operators that Sinter does not have, by why. */
export const outOfScope: Readonly<Record<string, readonly string[]>> = {
  convolution: ["conv2d", "convTranspose2d"],
  pooling: ["averagePool2d", "l2Pool2d", "maxPool2d"],
  recurrent: ["gru", "gruCell", "lstm", "lstmCell"],
  quantisation: ["quantizeLinear", "dequantizeLinear"],
  resampling: ["resample2d"],
};

/** Applies a case's operator to tensors by name; the results by name of output. */
export function applyOperator(op: CaseOperator, env: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const find = (name: Argument | undefined): Tensor => {
    const t = typeof name === "string" ? env.get(name) : undefined;
    if (!t) throw new Error(`${op.name}: no operand ${JSON.stringify(name)}`);
    return t;
  };
  const made = (operators[op.name] as Operator)({
    tensor: (name) => find(op.args[name]),
    tensors: (name) => (op.args[name] as readonly Argument[]).map(find),
    optionTensor: (name) => (op.options[name] === undefined ? undefined : find(op.options[name])),
    arg: <T extends Argument>(name: string) => op.args[name] as T,
    option: <T extends Argument>(name: string, otherwise: T) => (op.options[name] as T | undefined) ?? otherwise,
    has: (name) => op.options[name] !== undefined,
  });
  const list = Array.isArray(made) ? (made as readonly Tensor[]) : [made as Tensor];
  return new Map(op.outputs.map((name, i) => [name, list[i] as Tensor]));
}
