/**
 * The text of one WGSL helper function. `$F $I $U $B` stand for the f32, i32, u32 and bool types at the width asked for,
 * `$name` for helper `name` at that width and `$name_1` for its scalar form.
 */
export type HelperSource = string | ((width: number) => string);

/** A helper that has only a scalar algorithm, applied lane by lane to f32 arguments; the scalar form is `scalar`. */
export const byLane =
  (name: string, params: readonly string[], scalar: string): HelperSource =>
  (width) => {
    if (width === 1) return scalar;
    const lanes = ["x", "y", "z", "w"].slice(0, width);
    const calls = lanes.map((l) => `$${name}_1(${params.map((p) => `${p}.${l}`).join(", ")})`);
    return `
fn $${name}(${params.map((p) => `${p}: $F`).join(", ")}) -> $F {
  return $F(${calls.join(", ")});
}`;
  };

/** Horner's scheme: coefficients from the constant term up. */
export const poly = (x: string, coefficients: readonly number[]): string =>
  coefficients
    .slice(0, -1)
    .reduceRight((acc, c) => `(${acc} * ${x} + ${number(c)})`, number(coefficients.at(-1) as number));

/** A constant of a helper's text, rounded to f32 first so that the shortest decimal text is exact. */
const number = (c: number): string => {
  const text = Math.fround(c)
    .toPrecision(9)
    .replace(/\.?0+(?=e|$)/, "");
  const dotted = /[.e]/.test(text) ? text : `${text}.0`;
  return c < 0 ? `(${dotted})` : dotted;
};
