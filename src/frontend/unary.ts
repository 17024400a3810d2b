import { type DType, dtypes } from "../base/dtype.ts";
import type { Attrs } from "../ir/graph.ts";
import { enter } from "./enter.ts";
import { oneOf, readOptions } from "./options.ts";
import { isTensor, node, type Tensor, wrap } from "./tensor.ts";

const unary = (op: string, x: Tensor, attrs?: Attrs): Tensor => enter((b) => wrap(b.add(op, [node(op, x)], attrs)));

/** -x, elementwise. Unsigned integers wrap. */
export function neg(x: Tensor): Tensor {
  return unary("neg", x);
}
/** The absolute value, elementwise. */
export function abs(x: Tensor): Tensor {
  return unary("abs", x);
}
/** -1, 0 or 1 by the sign of x, elementwise; NaN stays NaN. */
export function sign(x: Tensor): Tensor {
  return unary("sign", x);
}
/** The largest integer that is not above x, elementwise. Floats. */
export function floor(x: Tensor): Tensor {
  return unary("floor", x);
}
/** The smallest integer that is not below x, elementwise. Floats. */
export function ceil(x: Tensor): Tensor {
  return unary("ceil", x);
}
/** The nearest integer, halves to the even one, elementwise. Floats. */
export function round(x: Tensor): Tensor {
  return unary("round", x);
}
/** x without its fraction, elementwise. Floats. */
export function trunc(x: Tensor): Tensor {
  return unary("trunc", x);
}
/** e^x; overflows to infinity, elementwise. Floats. */
export function exp(x: Tensor): Tensor {
  return unary("exp", x);
}
/** 2^x, elementwise. Floats. */
export function exp2(x: Tensor): Tensor {
  return unary("exp2", x);
}
/** e^x - 1, exact for small x, elementwise. Floats. */
export function expm1(x: Tensor): Tensor {
  return unary("expm1", x);
}
/** The natural logarithm; NaN below 0, elementwise. Floats. */
export function log(x: Tensor): Tensor {
  return unary("log", x);
}
/** The logarithm to base 2, elementwise. Floats. */
export function log2(x: Tensor): Tensor {
  return unary("log2", x);
}
/** log(1 + x), exact for small x, elementwise. Floats. */
export function log1p(x: Tensor): Tensor {
  return unary("log1p", x);
}
/** The square root; NaN below 0, elementwise. Floats. */
export function sqrt(x: Tensor): Tensor {
  return unary("sqrt", x);
}
/** 1 / sqrt(x), elementwise. Floats. */
export function rsqrt(x: Tensor): Tensor {
  return unary("rsqrt", x);
}
/** 1 / x, elementwise. Floats. */
export function reciprocal(x: Tensor): Tensor {
  return unary("reciprocal", x);
}
/** The sine of x in radians, elementwise. Floats. */
export function sin(x: Tensor): Tensor {
  return unary("sin", x);
}
/** The cosine of x in radians, elementwise. Floats. */
export function cos(x: Tensor): Tensor {
  return unary("cos", x);
}
/** The tangent of x in radians, elementwise. Floats. */
export function tan(x: Tensor): Tensor {
  return unary("tan", x);
}
/** The arc sine, in radians from -pi/2 to pi/2, elementwise. Floats. */
export function asin(x: Tensor): Tensor {
  return unary("asin", x);
}
/** The arc cosine, in radians from 0 to pi, elementwise. Floats. */
export function acos(x: Tensor): Tensor {
  return unary("acos", x);
}
/** The arc tangent, in radians from -pi/2 to pi/2, elementwise. Floats. */
export function atan(x: Tensor): Tensor {
  return unary("atan", x);
}
/** The hyperbolic sine, elementwise. Floats. */
export function sinh(x: Tensor): Tensor {
  return unary("sinh", x);
}
/** The hyperbolic cosine, elementwise. Floats. */
export function cosh(x: Tensor): Tensor {
  return unary("cosh", x);
}
/** The hyperbolic tangent, elementwise. Floats. */
export function tanh(x: Tensor): Tensor {
  return unary("tanh", x);
}
/** The error function 2/sqrt(pi) * integral of e^(-t^2) from 0 to x, elementwise. Floats. */
export function erf(x: Tensor): Tensor {
  return unary("erf", x);
}
/** 1 / (1 + e^-x), elementwise. Floats. */
export function sigmoid(x: Tensor): Tensor {
  return unary("sigmoid", x);
}
/** log(sigmoid(x)) without overflow, elementwise. Floats. */
export function logSigmoid(x: Tensor): Tensor {
  return unary("logSigmoid", x);
}
/** max(x, 0), elementwise; NaN stays NaN. */
export function relu(x: Tensor): Tensor {
  return unary("relu", x);
}
/** x * sigmoid(x), also named swish, elementwise. Floats. */
export function silu(x: Tensor): Tensor {
  return unary("silu", x);
}
/** log(1 + e^x) without overflow, elementwise. Floats. */
export function softplus(x: Tensor): Tensor {
  return unary("softplus", x);
}
/** x / (1 + |x|), elementwise. Floats. */
export function softsign(x: Tensor): Tensor {
  return unary("softsign", x);
}
/** x * clamp(x + 3, 0, 6) / 6, elementwise. Floats. */
export function hardSwish(x: Tensor): Tensor {
  return unary("hardSwish", x);
}
/** Whether x is NaN. Elementwise over floats; the result is bool. */
// biome-ignore lint/suspicious/noShadowRestrictedNames: the op has NumPy's and WGSL's name
export function isNaN(x: Tensor): Tensor {
  return unary("isNaN", x);
}
/** Whether x is infinite, of either sign. Elementwise over floats; the result is bool. */
export function isInf(x: Tensor): Tensor {
  return unary("isInf", x);
}
/** Logical not of a bool, bitwise complement of an integer, elementwise. */
export function not(x: Tensor): Tensor {
  return unary("not", x);
}

/** Options of {@link gelu}. */
export interface GeluOptions {
  /** `none` (default): by the error function; `tanh`: the approximation 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
  readonly approximate?: "none" | "tanh";
}
/** The Gaussian error linear unit x * Phi(x), elementwise. Hendrycks and Gimpel, 2016. Floats. */
export function gelu(x: Tensor, options?: GeluOptions): Tensor {
  return enter((b) => {
    const { approximate } = readOptions("gelu", options, { approximate: "none" });
    return wrap(
      b.add("gelu", [node("gelu", x)], { approximate: oneOf("gelu", "approximate", approximate, ["none", "tanh"]) }),
    );
  });
}

/** The parameter of {@link elu} and {@link leakyRelu}. */
export interface AlphaOptions {
  readonly alpha?: number;
}
/** x above 0, else alpha * (e^x - 1), elementwise; alpha is 1 by default. Floats. */
export function elu(x: Tensor, options?: AlphaOptions): Tensor {
  return enter(() => unary("elu", x, readOptions("elu", options, { alpha: 1 })));
}
/** x above 0, else alpha * x, elementwise; alpha is 0.01 by default. Floats. */
export function leakyRelu(x: Tensor, options?: AlphaOptions): Tensor {
  return enter(() => unary("leakyRelu", x, readOptions("leakyRelu", options, { alpha: 0.01 })));
}

/** Options of {@link hardSigmoid}. */
export interface HardSigmoidOptions {
  /** Slope, 0.2 by default. */
  readonly alpha?: number;
  /** Offset, 0.5 by default. */
  readonly beta?: number;
}
/** clamp(alpha * x + beta, 0, 1), elementwise. Floats. */
export function hardSigmoid(x: Tensor, options?: HardSigmoidOptions): Tensor {
  return enter(() => unary("hardSigmoid", x, readOptions("hardSigmoid", options, { alpha: 0.2, beta: 0.5 })));
}

/**
 * The same values in another dtype. Floats become integers by dropping the fraction, out-of-range values saturate and
 * NaN becomes 0; anything not 0 becomes true; to f16 rounds to the nearest, halves to even.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  return enter(() => {
    oneOf("cast", "dtype", dtype, dtypes);
    return isTensor(x) && x.dtype === dtype ? x : unary("cast", x, { dtype });
  });
}

/** The same 32 bits read as another dtype: between f32, i32 and u32. */
export function bitcast(x: Tensor, dtype: "f32" | "i32" | "u32"): Tensor {
  return enter(() => unary("bitcast", x, { dtype: oneOf("bitcast", "dtype", dtype, ["f32", "i32", "u32"]) }));
}
