import { fail } from "../base/diagnostic.ts";
import { bindDim, type Dim, dimMul, dimNames, dimSub, isSym, type Shape, shapeText } from "../ir/dim.ts";
import { unknownName } from "./options.ts";
import { quotient } from "./sizes.ts";
import { describe } from "./tensor.ts";

export type Dims = Readonly<Record<string, number>>;

/** Checks sizes given for named dims: known names, non-negative integers. */
export function checkDims(dims: Dims, known: Iterable<string>): Dims {
  const names = [...known];
  if (typeof dims !== "object" || dims === null || Array.isArray(dims))
    fail("bad-dim", `dims cannot be ${describe(dims)}`, { hint: "give a size for each name: { dims: { T: 128 } }" });
  for (const [name, size] of Object.entries(dims)) {
    if (!names.includes(name)) unknownName("unknown-dim", "the program has no dim", name, names);
    if (!(Number.isInteger(size) && size >= 0)) {
      fail("bad-dim", `the size of dim ${name} cannot be ${typeof size === "number" ? size : describe(size)}`, {
        hint: "give a non-negative integer",
      });
    }
  }
  return dims;
}

/** Fails with `unbound-dim` unless every known dim has a size. */
export function requireDims(dims: Dims, known: Iterable<string>, hint: (missing: string) => string): void {
  const missing = [...known].filter((n) => !Object.hasOwn(dims, n));
  if (missing.length === 0) return;
  fail(
    "unbound-dim",
    `${missing.length > 1 ? "dims" : "dim"} ${missing.join(", ")} of the program ${missing.length > 1 ? "have" : "has"} no size`,
    {
      cause: "kernels are written for known sizes",
      hint: hint(missing.map((n) => `${n}: …`).join(", ")),
    },
  );
}

/** What is known of one input: its declared shape, and the shape or the number of elements of what was given. */
export interface Given {
  readonly path: string;
  readonly declared: Shape;
  readonly shape?: readonly number[] | undefined;
  readonly count?: number | undefined;
}

/**
 * Sizes of named dims that follow from the given inputs, added to those already known. Fails with `wrong-size` when two
 * inputs, or an input and a known size, contradict each other.
 */
export function inferDims(given: readonly Given[], known: Dims): Dims {
  const found = new Map<string, { readonly size: number; readonly from: string }>();
  for (const [name, size] of Object.entries(known)) found.set(name, { size, from: "dims" });
  const sizes = (): Dims => Object.fromEntries([...found].map(([name, f]) => [name, f.size]));
  const learn = (name: string, size: number, g: Given): void => {
    const before = found.get(name);
    if (before && before.size !== size) {
      fail("wrong-size", `dim ${name} is ${before.size} by ${before.from} but ${size} by ${JSON.stringify(g.path)}`, {
        cause: `${JSON.stringify(g.path)} is declared ${shapeText(g.declared)}${g.shape ? ` and has shape ${shapeText(g.shape)}` : ""}`,
        hint: "give inputs whose sizes agree",
      });
    }
    found.set(name, { size, from: JSON.stringify(g.path) });
  };
  for (const g of given) {
    if (!g.shape) continue;
    if (g.shape.length !== g.declared.length) {
      fail(
        "wrong-size",
        `${JSON.stringify(g.path)} is declared ${shapeText(g.declared)} but has shape ${shapeText(g.shape)}`,
        {
          hint: `give ${g.declared.length} axes`,
        },
      );
    }
    g.declared.forEach((d, i) => {
      const s = isSym(d) ? solve(d, (g.shape as number[])[i] as number) : undefined;
      if (s) learn(s.name, s.size, g);
    });
  }
  for (const g of given) {
    if (g.shape || g.count === undefined) continue;
    const s = solveCount(
      g.declared.map((d) => bindDim(d, sizes())),
      g.count,
    );
    if (s) learn(s.name, s.size, g);
  }
  return sizes();
}

/** The size of the one name in `d` that makes it equal `size`; undefined when that cannot be told. */
function solve(d: Dim, size: number): { name: string; size: number } | undefined {
  if (!isSym(d)) return undefined;
  if (d.dim === "name") return { name: d.name, size };
  if (typeof d.b !== "number") return undefined;
  if (d.dim === "add") return solve(d.a, dimSub(size, d.b) as number);
  if (d.dim === "mul" && d.b !== 0 && size % d.b === 0) return solve(d.a, size / d.b);
  return undefined;
}

/** The same from a number of elements, where a single name is open and is a plain factor. */
function solveCount(shape: Shape, count: number): { name: string; size: number } | undefined {
  const open = shape.filter(isSym);
  const names = new Map<string, number>();
  for (const d of open) dimNames(d, names);
  const rest = shape.filter((d) => !isSym(d)).reduce<Dim>(dimMul, 1);
  if (open.length !== 1 || names.size !== 1 || rest === 0) return undefined;
  const size = quotient([count], [rest]);
  return typeof size === "number" ? solve(open[0] as Dim, size) : undefined;
}

/** `T = 16, B = 4` */
export const dimsText = (dims: Dims): string =>
  Object.entries(dims)
    .map(([name, size]) => `${name} = ${size}`)
    .join(", ");
