const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** Rounds a number to the nearest IEEE binary16 (ties to even) and returns its 16 bits. NaN becomes 0x7e00. */
export function toHalfBits(x: number): number {
  if (Number.isNaN(x)) return 0x7e00;
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const a = Math.abs(x);
  if (a >= 65520) return sign | 0x7c00;
  if (a < 2 ** -14) return sign | roundEven(a * 2 ** 24);
  f32[0] = a;
  let e = ((u32[0] as number) >>> 23) - 127;
  // Math.fround may have rounded up to the next power of two; work from the f64 value itself.
  if (a < 2 ** e) e -= 1;
  const m = roundEven((a / 2 ** e) * 1024);
  return sign | ((e + 15) * 1024 + (m - 1024));
}

/** The number that 16 bits of IEEE binary16 stand for. */
export function fromHalfBits(bits: number): number {
  const s = bits & 0x8000 ? -1 : 1;
  const e = (bits >> 10) & 31;
  const m = bits & 1023;
  if (e === 31) return m ? Number.NaN : s * Number.POSITIVE_INFINITY;
  return e === 0 ? s * m * 2 ** -24 : s * (1 + m / 1024) * 2 ** (e - 15);
}

/** Rounds a number to binary16 and back. */
export const halfRound = (x: number): number => fromHalfBits(toHalfBits(x));

function roundEven(x: number): number {
  const f = Math.floor(x);
  const d = x - f;
  return d > 0.5 || (d === 0.5 && f % 2 === 1) ? f + 1 : f;
}
