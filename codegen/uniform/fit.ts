import { bindDim, type Dim, isSym } from "../../src/ir/dim.ts";
import type { SizeExpr } from "../../src/manifest/uniform.ts";
import type { Point } from "./points.ts";

interface Candidate {
  readonly expr: SizeExpr;
  readonly at: readonly number[];
}

const powers = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];
/** What is often added to a multiple of something. */
const offsets = [0, 1, -1];

/** Finds the expression in sizes that gives a number at every point. */
export class Fitter {
  readonly #points: readonly Point[];
  readonly #atoms: readonly Candidate[];
  readonly #parts: readonly Candidate[];
  readonly #names: readonly Candidate[];
  /** The pool in order, simplest first, and by the ratios between a candidate's values: its multiples have the same. */
  #pool: readonly Candidate[] = [];
  readonly #byRatio = new Map<string, Candidate[]>();
  readonly #known = new Map<string, SizeExpr | undefined>();

  /** Numbers of elements and rows. */
  readonly #counts: readonly Candidate[];

  /** `derived`: sizes that the program's shapes are made of; `counts`: what products of them there are. */
  constructor(points: readonly Point[], derived: readonly Dim[], counts: readonly Dim[] = []) {
    this.#points = points;
    this.#names = Object.keys(points[0] ?? {}).map((n) => this.#candidate(n));
    this.#atoms = distinct([...this.#names, ...derived.filter(isSym).map((d) => this.#dim(d))]);
    this.#parts = this.#quotients(this.#atoms);
    this.#counts = counts.filter(isSym).map((d) => this.#dim(d));
  }

  /** The simplest expression that has these values, the points' in order; undefined where there is none. */
  find(values: readonly number[]): SizeExpr | undefined {
    if (values.every((v) => v === values[0])) return values[0] as number;
    const key = values.join();
    if (!this.#known.has(key)) this.#known.set(key, this.#search(values));
    return this.#known.get(key);
  }

  /** The simplest expression whose values come to these by a function that loses some of their digits. */
  findBy(values: readonly number[], of: (v: number) => number): SizeExpr | undefined {
    if (this.#pool.length === 0) this.#fill();
    return this.#pool.find(({ at }) => at.every((v, i) => of(v) === values[i]))?.expr;
  }

  #search(values: readonly number[]): SizeExpr | undefined {
    const near = this.#neighbour(values);
    if (near !== undefined) return near;
    for (const offset of offsets) {
      const rest = values.map((v) => v - offset);
      const e = this.#multiple(rest) ?? this.#product(rest, this.#parts, 2);
      if (e !== undefined) return plus(e, offset);
    }
    let best: { readonly expr: SizeExpr; readonly cost: number } | undefined;
    for (const c of this.#pool) {
      const line = lineThrough(c.at, values);
      if (!line) continue;
      const cost = Math.abs(Math.log2(line.scale)) + 4 * Math.abs(line.offset);
      if (!best || cost < best.cost) best = { expr: plus(times(c.expr, line.scale), line.offset), cost };
    }
    return best?.expr ?? this.#rowsFrom(values) ?? this.#sum(values);
  }

  /** A size, or tiles of it, times a line in another one: where a part of the rows begins. */
  #rowsFrom(values: readonly number[]): SizeExpr | undefined {
    for (const r of [...this.#atoms, ...this.#parts, ...monomials(this.#names, 3)]) {
      if (!r.at.every((v, i) => v > 1 && (values[i] as number) % v === 0)) continue;
      const rest = values.map((v, i) => v / (r.at[i] as number));
      for (const c of this.#atoms) {
        const line = lineThrough(c.at, rest);
        if (line) return ["mul", r.expr, plus(times(c.expr, line.scale), line.offset)];
      }
    }
    return undefined;
  }

  /** A size or one beside it: where sizes are odd, that is twice the half of it rounded, too. */
  #neighbour(values: readonly number[]): SizeExpr | undefined {
    // n - 1 elements of n may be max(n - 1, 0).
    const same = this.#atoms.find(({ at }) => at.every((v, i) => v === values[i]));
    if (same) return same.expr;
    for (const { expr, at } of this.#atoms) {
      const offset = (values[0] as number) - (at[0] as number);
      if (Math.abs(offset) <= 1 && at.every((v, i) => v + offset === values[i])) return plus(expr, offset);
    }
    return undefined;
  }

  /** A whole multiple of something in the pool. */
  #multiple(values: readonly number[]): SizeExpr | undefined {
    if (this.#pool.length === 0) this.#fill();
    for (const c of this.#byRatio.get(ratios(values)) ?? []) {
      const scale = (values[0] as number) / (c.at[0] as number);
      if (Number.isInteger(scale) && scale > 0) return times(c.expr, scale);
    }
    return undefined;
  }

  /** A product of up to `depth` tile counts and something in the pool. */
  #product(values: readonly number[], parts: readonly Candidate[], depth: number): SizeExpr | undefined {
    const dividing = parts.filter((p) => p.at.every((v, i) => v > 1 && (values[i] as number) % v === 0));
    for (const p of dividing) {
      const rest = this.#multiple(values.map((v, i) => v / (p.at[i] as number)));
      if (rest !== undefined) return ["mul", p.expr, rest];
    }
    if (depth === 1) return undefined;
    for (const p of dividing) {
      const rest = this.#product(
        values.map((v, i) => v / (p.at[i] as number)),
        dividing,
        depth - 1,
      );
      if (rest !== undefined) return ["mul", p.expr, rest];
    }
    return undefined;
  }

  /** One size and a multiple of another one's tiles. */
  #sum(values: readonly number[]): SizeExpr | undefined {
    for (const a of this.#atoms) {
      const rest = values.map((v, i) => v - (a.at[i] as number));
      for (const c of this.#parts) {
        const line = lineThrough(c.at, rest);
        if (line) return plus(["add", a.expr, times(c.expr, line.scale)], line.offset);
      }
    }
    return undefined;
  }

  #fill(): void {
    const ownMonomials = monomials(this.#names, 4);
    this.#pool = distinct([
      ...this.#atoms,
      ...monomials(this.#atoms, this.#atoms.length > 8 ? 3 : 4),
      ...ownMonomials,
      ...this.#parts,
      ...this.#differences(),
      ...this.#allButOne(ownMonomials),
      ...this.#counts,
      ...this.#quotients(ownMonomials),
      ...this.#quotients(this.#counts),
    ]);
    for (const c of this.#pool) {
      const key = ratios(c.at);
      const list = this.#byRatio.get(key);
      if (list) list.push(c);
      else this.#byRatio.set(key, [c]);
    }
  }

  #candidate(expr: SizeExpr): Candidate {
    return { expr, at: this.#points.map((p) => evaluate(expr, p)) };
  }

  #dim(d: Dim): Candidate {
    return { expr: sizeExpr(d), at: this.#points.map((p) => bindDim(d, p) as number) };
  }

  #differences(): Candidate[] {
    const pairs = this.#atoms.flatMap((a) => this.#atoms.map((b) => [a, b] as const));
    return pairs
      .map(([a, b]): Candidate => ({ expr: ["sub", a.expr, b.expr], at: a.at.map((v, i) => v - (b.at[i] as number)) }))
      .filter((c) => c.at.every((v) => v > 0));
  }

  /** All rows but one: where the last one begins. */
  #allButOne(rows: readonly Candidate[]): Candidate[] {
    return this.#atoms.flatMap((a) => {
      const c: Candidate = { expr: ["sub", a.expr, 1], at: a.at.map((v) => v - 1) };
      if (c.at.some((v) => v <= 0)) return [];
      return [
        c,
        ...rows.map(
          (r): Candidate => ({ expr: ["mul", c.expr, r.expr], at: r.at.map((v, i) => v * (c.at[i] as number)) }),
        ),
      ];
    });
  }

  #quotients(list: readonly Candidate[]): Candidate[] {
    return list.flatMap((m) =>
      powers.flatMap((by): Candidate[] => [
        { expr: ["ceil", m.expr, by], at: m.at.map((v) => Math.ceil(v / by)) },
        { expr: ["floor", m.expr, by], at: m.at.map((v) => Math.floor(v / by)) },
      ]),
    );
  }
}

const recent = new Map<string, Fitter>();

/** A fitter for these points. What it found for one dtype or profile of a kernel, it knows for the next. */
export function fitterFor(points: readonly Point[], derived: readonly Dim[], counts: readonly Dim[]): Fitter {
  const key = JSON.stringify([points, derived, counts]);
  const known = recent.get(key);
  if (known) return known;
  if (recent.size >= 8) recent.clear();
  const made = new Fitter(points, derived, counts);
  recent.set(key, made);
  return made;
}

const ratios = (values: readonly number[]): string => {
  let key = "";
  for (const v of values) key += `${v / (values[0] as number)},`;
  return key;
};

/** Products of up to `degree` candidates, fewest first. */
function monomials(list: readonly Candidate[], degree: number): Candidate[] {
  let level: readonly { readonly c: Candidate; readonly last: number }[] = list.map((c, last) => ({ c, last }));
  const out = [...list];
  for (let d = 2; d <= degree; d++) {
    level = level.flatMap(({ c, last }) =>
      list.slice(last).map((x, i) => ({
        c: { expr: ["mul", c.expr, x.expr], at: c.at.map((v, k) => v * (x.at[k] as number)) } as Candidate,
        last: last + i,
      })),
    );
    out.push(...level.map((l) => l.c));
  }
  return out;
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
