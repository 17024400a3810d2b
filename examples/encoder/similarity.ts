/** Rows of a row-major matrix [n, width]. */
export const rowsOf = (data: Float32Array, width: number): Float32Array[] =>
  Array.from({ length: data.length / width }, (_, i) => data.subarray(i * width, (i + 1) * width));

/** Cosine of the angle between two vectors. */
export function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb);
}

/** Cosines of every pair of rows. */
export const similarities = (rows: readonly Float32Array[]): number[][] =>
  rows.map((a) => rows.map((b) => cosine(a, b)));

/** The largest absolute difference of two equally long lists of numbers; NaN when any difference is NaN. */
export function maxAbsDiff(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.NaN;
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs((a[i] as number) - (b[i] as number));
    // Written so that NaN wins.
    if (!(d <= worst)) worst = d;
    if (Number.isNaN(d)) return d;
  }
  return worst;
}
