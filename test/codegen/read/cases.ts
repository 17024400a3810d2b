/** How a function of a case takes its numbers: parameters, some of them with parts. */
const forms: readonly (readonly [RegExp, (x: readonly unknown[]) => unknown[]])[] = [
  [/^\(\{ x, y: \[a, b\] \}/, ([x, a, b]) => [{ x, y: [a, b] }]],
  [/^\(p: \{ x/, ([x, y, a, b]) => [{ x, y }, [a, b]]],
];

/** The arguments of a case's function, made of a list. */
export const arrange = (fn: string, list: readonly unknown[]): unknown[] =>
  forms.find(([pattern]) => pattern.test(fn))?.[1](list) ?? [...list];

/** A spec for each number that a function takes. */
export const specsFor = <T>(
  fn: string,
  at: readonly unknown[],
  spec: (isBool: boolean) => T,
): Readonly<Record<string, T>> =>
  Object.fromEntries(at.map((_, i) => [`x${i}`, spec(i === 0 && fn.startsWith("(on: boolean"))]));

/** The numbers in a result, in order; truth values are 0 and 1. */
export function flatNumbers(v: unknown): number[] {
  if (typeof v === "number" || typeof v === "boolean") return [Number(v)];
  return Object.values(v as object).flatMap(flatNumbers);
}
