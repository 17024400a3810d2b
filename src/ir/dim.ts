import { fail } from "../base/diagnostic.ts";

/**
 * A size along one axis: a non-negative integer, or an expression over named dims that are bound when a program is
 * specialised.
 */
export type Dim = number | SymDim;
/** A tensor's sizes, outermost axis first. */
export type Shape = readonly Dim[];

/** An integer expression over named dims. Plain data, so that graphs and attributes stay printable and comparable. */
export type SymDim =
  | { readonly dim: "name"; readonly name: string; readonly hint: number }
  | { readonly dim: "add" | "mul" | "floordiv" | "mod" | "max" | "min"; readonly a: Dim; readonly b: Dim };

/** A named dim. `hint` is the size that `explain()` assumes while the dim is unbound. */
export function dim(name: string, options: { hint?: number } = {}): SymDim {
  if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(name)) {
    fail("bad-dim-name", `dim name ${JSON.stringify(name)} is not an identifier`, {
      hint: "use letters, digits and _ and start with a letter",
    });
  }
  return { dim: "name", name, hint: options.hint ?? 16 };
}

export const isSym = (d: Dim): d is SymDim => typeof d !== "number";
export const isConcrete = (s: Shape): s is readonly number[] => !s.some(isSym);

/** The text of a dim: `12`, `T`, `(T + 1)`. */
export function dimText(d: Dim): string {
  if (typeof d === "number") return String(d);
  if (d.dim === "name") return d.name;
  if (d.dim === "max" || d.dim === "min") return `${d.dim}(${dimText(d.a)}, ${dimText(d.b)})`;
  const sign = { add: "+", mul: "*", floordiv: "/", mod: "%" }[d.dim];
  return `(${dimText(d.a)} ${sign} ${dimText(d.b)})`;
}

export const shapeText = (s: Shape): string => `[${s.map(dimText).join(", ")}]`;

/** Structural equality; `false` for sizes that could only be shown equal by algebra. */
export const dimEqual = (a: Dim, b: Dim): boolean => a === b || (isSym(a) && isSym(b) && dimText(a) === dimText(b));
export const shapeEqual = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((d, i) => dimEqual(d, b[i] as Dim));

const fold: Record<Exclude<SymDim["dim"], "name">, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  mul: (a, b) => a * b,
  floordiv: (a, b) => Math.floor(a / b),
  mod: (a, b) => a % b,
  max: Math.max,
  min: Math.min,
};

function make(op: keyof typeof fold, a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return fold[op](a, b);
  if (op === "add" && a === 0) return b;
  if ((op === "add" && b === 0) || ((op === "mul" || op === "floordiv") && b === 1)) return a;
  if (op === "mul" && a === 1) return b;
  if (op === "mul" && (a === 0 || b === 0)) return 0;
  // (T + c1) + c2 = T + (c1 + c2): constants gather on the right.
  if (op === "add" && typeof a === "number") return make("add", b, a);
  if (op === "add" && typeof b === "number" && isSym(a) && a.dim === "add" && typeof a.b === "number") {
    return make("add", a.a, a.b + b);
  }
  if (op === "mul" && typeof a === "number") return make("mul", b, a);
  if (
    op === "floordiv" &&
    typeof b === "number" &&
    isSym(a) &&
    a.dim === "mul" &&
    typeof a.b === "number" &&
    a.b % b === 0
  ) {
    return make("mul", a.a, a.b / b);
  }
  if (op === "floordiv" && dimEqual(a, b)) return 1;
  if (op === "floordiv" && isSym(a) && a.dim === "mul" && dimEqual(a.a, b)) return a.b;
  if (op === "floordiv" && isSym(a) && a.dim === "mul" && dimEqual(a.b, b)) return a.a;
  return { dim: op, a, b };
}

/** a + b. */
export const dimAdd = (a: Dim, b: Dim): Dim => make("add", a, b);
/** a - b. */
export const dimSub = (a: Dim, b: Dim): Dim => (dimEqual(a, b) ? 0 : make("add", a, make("mul", b, -1)));
/** a * b. */
export const dimMul = (a: Dim, b: Dim): Dim => make("mul", a, b);
/** a / b rounded down. */
export const dimFloorDiv = (a: Dim, b: Dim): Dim => make("floordiv", a, b);
/** a / b rounded up. */
export const dimCeilDiv = (a: Dim, b: number): Dim => make("floordiv", make("add", a, b - 1), b);
/** The remainder of a / b. */
export const dimMod = (a: Dim, b: Dim): Dim => make("mod", a, b);
/** The larger of a and b. */
export const dimMax = (a: Dim, b: Dim): Dim => make("max", a, b);
/** The smaller of a and b. */
export const dimMin = (a: Dim, b: Dim): Dim => make("min", a, b);
export const shapeSize = (s: Shape): Dim => s.reduce<Dim>((p, d) => dimMul(p, d), 1);

/** The number of elements of a concrete shape. */
export const sizeOf = (s: Shape): number => {
  let n = 1;
  for (const d of s) n *= concreteDim(d);
  return n;
};

/** The size as a number; fails with `unbound-dim` on a symbolic one. */
export function concreteDim(d: Dim): number {
  if (typeof d === "number") return d;
  return fail("unbound-dim", `dim ${dimText(d)} has no size here`, { hint: "bind it: load(gpu, { dims: { … } })" });
}

/** Replaces named dims by their sizes. Names missing from `dims` stay symbolic. */
export function bindDim(d: Dim, dims: Readonly<Record<string, number>>): Dim {
  if (typeof d === "number") return d;
  if (d.dim === "name") return Object.hasOwn(dims, d.name) ? (dims[d.name] as number) : d;
  return make(d.dim, bindDim(d.a, dims), bindDim(d.b, dims));
}

export function dimNames(d: Dim, into: Map<string, number> = new Map()): Map<string, number> {
  if (typeof d === "number") return into;
  if (d.dim === "name") into.set(d.name, d.hint);
  else {
    dimNames(d.a, into);
    dimNames(d.b, into);
  }
  return into;
}

/** Binds every dim anywhere inside a plain data value (attributes, types). */
export function bindDeep<T>(value: T, dims: Readonly<Record<string, number>>): T {
  if (Array.isArray(value)) return value.map((v) => bindDeep(v, dims)) as T;
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
  if ("dim" in value && typeof (value as { dim: unknown }).dim === "string")
    return bindDim(value as unknown as Dim, dims) as T;
  const out: Record<string, unknown> = {};
  for (const [k, v] of Object.entries(value)) out[k] = bindDeep(v, dims);
  return out as T;
}
