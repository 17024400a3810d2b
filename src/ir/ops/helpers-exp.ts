import { type HelperSource, poly } from "./helpers-template.ts";

/** (e^r - 1 - r) / r^2 on |r| <= ln(2)/2, minimax, relative error 2^-28 of e^r. */
const expTail = [0.5, 0.16666516661643982, 0.04166620224714279, 0.008369073271751404, 0.001395080704241991];
/** (ln(1+f) - f + f^2/2) / f^3 on sqrt(1/2) <= 1+f <= sqrt(2), minimax, relative error 2^-30. */
export const logTail = [
  0.3333331346511841, -0.25000008940696716, 0.20002125203609467, -0.16667981445789337, 0.14219389855861664,
  -0.1240573450922966, 0.1188962534070015, -0.1167546883225441, 0.06742973625653743,
];

/**
 * Exponentials and logarithms with full f32 accuracy over the whole range. WGSL allows exp an error of 3 + 2|x| units in
 * the last place and log an absolute error near 1. Range reduction is Cody and Waite's: ln 2 = 0.693359375 - 2.12194440e-4,
 * where products of the first part with an exponent are exact.
 */
export const expHelpers: Readonly<Record<string, HelperSource>> = {
  // x * 2^n for -252 <= n <= 254, in two steps so that neither factor overflows.
  timesTwoTo: `
fn $timesTwoTo(x: $F, n: $I) -> $F {
  let h = n >> $U(1u);
  return x * bitcast<$F>((h + 127) << $U(23u)) * bitcast<$F>((n - h + 127) << $U(23u));
}`,
  // e^r - 1 for |r| <= 0.35.
  expm1Small: `
fn $expm1Small(r: $F) -> $F {
  return r + r * r * ${poly("r", expTail)};
}`,
  // e^(hi + lo) where |lo| is small against 1 and adds bits that hi cannot hold.
  expSum: `
fn $expSum(hi: $F, lo: $F) -> $F {
  let x = clamp(hi, $F(-105.0), $F(89.0));
  let k = round(x * 1.44269504);
  let r = ((x - k * 0.693359375) + k * 2.12194440e-4) + lo;
  return select($timesTwoTo(1.0 + $expm1Small(r), $I(k)), hi, $isNaN(hi));
}`,
  exp: `
fn $exp(v: $F) -> $F {
  let x = clamp(v, $F(-105.0), $F(89.0));
  let k = round(x * 1.44269504);
  let r = (x - k * 0.693359375) + k * 2.12194440e-4;
  return select($timesTwoTo(1.0 + $expm1Small(r), $I(k)), v, $isNaN(v));
}`,
  exp2: `
fn $exp2(v: $F) -> $F {
  let x = clamp(v, $F(-151.0), $F(129.0));
  let k = round(x);
  return select($timesTwoTo(1.0 + $expm1Small((x - k) * 0.693147182), $I(k)), v, $isNaN(v));
}`,
  expm1: `
fn $expm1(v: $F) -> $F {
  let x = clamp(v, $F(-20.0), $F(89.0));
  let k = round(x * 1.44269504);
  let r = (x - k * 0.693359375) + k * 2.12194440e-4;
  let h = bitcast<$F>(($I(k) + 126) << $U(23u));
  let y = 2.0 * (h * $expm1Small(r) + (h - 0.5));
  return select(y, v, $tinyOrNaN(v, 0x33000000u));
}`,
  // The bits of x as an integer whose exponent field may be negative, so that subnormals are ordinary numbers.
  logBits: `
fn $logBits(x: $F) -> $I {
  let b = bitcast<$U>(x);
  return select(bitcast<$I>(b), bitcast<$I>($F(b)) - $I(1249902592), b < $U(0x00800000u));
}`,
  // The exponent e such that x = m 2^e with sqrt(1/2) <= m < sqrt(2).
  logExponent: `
fn $logExponent(b: $I) -> $I {
  return (b - $I(0x3f3504f3)) >> $U(23u);
}`,
  // m - 1.
  logFraction: `
fn $logFraction(b: $I, e: $I) -> $F {
  return bitcast<$F>(b - (e << $U(23u))) - 1.0;
}`,
  // ln(1 + f) - f
  logTail: `
fn $logTail(f: $F) -> $F {
  return f * f * (f * ${poly("f", logTail)} - 0.5);
}`,
  // y, or what a logarithm gives at 0, negative numbers, infinity and NaN.
  logSpecial: `
fn $logSpecial(x: $F, y: $F) -> $F {
  let b = bitcast<$U>(x);
  let high = select($U(0x7fc00000u), b, b == $U(0x7f800000u));
  let special = select(high, $U(0xff800000u), (b << $U(1u)) == $U(0u));
  return bitcast<$F>(select(bitcast<$U>(y), special, (b - $U(1u)) >= $U(0x7f7fffffu)));
}`,
  logSum: `
fn $logSum(f: $F, e: $F) -> $F {
  return (f + ($logTail(f) - e * 2.12194440e-4)) + e * 0.693359375;
}`,
  log: `
fn $log(x: $F) -> $F {
  let b = $logBits(x);
  let e = $logExponent(b);
  return $logSpecial(x, $logSum($logFraction(b, e), $F(e)));
}`,
  log2: `
fn $log2(x: $F) -> $F {
  let b = $logBits(x);
  let e = $logExponent(b);
  let f = $logFraction(b, e);
  return $logSpecial(x, $F(e) + (f + $logTail(f)) * 1.44269504);
}`,
  // Near 0 the fraction is x itself; elsewhere rounding 1 + x costs less than a unit in the last place of the result.
  log1p: `
fn $log1p(x: $F) -> $F {
  let u = 1.0 + x;
  let b = $logBits(u);
  let e = $logExponent(b);
  let near = (x > $F(-0.292)) & (x < $F(0.414));
  let f = select($logFraction(b, e), x, near);
  let y = $logSpecial(u, $logSum(f, select($F(e), $F(0.0), near)));
  return select(y, x, $tinyOrNaN(x, 0x33000000u));
}`,
  sigmoid: `
fn $sigmoid(x: $F) -> $F {
  return 1.0 / (1.0 + $exp(-x));
}`,
  softplus: `
fn $softplus(x: $F) -> $F {
  return max(x, $F(0.0)) + $log1p($exp(-abs(x)));
}`,
  logSigmoid: `
fn $logSigmoid(x: $F) -> $F {
  return min(x, $F(0.0)) - $log1p($exp(-abs(x)));
}`,
  // With t = e^(2|x|) - 1, tanh|x| = t / (t + 2). The clamp keeps t finite; an inexact division may not exceed 1.
  tanh: `
fn $tanh(x: $F) -> $F {
  let t = $expm1(2.0 * min(abs(x), $F(15.0)));
  return select($withSign(min(t / (t + 2.0), $F(1.0)), x), x, $tinyOrNaN(x, 0x39000000u));
}`,
  // The square root of e^a / 2, whose square overflows only where cosh does: compilers may reassociate (e^(a/2) / 2) e^(a/2).
  // ln(2) / 2 = 0.34375 + 0.00282359028, where the first part leaves a/2 exact.
  halfExpRoot: `
fn $halfExpRoot(a: $F) -> $F {
  return $expSum(0.5 * a - 0.34375, $F(-0.00282359028));
}`,
  sinh: `
fn $sinh(x: $F) -> $F {
  let a = abs(x);
  let t = $expm1(min(a, $F(10.0)));
  let w = $halfExpRoot(a);
  let y = select(0.5 * (t + t / (t + 1.0)), w * w, a > $F(9.0));
  return select($withSign(y, x), x, $tinyOrNaN(x, 0x39000000u));
}`,
  cosh: `
fn $cosh(x: $F) -> $F {
  let w = $halfExpRoot(abs(x));
  return w * w + 0.25 / (w * w);
}`,
};
