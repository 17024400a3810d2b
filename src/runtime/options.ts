import { fail } from "../base/diagnostic.ts";
import { suggest } from "../base/suggest.ts";
import { describe } from "./describe.ts";

/** What values an option takes. */
export interface Kind {
  readonly is: (v: unknown) => boolean;
  readonly what: string;
}

/** Of options by their names. */
export type Kinds = Readonly<Record<string, Kind>>;

const isFunction = (v: unknown): boolean => typeof v === "function";

/** What options that are used late, in the middle of other work, have to be. */
const kinds: Kinds = {
  signal: {
    is: (v) => typeof v === "object" && isFunction((v as { addEventListener?: unknown }).addEventListener),
    what: "an AbortSignal",
  },
  onProgress: { is: isFunction, what: "a function" },
  concurrency: { is: (v) => typeof v === "number" && v >= 1, what: "a number of kernels, 1 or more" },
  store: {
    is: (v) =>
      typeof v === "object" && isFunction((v as { get?: unknown }).get) && isFunction((v as { set?: unknown }).set),
    what: "an object with the functions get and set",
  },
};

/** Refuses options that a call does not have (`unknown-option`) and values that they cannot have (`bad-option`). */
export function checkOptions(call: string, options: object, known: readonly string[], more?: Kinds): void {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    fail("bad-option", `${call} takes its options as an object, not ${describe(options)}`, {
      hint: `write { ${known[0]}: … }, or leave them out`,
    });
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name)) {
      const near = suggest(name, known);
      fail("unknown-option", `${call} has no option ${JSON.stringify(name)}`, {
        hint: near ? `did you mean ${JSON.stringify(near)}?` : `known: ${known.join(", ")}`,
      });
    }
    const kind = more?.[name] ?? (Object.hasOwn(kinds, name) ? kinds[name] : undefined);
    if (kind && value !== undefined && value !== null && !kind.is(value)) {
      fail("bad-option", `${call}: ${name} cannot be ${describe(value)}`, {
        hint: `give ${kind.what}, or leave it out`,
      });
    }
  }
}
