import { bindDim, type Dim, isSym } from "../../src/ir/dim.ts";
import type { SizeExpr } from "../../src/manifest/uniform.ts";
import type { Point } from "./points.ts";

interface Candidate {
  readonly expr: SizeExpr;
  readonly at: readonly number[];
}

const powers = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];

/** Finds the expression in sizes that gives a number at every point. */
export class Fitter {
  readonly #points: readonly Point[];
  readonly #tiers: (() => readonly Candidate[])[];
  readonly #made: (readonly Candidate[])[] = [];
  readonly #known = new Map<string, SizeExpr | undefined>();

  /** `derived`: sizes that the program's shapes are made of. */
  constructor(points: readonly Point[], derived: readonly Dim[]) {
    this.#points = points;
    const names = Object.keys(points[0] ?? {});
    const atoms = distinct([
      ...names.map((n) => this.#candidate(n)),
      ...derived.filter(isSym).map((d) => this.#dim(d)),
    ]);
    const monomials = distinct(products(products(products(atoms, atoms), atoms), atoms.slice(0, names.length)));
    const quotients = (list: readonly Candidate[]): Candidate[] =>
      list.flatMap((m) => powers.flatMap((c) => [this.#quotient("ceil", m, c), this.#quotient("floor", m, c)]));
    const parts = quotients(atoms);
    this.#tiers = [
      () => monomials,
      () => parts,
      () => this.#differences(atoms),
      () => quotients(monomials),
      () => products(parts, [...parts, ...atoms]),
      () => products(products(parts, parts), [...atoms, ...products(atoms, atoms)]),
    ];
  }

  /** The simplest expression that has these values, the points' in order; undefined where there is none. */
  find(values: readonly number[]): SizeExpr | undefined {
    if (values.every((v) => v === values[0])) return values[0] as number;
    const key = values.join();
    if (!this.#known.has(key)) this.#known.set(key, this.#search(values));
    return this.#known.get(key);
  }

  #search(values: readonly number[]): SizeExpr | undefined {
    for (const [i, make] of this.#tiers.entries()) {
      this.#made[i] ??= make();
      let best: { readonly expr: SizeExpr; readonly cost: number } | undefined;
      for (const c of this.#made[i]) {
        const line = lineThrough(c.at, values);
        if (!line) continue;
        const cost = Math.abs(Math.log2(line.scale)) + 4 * Math.abs(line.offset) + JSON.stringify(c.expr).length / 1000;
        if (!best || cost < best.cost) best = { expr: plus(times(c.expr, line.scale), line.offset), cost };
      }
      if (best) return best.expr;
    }
    return undefined;
  }

  #candidate(expr: SizeExpr): Candidate {
    return { expr, at: this.#points.map((p) => evaluate(expr, p)) };
  }

  #dim(d: Dim): Candidate {
    return { expr: sizeExpr(d), at: this.#points.map((p) => bindDim(d, p) as number) };
  }

  #differences(atoms: readonly Candidate[]): Candidate[] {
    const pairs = atoms.flatMap((a) => atoms.map((b) => [a, b] as const));
    return pairs
      .map(([a, b]): Candidate => ({ expr: ["sub", a.expr, b.expr], at: a.at.map((v, i) => v - (b.at[i] as number)) }))
      .filter((c) => c.at.every((v) => v > 0));
  }

  #quotient(op: "ceil" | "floor", m: Candidate, by: number): Candidate {
    return { expr: [op, m.expr, by], at: m.at.map((v) => (op === "ceil" ? Math.ceil(v / by) : Math.floor(v / by))) };
  }
}

/** values = scale · x + offset at every point, with a whole, positive scale. */
function lineThrough(
  x: readonly number[],
  values: readonly number[],
): { readonly scale: number; readonly offset: number } | undefined {
  const [x0, v0] = [x[0] as number, values[0] as number];
  const j = x.findIndex((xi) => xi !== x0);
  if (j < 0) return undefined;
  const scale = ((values[j] as number) - v0) / ((x[j] as number) - x0);
  if (!Number.isInteger(scale) || scale <= 0) return undefined;
  const offset = v0 - scale * x0;
  return x.every((xi, i) => scale * xi + offset === values[i]) ? { scale, offset } : undefined;
}

const times = (e: SizeExpr, n: number): SizeExpr => (n === 1 ? e : ["mul", e, n]);
const plus = (e: SizeExpr, n: number): SizeExpr => (n === 0 ? e : n > 0 ? ["add", e, n] : ["sub", e, -n]);

function products(a: readonly Candidate[], b: readonly Candidate[]): Candidate[] {
  const made = a.flatMap((x) =>
    b.map((y) => ({ expr: ["mul", x.expr, y.expr] as const, at: x.at.map((v, i) => v * (y.at[i] as number)) })),
  );
  return distinct([...a, ...made]);
}

/** Without those whose values another one has. */
function distinct(list: readonly Candidate[]): Candidate[] {
  const seen = new Map<string, Candidate>();
  for (const c of list) {
    const key = c.at.join();
    if (!seen.has(key)) seen.set(key, c);
  }
  return [...seen.values()];
}

const operators: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  ceil: (a, b) => Math.ceil(a / b),
  floor: (a, b) => Math.floor(a / b),
  mod: (a, b) => a % b,
  max: Math.max,
  min: Math.min,
};

/** The value of an expression for given sizes. */
export function evaluate(e: SizeExpr, sizes: Point): number {
  if (typeof e === "number") return e;
  if (typeof e === "string") return sizes[e] as number;
  return (operators[e[0]] as (a: number, b: number) => number)(evaluate(e[1], sizes), evaluate(e[2], sizes));
}

const names = { add: "add", mul: "mul", floordiv: "floor", mod: "mod", max: "max", min: "min" } as const;

/** A dim as an expression. */
export function sizeExpr(d: Dim): SizeExpr {
  if (!isSym(d)) return d;
  if (d.dim === "name") return d.name;
  if (d.dim === "add" && typeof d.b === "number" && d.b < 0) return ["sub", sizeExpr(d.a), -d.b];
  return [names[d.dim], sizeExpr(d.a), sizeExpr(d.b)];
}
