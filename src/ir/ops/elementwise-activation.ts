import type { Attrs } from "../graph.ts";
import type { OpRow } from "../op.ts";
import { erfc } from "./elementwise-number.ts";
import { attr, elementwiseRow, floatAttr, helper, type Meaning, one, two } from "./elementwise-row.ts";

const x = ["x"] as const;
const integerRelu: Meaning = { cpu: one((v) => Math.max(v, 0)), wgsl: ([v], c) => `max(${v}, ${c.lit(0)})` };
const rectify = one((v) => Math.max(v, 0));
const sigmoid = (v: number): number => (v < 0 ? Math.exp(v) / (1 + Math.exp(v)) : 1 / (1 + Math.exp(-v)));
const clampTo = (v: number, low: number, high: number): number => Math.min(Math.max(v, low), high);
const isTanhForm = (a: Attrs): boolean => a.approximate === "tanh";
const tanhArgument = (v: number): number => Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3);

export const activationRows: readonly OpRow[] = [
  elementwiseRow({
    name: "sigmoid",
    params: x,
    doc: "1 / (1 + e^-x).",
    on: { float: { cpu: one(sigmoid), wgsl: helper("sigmoid") } },
    accuracy: { ulp: 6 },
  }),
  elementwiseRow({
    name: "logSigmoid",
    params: x,
    doc: "ln(1 / (1 + e^-x)), without overflow.",
    on: { float: { cpu: one((v) => Math.min(v, 0) - Math.log1p(Math.exp(-Math.abs(v)))), wgsl: helper("logSigmoid") } },
    accuracy: { ulp: 6 },
  }),
  elementwiseRow({
    name: "relu",
    params: x,
    doc: "max(x, 0); NaN for NaN.",
    on: { float: { cpu: rectify, wgsl: helper("relu") }, i32: integerRelu },
    flags: { idempotent: true },
  }),
  elementwiseRow({
    name: "silu",
    params: x,
    doc: "x / (1 + e^-x).",
    on: { float: { cpu: one((v) => v * sigmoid(v)), wgsl: ([v], c) => `(${v} * ${c.call("sigmoid", v as string)})` } },
    // The sigmoid underflows a little before the product does.
    accuracy: { ulp: 6, atol: 2e-36 },
  }),
  elementwiseRow({
    name: "gelu",
    params: x,
    attrs: {
      approximate: {
        type: "string",
        doc: "`none` for the error function, `tanh` for its approximation",
        default: "none",
        oneOf: ["none", "tanh"],
      },
    },
    doc: "x · Φ(x) = x (1 + erf(x / √2)) / 2; in the tanh form x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2.",
    on: {
      float: {
        cpu: ([v = 0], a) => (isTanhForm(a) ? v * sigmoid(2 * tanhArgument(v)) : (v * erfc(-v / Math.SQRT2)) / 2),
        wgsl: ([v], c) => c.call(isTanhForm(c.attrs) ? "geluTanh" : "gelu", v as string),
      },
    },
    accuracy: { ulp: 12, atol: 1e-7 },
  }),
  elementwiseRow({
    name: "softplus",
    params: x,
    doc: "ln(1 + e^x), without overflow.",
    on: { float: { cpu: one((v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))), wgsl: helper("softplus") } },
    accuracy: { ulp: 6 },
  }),
  elementwiseRow({
    name: "softsign",
    params: x,
    doc: "x / (1 + |x|).",
    on: {
      float: {
        cpu: one((v) => v / (1 + Math.abs(v))),
        wgsl: ([v], c) => c.call("divF", v as string, `${c.lit(1, "f32")} + abs(${v})`),
      },
    },
    accuracy: { ulp: 4 },
  }),
  elementwiseRow({
    name: "elu",
    params: x,
    attrs: { alpha: floatAttr("scale of the negative side", 1) },
    doc: "x where x > 0, alpha · (e^x - 1) elsewhere.",
    on: {
      float: {
        cpu: ([v = 0], a) => (v > 0 ? v : attr(a, "alpha", 1) * Math.expm1(v)),
        wgsl: ([v = ""], c) =>
          `select(${c.lit(attr(c.attrs, "alpha", 1), "f32")} * ${c.call("expm1", v)}, ${v}, ${v} > ${c.lit(0, "f32")})`,
      },
    },
    accuracy: { ulp: 6 },
  }),
  elementwiseRow({
    name: "leakyRelu",
    params: x,
    attrs: { alpha: floatAttr("slope of the negative side", 0.01) },
    doc: "x where x ≥ 0, alpha · x elsewhere.",
    on: {
      float: {
        cpu: ([v = 0], a) => (v >= 0 ? v : attr(a, "alpha", 0.01) * v),
        wgsl: ([v], c) =>
          `select(${v}, ${c.lit(attr(c.attrs, "alpha", 0.01), "f32")} * ${v}, ${v} < ${c.lit(0, "f32")})`,
      },
    },
    accuracy: { ulp: 2 },
  }),
  elementwiseRow({
    name: "prelu",
    params: ["x", "slope"],
    doc: "x where x ≥ 0, slope · x elsewhere.",
    on: {
      float: {
        cpu: two((v, s) => (v < 0 ? s * v : v)),
        wgsl: ([v, s], c) => `select(${v}, ${s} * ${v}, ${v} < ${c.lit(0, "f32")})`,
      },
      i32: {
        cpu: two((v, s) => (v < 0 ? Math.imul(s, v) : v)),
        wgsl: ([v, s], c) => `select(${v}, ${s} * ${v}, ${v} < ${c.lit(0)})`,
      },
    },
    accuracy: { ulp: 1 },
  }),
  elementwiseRow({
    name: "hardSigmoid",
    params: x,
    attrs: { alpha: floatAttr("slope", 0.2), beta: floatAttr("value at 0", 0.5) },
    doc: "min(max(alpha · x + beta, 0), 1); NaN for NaN.",
    on: {
      float: {
        cpu: ([v = 0], a) => clampTo(attr(a, "alpha", 0.2) * v + attr(a, "beta", 0.5), 0, 1),
        wgsl: ([v], c) => {
          const alpha = c.lit(attr(c.attrs, "alpha", 0.2), "f32");
          return c.call("clampF", `${alpha} * ${v} + ${c.lit(attr(c.attrs, "beta", 0.5), "f32")}`, "0.0", "1.0");
        },
      },
    },
    // The sum cancels near its zero.
    accuracy: { ulp: 2, atol: 2e-7 },
  }),
  elementwiseRow({
    name: "hardSwish",
    params: x,
    doc: "x · (min(max(x + 3, 0), 6) / 6).",
    on: {
      float: {
        cpu: one((v) => v * (clampTo(v + 3, 0, 6) / 6)),
        wgsl: ([v], c) =>
          `(${v} * (${c.call("clampF", `${v} + ${c.lit(3, "f32")}`, "0.0", "6.0")} / ${c.lit(6, "f32")}))`,
      },
    },
    accuracy: { ulp: 4, atol: 2e-7 },
  }),
];
