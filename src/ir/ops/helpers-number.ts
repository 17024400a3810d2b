import type { HelperSource } from "./helpers-template.ts";

/**
 * Bits, signs, NaN, rounding and conversions. NaN is found by integer tests because compilers fold `x != x` to false and
 * may assume that NaN does not occur; signs are copied as bits because compilers may drop the sign of zero.
 */
export const numberHelpers: Readonly<Record<string, HelperSource>> = {
  bits: `
fn $bits(b: u32) -> f32 {
  return bitcast<f32>(b);
}`,
  isNaN: `
fn $isNaN(x: $F) -> $B {
  return (bitcast<$U>(x) & $U(0x7fffffffu)) > $U(0x7f800000u);
}`,
  isInf: `
fn $isInf(x: $F) -> $B {
  return (bitcast<$U>(x) & $U(0x7fffffffu)) == $U(0x7f800000u);
}`,
  // Whether |x| is below the number with bits t, or NaN: where an odd function returns its argument.
  tinyOrNaN: `
fn $tinyOrNaN(x: $F, t: u32) -> $B {
  return ((bitcast<$U>(x) & $U(0x7fffffffu)) - $U(t)) > $U(0x7f800000u - t);
}`,
  // y, or NaN where the condition holds.
  nanWhere: `
fn $nanWhere(y: $F, c: $B) -> $F {
  return bitcast<$F>(select(bitcast<$U>(y), $U(0x7fc00000u), c));
}`,
  // |x| with the sign of s. Mesa's software driver computes the shorter (x & 0x7fffffff) | (s & 0x80000000) wrongly where a
  // select between it and s follows.
  withSign: `
fn $withSign(x: $F, s: $F) -> $F {
  return bitcast<$F>((bitcast<$U>(x) | $U(0x80000000u)) ^ (~bitcast<$U>(s) & $U(0x80000000u)));
}`,
  negate: `
fn $negate(x: $F) -> $F {
  return bitcast<$F>(bitcast<$U>(x) ^ $U(0x80000000u));
}`,
  signF: `
fn $signF(x: $F) -> $F {
  let a = bitcast<$U>(x) & $U(0x7fffffffu);
  let one = (bitcast<$U>(x) & $U(0x80000000u)) | $U(0x3f800000u);
  return bitcast<$F>(select(select(one, $U(0u), a == $U(0u)), bitcast<$U>(x), a > $U(0x7f800000u)));
}`,
  // x - x, which compilers fold to 0 even for infinities and NaN.
  subSelf: `
fn $subSelf(x: $F) -> $F {
  return $nanWhere($F(0.0), (bitcast<$U>(x) & $U(0x7fffffffu)) >= $U(0x7f800000u));
}`,
  // x * z for a zero z, which compilers fold to 0 even for infinities and NaN.
  timesZero: `
fn $timesZero(x: $F, z: $F) -> $F {
  let b = bitcast<$U>(x);
  let zero = bitcast<$F>((b ^ bitcast<$U>(z)) & $U(0x80000000u));
  return $nanWhere(zero, (b & $U(0x7fffffffu)) >= $U(0x7f800000u));
}`,
  // WGSL leaves quotients by numbers above 2^126 open, and drivers give 0 or NaN.
  divF: `
fn $divF(x: $F, y: $F) -> $F {
  let s = select($F(1.0), $F(0.25), abs(y) > $F(8.5e37));
  return (x * s) / (y * s);
}`,
  minF: `
fn $minF(x: $F, y: $F) -> $F {
  return select(select(min(x, y), y, $isNaN(y)), x, $isNaN(x));
}`,
  maxF: `
fn $maxF(x: $F, y: $F) -> $F {
  return select(select(max(x, y), y, $isNaN(y)), x, $isNaN(x));
}`,
  // One unsigned comparison: true from -0 down to -inf, false for every NaN.
  relu: `
fn $relu(x: $F) -> $F {
  return select(x, $F(0.0), (bitcast<$U>(x) - $U(0x80000000u)) <= $U(0x7f800000u));
}`,
  clampF: `
fn $clampF(x: $F, low: f32, high: f32) -> $F {
  return select(clamp(x, $F(low), $F(high)), x, $isNaN(x));
}`,
  equalF: `
fn $equalF(x: $F, y: $F) -> $B {
  return (x == y) & !($isNaN(x) | $isNaN(y));
}`,
  lessEqualF: `
fn $lessEqualF(x: $F, y: $F) -> $B {
  return (x <= y) & !($isNaN(x) | $isNaN(y));
}`,
  modI: `
fn $modI(x: $I, y: $I) -> $I {
  let r = x % y;
  return select(r, r + y, (r != $I(0)) & ((r ^ y) < $I(0)));
}`,
  toI32: `
fn $toI32(x: $F) -> $I {
  return select(select($I(x), $I(0x7fffffff), x >= $F(2147483648.0)), $I(0), $isNaN(x));
}`,
  toU32: `
fn $toU32(x: $F) -> $U {
  return select(select($U(x), $U(0xffffffffu), x >= $F(4294967296.0)), $U(0u), $isNaN(x));
}`,
  toBool: `
fn $toBool(x: $F) -> $B {
  return (bitcast<$U>(x) << $U(1u)) != $U(0u);
}`,
  // Integer arithmetic: quantizeToF16 and pack2x16float flush subnormals on some devices, and conversions through f16 are elided.
  halfBits: `
fn $halfBits(x: $F) -> $U {
  let b = bitcast<$U>(x);
  let a = b & $U(0x7fffffffu);
  let normal = (a + $U(0xfffu) + ((a >> $U(13u)) & $U(1u)) - $U(0x38000000u)) >> $U(13u);
  let small = $U(round(bitcast<$F>(min(a, $U(0x38800000u))) * 16777216.0));
  let special = select($U(0x7c00u), $U(0x7e00u), a > $U(0x7f800000u));
  let finite = select(normal, small, a < $U(0x38800000u));
  return ((b >> $U(16u)) & $U(0x8000u)) | select(finite, special, a >= $U(0x477ff000u));
}`,
  halfValue: `
fn $halfValue(h: $U) -> $F {
  let m = h & $U(0x7fffu);
  let s = (h & $U(0x8000u)) << $U(16u);
  let normal = (m << $U(13u)) + select($U(0x38000000u), $U(0x70000000u), m >= $U(0x7c00u));
  let small = bitcast<$U>($F(m) * 5.9604644775390625e-8);
  return bitcast<$F>(s | select(normal, small, m < $U(0x400u)));
}`,
  // x rounded to the nearest binary16 (ties to even), held as f32; subnormal halves are kept.
  roundHalf: `
fn $roundHalf(x: $F) -> $F {
  let b = bitcast<$U>(x);
  let a = b & $U(0x7fffffffu);
  let normal = (a + $U(0xfffu) + ((a >> $U(13u)) & $U(1u))) & $U(0xffffe000u);
  let small = bitcast<$U>(round(bitcast<$F>(min(a, $U(0x38800000u))) * 16777216.0) * 5.9604644775390625e-8);
  let special = select($U(0x7f800000u), $U(0x7fc00000u), a > $U(0x7f800000u));
  let finite = select(normal, small, a < $U(0x38800000u));
  return bitcast<$F>((b & $U(0x80000000u)) | select(finite, special, a >= $U(0x477ff000u)));
}`,
};
