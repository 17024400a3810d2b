import fc from "fast-check";
import type { IndexAlgebra } from "../../src/ir/op.ts";

/** An index expression as written, before any simplification. */
export type Tree =
  | { readonly op: "int"; readonly n: number }
  | { readonly op: "var"; readonly name: string }
  | { readonly op: "add"; readonly a: Tree; readonly b: Tree }
  | { readonly op: "sub"; readonly a: Tree; readonly b: Tree }
  | { readonly op: "mul" | "div" | "mod"; readonly a: Tree; readonly n: number }
  | { readonly op: "less"; readonly x: Tree; readonly n: number; readonly a: Tree; readonly b: Tree };

/** Sizes of the variables: `i` runs over 0 … size-1. */
export type Sizes = Readonly<Record<string, number>>;

const constant = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constantFrom(31, 32, 100));
// Few and related factors: simplifications fire where strides and sizes share divisors.
const divisor = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(2, 3, 4, 6) },
  { weight: 1, arbitrary: fc.constantFrom(1, 5, 7, 8, 12, 24, 32) },
);
const names = ["i", "j", "k"] as const;

const trees = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "medium", withCrossShrink: true },
    { weight: 3, arbitrary: fc.constantFrom(...names).map((name): Tree => ({ op: "var", name })) },
    { weight: 1, arbitrary: constant.map((n): Tree => ({ op: "int", n })) },
    {
      weight: 4,
      arbitrary: fc.record({ op: fc.constantFrom("add" as const, "sub" as const), a: tie("tree"), b: tie("tree") }),
    },
    {
      weight: 8,
      arbitrary: fc.record({
        op: fc.constantFrom("mul" as const, "div" as const, "mod" as const),
        a: tie("tree"),
        n: divisor,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        op: fc.constant("less" as const),
        x: tie("tree"),
        n: divisor,
        a: tie("tree"),
        b: tie("tree"),
      }),
    },
  ),
})).tree;

const sizes = fc.record({
  i: fc.integer({ min: 1, max: 14 }),
  j: fc.integer({ min: 1, max: 7 }),
  k: fc.integer({ min: 1, max: 4 }),
});

export const arbitraryTree: fc.Arbitrary<{ tree: Tree; sizes: Sizes }> = fc.record({ tree: trees, sizes });

/** Writes a tree in any index algebra. */
export function build<I>(t: Tree, alg: IndexAlgebra<I>, variable: (name: string) => I): I {
  const go = (u: Tree): I => build(u, alg, variable);
  if (t.op === "int") return alg.int(t.n);
  if (t.op === "var") return variable(t.name);
  if (t.op === "add" || t.op === "sub") return alg[t.op](go(t.a), go(t.b));
  if (t.op === "less") return alg.lessThen(go(t.x), t.n, go(t.a), go(t.b));
  return alg[t.op](go(t.a), t.n);
}

/**
 * The exact value, or undefined where it has none: a negative dividend or compared value on the branch taken. Kernels
 * never meet such an index (the true value of every index map is a position).
 */
export function valueAt(t: Tree, at: Sizes): number | undefined {
  if (t.op === "int") return t.n;
  if (t.op === "var") return at[t.name];
  if (t.op === "less") {
    const x = valueAt(t.x, at);
    return x === undefined || x < 0 ? undefined : valueAt(x < t.n ? t.a : t.b, at);
  }
  const a = valueAt(t.a, at);
  if (a === undefined) return undefined;
  if (t.op === "add" || t.op === "sub") {
    const b = valueAt(t.b, at);
    return b === undefined ? undefined : t.op === "add" ? a + b : a - b;
  }
  if (t.op === "mul") return a * t.n;
  return a < 0 ? undefined : t.op === "div" ? Math.floor(a / t.n) : a % t.n;
}

/** Calls `fn` with every assignment of the variables. */
export function forEachAssignment(sizes: Sizes, fn: (at: Record<string, number>) => void): void {
  const keys = Object.keys(sizes);
  const at: Record<string, number> = {};
  const go = (d: number): void => {
    const key = keys[d];
    if (key === undefined) {
      fn(at);
      return;
    }
    for (let v = 0; v < (sizes[key] as number); v++) {
      at[key] = v;
      go(d + 1);
    }
  };
  go(0);
}
