import type { OpRow } from "../op.ts";
import { erf } from "./elementwise-number.ts";
import { builtin, elementwiseRow, helper, type Meaning, one, two } from "./elementwise-row.ts";

/** name, doc, f64 function, WGSL, error in units in the last place. */
type MathSpec = readonly [string, string, (x: number) => number, Meaning["wgsl"], number];

const table: readonly MathSpec[] = [
  ["exp", "e^x.", Math.exp, helper("exp"), 4],
  ["exp2", "2^x.", (x) => 2 ** x, helper("exp2"), 4],
  ["expm1", "e^x - 1, accurate near 0.", Math.expm1, helper("expm1"), 4],
  ["log", "The natural logarithm of x; -∞ at 0 and NaN below.", Math.log, helper("log"), 4],
  ["log2", "The binary logarithm of x; -∞ at 0 and NaN below.", Math.log2, helper("log2"), 4],
  ["log1p", "ln(1 + x), accurate near 0.", Math.log1p, helper("log1p"), 4],
  ["sqrt", "The square root of x; NaN below 0.", Math.sqrt, builtin("sqrt"), 4],
  ["rsqrt", "1 / sqrt(x).", (x) => 1 / Math.sqrt(x), builtin("inverseSqrt"), 3],
  ["reciprocal", "1 / x.", (x) => 1 / x, ([x], c) => `(${c.lit(1, "f32")} / ${x})`, 3],
  ["sin", "sin x, x in radians; the angle is reduced exactly however large it is.", Math.sin, helper("sin"), 4],
  ["cos", "cos x, x in radians; the angle is reduced exactly however large it is.", Math.cos, helper("cos"), 4],
  ["tan", "tan x, x in radians; the angle is reduced exactly however large it is.", Math.tan, helper("tan"), 8],
  ["asin", "The angle in [-π/2, π/2] whose sine is x; NaN outside [-1, 1].", Math.asin, helper("asin"), 8],
  ["acos", "The angle in [0, π] whose cosine is x; NaN outside [-1, 1].", Math.acos, helper("acos"), 8],
  ["atan", "The angle in [-π/2, π/2] whose tangent is x.", Math.atan, helper("atan"), 5],
  ["sinh", "(e^x - e^-x) / 2.", Math.sinh, helper("sinh"), 8],
  ["cosh", "(e^x + e^-x) / 2.", Math.cosh, helper("cosh"), 8],
  ["tanh", "(e^x - e^-x) / (e^x + e^-x).", Math.tanh, helper("tanh"), 6],
  ["erf", "The error function 2/√π ∫₀ˣ e^(-t²) dt.", erf, helper("erf"), 4],
];

export const mathRows: readonly OpRow[] = [
  ...table.map(([name, doc, f, wgsl, ulp]) =>
    elementwiseRow({ name, params: ["x"], doc, on: { float: { cpu: one(f), wgsl } }, accuracy: { ulp } }),
  ),
  elementwiseRow({
    name: "atan2",
    params: ["y", "x"],
    doc: "The angle in [-π, π] of the point (x, y); signs of zeros count.",
    on: { float: { cpu: two(Math.atan2), wgsl: helper("atan2") } },
    accuracy: { ulp: 6 },
  }),
];
