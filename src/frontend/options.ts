import { fail } from "../base/diagnostic.ts";
import { suggest } from "../base/suggest.ts";
import { describe, isTensor } from "./tensor.ts";

type Filled<O, D> = {
  [K in keyof O]-?: K extends keyof D ? (D[K] extends undefined ? O[K] | undefined : Exclude<O[K], undefined>) : never;
};

/**
 * The options of a call with defaults filled in. `defaults` names every option; one without a default is `undefined`.
 * Refuses unknown names (`unknown-option`) and values of another type than the default's (`bad-option`).
 */
export function readOptions<O extends object, D extends { [K in keyof O]-?: O[K] | undefined }>(
  op: string,
  given: O | undefined,
  defaults: D,
): Filled<O, D> {
  if (given === undefined) return defaults as unknown as Filled<O, D>;
  if (given === null || typeof given !== "object" || isTensor(given) || Array.isArray(given)) {
    fail("bad-option", `${op} takes its options as an object, not ${describe(given)}`, {
      hint: `write ${op}(…, { ${Object.keys(defaults)[0]}: … })`,
    });
  }
  const out: Record<string, unknown> = { ...defaults };
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaults, name))
      unknownName("unknown-option", `${op} has no option`, name, Object.keys(defaults));
    if (value === undefined) continue;
    const like = (defaults as Record<string, unknown>)[name];
    if (like !== undefined && typeof like !== "object" && typeof value !== typeof like) {
      fail("bad-option", `${op}: ${name} must be a ${typeof like}, not ${describe(value)}`, {
        hint: `the default is ${name}: ${JSON.stringify(like)}`,
      });
    }
    out[name] = value;
  }
  return out as Filled<O, D>;
}

/** Refuses a name that is not among `known`, with the nearest one as the hint. */
export function unknownName(code: string, message: string, name: string, known: readonly string[]): never {
  const near = suggest(name, known);
  return fail(code, `${message} ${JSON.stringify(name)}`, {
    hint: near
      ? `did you mean ${JSON.stringify(near)}?`
      : known.length
        ? `known: ${known.join(", ")}`
        : "there are none",
  });
}

/** The value when it is one of `allowed`, else an error naming the nearest. */
export function oneOf<T extends string>(op: string, option: string, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value)) unknownName("bad-option", `${op}: ${option} cannot be`, String(value), allowed);
  return value;
}
