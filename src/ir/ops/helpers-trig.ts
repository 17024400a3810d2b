import { type HelperSource, poly } from "./helpers-template.ts";

/** (sin r - r) / r^3 and (cos r - 1 + r^2/2) / r^4 in z = r^2 on |r| <= pi/4, minimax. */
const sinTail = [-0.16666655242443085, 0.00833216868340969, -0.0001951601152541116];
const cosTail = [0.04166664555668831, -0.001388735487125814, 2.4437005777144805e-5];
/** (asin x - x) / x^3 in z = x^2 on |x| <= 1/2 and (atan x - x) / x^3 on |x| <= tan(pi/8), minimax. */
const asinTail = [
  0.16666659712791443, 0.07500513643026352, 0.0445152223110199, 0.03182203322649002, 0.014384988695383072,
  0.037591129541397095,
];
const atanTail = [
  -0.33333316445350647, 0.1999848484992981, -0.1424376666545868, 0.10595359653234482, -0.06081743165850639,
];

/** What each lane of `reduceAngle` does with an angle too large for products of the quotient with 12-bit parts of pi/2 to be exact. */
const largeLanes = (width: number): string =>
  width === 1
    ? `
  if (a > 6400.0) {
    return $reduceLarge_1(a);
  }`
    : `
  if (any(a > $F(6400.0))) {
    for (var i = 0; i < ${width}; i++) {
      if (a[i] > 6400.0) {
        let large = $reduceLarge_1(a[i]);
        r[i] = large[0];
        q[i] = large[1];
      }
    }
  }`;

/** Circular functions over the whole range: WGSL bounds the error of sin and cos on [-pi, pi] only, and that of asin and acos loosely. */
export const trigHelpers: Readonly<Record<string, HelperSource>> = {
  // Payne and Hanek: the product of the significand with the 96 bits of 2/pi that decide quadrant and fraction.
  reduceLarge: `
fn $reduceLarge(a: f32) -> array<f32, 2> {
  let words = array<u32, 8>(0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu);
  let b = min(bitcast<u32>(a), 0x7f7fffffu);
  let m = (b & 0x7fffffu) | 0x800000u;
  let s = (b >> 23u) - 120u;
  let i = s >> 5u;
  let k = s & 31u;
  let w0 = (words[i] << k) | ((words[i + 1u] >> 1u) >> (31u - k));
  let w1 = (words[i + 1u] << k) | ((words[i + 2u] >> 1u) >> (31u - k));
  let w2 = (words[i + 2u] << k) | ((words[i + 3u] >> 1u) >> (31u - k));
  let low = m * w1 + $mulHigh_1(m, w2);
  let high = m * w0 + $mulHigh_1(m, w1) + select(0u, 1u, low < m * w1);
  let t = bitcast<i32>((high << 2u) | (low >> 30u));
  let r = (f32(t) * 2.3283064365386963e-10 + f32(low << 2u) * 5.421010862427522e-20) * 1.57079637;
  return array<f32, 2>(r, f32((high + 0x20000000u) >> 30u));
}`,
  // a = q pi/2 + r with |r| <= pi/4, for a >= 0; Cody and Waite with pi/2 in three parts of 12 bits and a rest.
  reduceAngle: (width) => `
fn $reduceAngle(a: $F) -> array<$F, 2> {
  var q = round(a * 0.636619772);
  var r = ((a - q * 1.57080078) + q * 4.45358455e-6) + q * 8.70613803e-10;
  r -= q * 6.22337197e-14;${largeLanes(width)}
  return array<$F, 2>(r, q);
}`,
  sinSmall: `
fn $sinSmall(r: $F) -> $F {
  let z = r * r;
  return r + r * z * ${poly("z", sinTail)};
}`,
  cosSmall: `
fn $cosSmall(r: $F) -> $F {
  let z = r * r;
  return 1.0 - (0.5 * z - z * z * ${poly("z", cosTail)});
}`,
  sinQuadrant: `
fn $sinQuadrant(r: $F, q: $I) -> $F {
  let v = select($sinSmall(r), $cosSmall(r), (q & $I(1)) == $I(1));
  return select(v, $negate(v), (q & $I(2)) == $I(2));
}`,
  isNotFinite: `
fn $isNotFinite(x: $F) -> $B {
  return (bitcast<$U>(x) & $U(0x7fffffffu)) >= $U(0x7f800000u);
}`,
  sin: `
fn $sin(x: $F) -> $F {
  let p = $reduceAngle(abs(x));
  let v = $sinQuadrant(p[0], $I(p[1]));
  let y = bitcast<$F>(bitcast<$U>(v) ^ (bitcast<$U>(x) & $U(0x80000000u)));
  return $nanWhere(y, $isNotFinite(x));
}`,
  cos: `
fn $cos(x: $F) -> $F {
  let p = $reduceAngle(abs(x));
  return $nanWhere($sinQuadrant(p[0], $I(p[1]) + $I(1)), $isNotFinite(x));
}`,
  tan: `
fn $tan(x: $F) -> $F {
  let p = $reduceAngle(abs(x));
  let s = $sinSmall(p[0]);
  let c = $cosSmall(p[0]);
  let odd = ($I(p[1]) & $I(1)) == $I(1);
  let v = select(s, -c, odd) / select(c, s, odd);
  let y = bitcast<$F>(bitcast<$U>(v) ^ (bitcast<$U>(x) & $U(0x80000000u)));
  return $nanWhere(y, $isNotFinite(x));
}`,
  asinTail: `
fn $asinTail(x: $F, z: $F) -> $F {
  return x + x * z * ${poly("z", asinTail)};
}`,
  outsideUnit: `
fn $outsideUnit(x: $F) -> $B {
  return (bitcast<$U>(x) & $U(0x7fffffffu)) > $U(0x3f800000u);
}`,
  // From 1/2 on, asin x = pi/2 - 2 asin sqrt((1 - x) / 2).
  asin: `
fn $asin(x: $F) -> $F {
  let a = min(abs(x), $F(1.0));
  let upper = a > $F(0.5);
  let z = select(a * a, 0.5 - 0.5 * a, upper);
  let t = $asinTail(select(a, sqrt(z), upper), z);
  return $nanWhere($withSign(select(t, 1.57079637 - 2.0 * t, upper), x), $outsideUnit(x));
}`,
  acos: `
fn $acos(x: $F) -> $F {
  let a = min(abs(x), $F(1.0));
  let upper = a > $F(0.5);
  let z = select(a * a, 0.5 - 0.5 * a, upper);
  let t = $asinTail(select(a, sqrt(z), upper), z);
  let ends = select(2.0 * t, 3.14159274 - 2.0 * t, x < $F(0.0));
  return $nanWhere(select(1.57079637 - $withSign(t, x), ends, upper), $outsideUnit(x));
}`,
  // atan(n / d) for 0 <= n <= d, 0 < d < 2^127.
  atanRatio: `
fn $atanRatio(n: $F, d: $F) -> $F {
  let upper = n > 0.414213562 * d;
  let t = select(n, n - d, upper) / select(d, n + d, upper);
  let z = t * t;
  return select($F(0.0), $F(0.785398163), upper) + (t + t * z * ${poly("z", atanTail)});
}`,
  atan: `
fn $atan(x: $F) -> $F {
  let a = min(abs(x), $F(1e30));
  let steep = a > $F(1.0);
  let y = $atanRatio(select(a, $F(1.0), steep), select($F(1.0), a, steep));
  return select($withSign(select(y, 1.57079637 - y, steep), x), x, $tinyOrNaN(x, 0x39000000u));
}`,
  // Scaling keeps the quotient's operands where division is accurate; infinities become equal finite numbers.
  atan2: `
fn $atan2(y: $F, x: $F) -> $F {
  let big = max(abs(y), abs(x)) > $F(1.3e36);
  let s = select($F(1.0), $F(0.00390625), big);
  let ay = select(abs(y) * s, $F(1.0), $isInf(y));
  let ax = select(abs(x) * s, $F(1.0), $isInf(x));
  let iy = select(ay, $F(0.0), $isInf(x) & !$isInf(y));
  let ix = select(ax, $F(0.0), $isInf(y) & !$isInf(x));
  let d = max(iy, ix);
  let small = d < $F(1e-18);
  let up = select($F(1.0), $F(1.2676506e30), small);
  let steep = iy > ix;
  let zero = d == $F(0.0);
  let t = $atanRatio(min(iy, ix) * up, select(d * up, $F(1.0), zero));
  let q = select(t, 1.57079637 - t, steep);
  let v = select(q, 3.14159274 - q, (bitcast<$U>(x) >> $U(31u)) == $U(1u));
  return $nanWhere($withSign(v, y), $isNaN(x) | $isNaN(y));
}`,
};
