import { logTail } from "./helpers-exp.ts";
import { byLane, type HelperSource, poly } from "./helpers-template.ts";

/** erf(x)/x - 1 in z = x^2 on |x| <= 0.93, minimax. */
const erfSmall = [
  0.12837916612625122, -0.37612634897232056, 0.11283694207668304, -0.02685927040874958, 0.005200634244829416,
  -0.0008137437398545444, 8.345225069206208e-5,
];
/** -ln(erfc t) on 0.92 <= t <= 4, minimax with weight erfc t, so that the error of erf is below 2^-34. */
const logErfc = [
  -0.0001758745638653636, 1.1295207738876343, 0.6333346366882324, 0.10829394310712814, -0.025128625333309174,
  0.004174643196165562, -0.000435218884376809, 2.1161906261113472e-5,
];
/** (x + 3) e^(x^2/2) Phi(-x) in s = (x - 3) / (x + 3) on 0 <= x <= 14.6, minimax relative error 2^-30. */
const tailRatio = [
  0.7290837168693542, -0.509332001209259, 0.23001770675182343, -0.04726268723607063, -0.010462518781423569,
  0.006969304755330086, 0.0010247764876112342, -0.0010325367329642177, -0.0002447485167067498, 0.00013127329293638468,
  5.446375871542841e-5,
];

/** The error function and its relatives, powers and the floating-point remainder. */
export const specialHelpers: Readonly<Record<string, HelperSource>> = {
  erf: `
fn $erf(x: $F) -> $F {
  let t = min(abs(x), $F(4.0));
  let z = t * t;
  let low = x + x * ${poly("z", erfSmall)};
  let high = $withSign(1.0 - $exp(-${poly("t", logErfc)}), x);
  return select(high, low, $tinyOrNaN(x, 0x3f6b851fu));
}`,
  // x Phi(x). The tail Phi(-|x|) comes from a quotient and e^(-x^2/2) with the square in two parts, never from 1 - Phi.
  gelu: `
fn $gelu(x: $F) -> $F {
  let a = min(abs(x), $F(14.6));
  let h = $high12(a);
  let inverse = 1.0 / (a + 3.0);
  let s = 1.0 - 6.0 * inverse;
  let q = (a * inverse * ${poly("s", tailRatio)}) * $expSum(-0.5 * h * h, -0.5 * (a - h) * (a + h));
  let y = select($negate(q), x - q, x >= $F(0.0));
  return $nanWhere(y, $isNaN(x) | (bitcast<$U>(x) == $U(0xff800000u)));
}`,
  // (1 + tanh u) / 2 is the sigmoid of 2u, which neither cancels nor overflows to NaN.
  geluTanh: `
fn $geluTanh(x: $F) -> $F {
  let u = 1.59576912 * (x + 0.044715 * x * x * x);
  return x * $sigmoid(u);
}`,
  // The leading 12 bits: products of two such numbers are exact.
  high12: `
fn $high12(x: $F) -> $F {
  return bitcast<$F>(bitcast<$U>(x) & $U(0xfffff000u));
}`,
  // 2^(y log2|x|) with the logarithm and the product as sums of a 12-bit and a full part, so that the exponent's error stays below 2^-24.
  powMagnitude: `
fn $powMagnitude(x: $F, y: $F) -> $F {
  let b = $logBits(bitcast<$F>(bitcast<$U>(x) & $U(0x7fffffffu)));
  let e = $logExponent(b);
  let f = $logFraction(b, e);
  let g = $high12(f);
  let a = 0.5 * g * g;
  let s = $high12(f - a);
  let l = (((f - s) - a) - 0.5 * (f - g) * (f + g)) + f * f * f * ${poly("f", logTail)};
  let p = s * 1.44287109;
  let h = $high12($F(e) + p);
  let m = (($F(e) - h) + p) + (l * 1.44269504 - s * 1.76052854e-4);
  let c = clamp(y, $F(-4294967296.0), $F(4294967296.0));
  let d = $high12(c);
  let hi = d * h;
  let lo = (c - d) * h + c * m;
  let sum = hi + lo;
  let k = clamp(round(sum), $F(-152.0), $F(130.0));
  let v = $timesTwoTo(1.0 + $expm1Small(((hi - k) + lo) * 0.693147182), $I(k));
  let top = bitcast<$F>(select(bitcast<$U>(v), $U(0x7f800000u), sum >= $F(129.0)));
  return select(top, $F(0.0), sum < $F(-151.0));
}`,
  pow: `
fn $pow(x: $F, y: $F) -> $F {
  let bx = bitcast<$U>(x);
  let ax = bx & $U(0x7fffffffu);
  let ay = bitcast<$U>(y) & $U(0x7fffffffu);
  let whole = (floor(y) == y) | (ay == $U(0x7f800000u));
  let odd = whole & (ay < $U(0x4b800000u)) & (($I(clamp(y, $F(-16777216.0), $F(16777216.0))) & $I(1)) == $I(1));
  let edge = (ax == $U(0u)) | (ax == $U(0x7f800000u));
  let down = (bitcast<$U>(y) >> $U(31u)) == $U(1u);
  let limit = select($U(0u), $U(0x7f800000u), (ax == $U(0u)) == down);
  let magnitude = select(bitcast<$U>($powMagnitude(x, y)), limit, edge);
  let sign = select($U(0u), bx & $U(0x80000000u), odd);
  let negative = (bx > $U(0x80000000u)) & (bx < $U(0xff800000u));
  let bad = (negative & !whole) | (ax > $U(0x7f800000u)) | (ay > $U(0x7f800000u));
  let v = select(magnitude | sign, $U(0x7fc00000u), bad);
  return bitcast<$F>(select(v, $U(0x3f800000u), (ay == $U(0u)) | (bx == $U(0x3f800000u))));
}`,
  // The exact remainder by long division of the significands, eight quotient bits a step, then moved to the divisor's sign.
  modF: byLane(
    "modF",
    ["x", "y"],
    `
fn $modF(x: f32, y: f32) -> f32 {
  let bx = bitcast<u32>(x) & 0x7fffffffu;
  let by = bitcast<u32>(y) & 0x7fffffffu;
  var r = bx;
  if (bx >= by && by != 0u && by < 0x7f800000u && bx < 0x7f800000u) {
    let ex = max(bx >> 23u, 1u);
    let ey = max(by >> 23u, 1u);
    let my = (by & 0x7fffffu) | select(0u, 0x800000u, by >= 0x800000u);
    var m = ((bx & 0x7fffffu) | select(0u, 0x800000u, bx >= 0x800000u)) % my;
    var n = ex - ey;
    while (n > 0u) {
      let step = min(n, 8u);
      m = (m << step) % my;
      n -= step;
    }
    let e = (bitcast<u32>(f32(m)) >> 23u) + ey;
    r = select(m << (ey - 1u), bitcast<u32>(f32(m)) + (ey << 23u) - (150u << 23u), e > 150u);
    r = select(r, 0u, m == 0u);
  }
  let differ = ((bitcast<u32>(x) ^ bitcast<u32>(y)) >> 31u) == 1u;
  let signed = bitcast<f32>(r | (bitcast<u32>(x) & 0x80000000u));
  let moved = select(signed, signed + y, differ);
  let v = select(moved, bitcast<f32>(bitcast<u32>(y) & 0x80000000u), r == 0u);
  return $nanWhere(v, bx >= 0x7f800000u || by > 0x7f800000u || by == 0u);
}`,
  ),
};
