/** The largest |a - e| over elements, as a share of max(1, |e|); NaN where either is. */
export const deviation = (actual: ArrayLike<number>, expected: ArrayLike<number>): number => {
  if (actual.length !== expected.length) throw new Error(`${actual.length} elements instead of ${expected.length}`);
  return Math.max(0, ...Array.from(expected, (e, i) => Math.abs((actual[i] as number) - e) / Math.max(1, Math.abs(e))));
};
