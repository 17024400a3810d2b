/**
 * f64 arithmetic that JavaScript's Math does not have, for the CPU meaning of rows.
 */

/** Round half to even; keeps the sign of zero. */
export function roundEven(x: number): number {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52) return x;
  const f = Math.floor(x);
  const d = x - f;
  const r = d > 0.5 || (d === 0.5 && f % 2 !== 0) ? f + 1 : f;
  return r === 0 ? (x < 0 || Object.is(x, -0) ? -0 : 0) : r;
}

/** The floored remainder: the result has the sign of `y`, a zero included. NaN when `y` is 0 or `x` infinite. */
export function floorMod(x: number, y: number): number {
  const r = x % y;
  if (r === 0) return y < 0 || Object.is(y, -0) ? -0 : 0;
  return r < 0 !== y < 0 ? r + y : r;
}

/** x^y as IEEE 754 defines it; JavaScript differs in that 1^NaN and (±1)^(±Infinity) are NaN there. */
export const power = (x: number, y: number): number =>
  x === 1 || (x === -1 && Math.abs(y) === Number.POSITIVE_INFINITY) ? 1 : x ** y;

const tailFrom = 1.25;

/** The error function, to about 1e-16: a series of positive terms near 0 (Abramowitz and Stegun 7.1.6), 1 - erfc beyond. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  if (a > tailFrom) return Math.sign(x) * (1 - erfcTail(a));
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** 1 - erf(x) with small relative error for large x too. */
export function erfc(x: number): number {
  return x > tailFrom ? erfcTail(x) : 1 - erf(x);
}

/** erfc for x > 1 by its continued fraction (Abramowitz and Stegun 7.1.14), evaluated from the far end; smaller arguments need more terms. */
function erfcTail(x: number): number {
  if (x > 27.3) return 0;
  let t = 0;
  for (let n = 25 + Math.ceil(150 / (x * x)); n > 0; n--) t = n / 2 / (x + t);
  return squareExp(x) / (Math.sqrt(Math.PI) * (x + t));
}

/** e^(-x^2), with the square in two parts: rounding it would cost x^2 units in the last place. */
function squareExp(x: number): number {
  const h = Math.fround(x);
  return Math.exp(-h * h) * Math.exp(-(x - h) * (x + h));
}

const word = new DataView(new ArrayBuffer(4));

/** The f32 with these bits, or the integer, as the dtype says. */
export function reinterpret(x: number, from: string, to: string): number {
  if (from === "f32") word.setFloat32(0, x);
  else word.setUint32(0, x >>> 0);
  if (to === "f32") return word.getFloat32(0);
  return to === "i32" ? word.getInt32(0) : word.getUint32(0);
}
