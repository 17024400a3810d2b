/**
 * Integer index expressions over u32: a constant plus a sum of coefficient × atom, kept in a canonical form in which
 * equal expressions have equal keys. Simplification uses the range of every atom, so that index maps of views that
 * cancel (split then merge of an axis, for one) disappear, and division by a constant remains only where it must.
 *
 * Arithmetic is exact as long as the true value is in [0, 2^32): intermediate differences may wrap, as u32 does.
 */
export type Index = {
  readonly base: number;
  readonly terms: readonly Term[];
  readonly min: number;
  readonly max: number;
  readonly key: string;
};

export interface Term {
  readonly atom: Atom;
  readonly coef: number;
}

export type Atom =
  | { readonly kind: "var"; readonly name: string; readonly min: number; readonly max: number; readonly key: string }
  | {
      readonly kind: "div" | "mod";
      readonly of: Index;
      readonly by: number;
      readonly min: number;
      readonly max: number;
      readonly key: string;
    }
  | {
      readonly kind: "select";
      readonly x: Index;
      readonly bound: number;
      readonly below: Index;
      readonly otherwise: Index;
      readonly min: number;
      readonly max: number;
      readonly key: string;
    };

function make(base: number, terms: readonly Term[]): Index {
  let min = base;
  let max = base;
  let key = "";
  for (const { atom, coef } of terms) {
    min += coef * (coef > 0 ? atom.min : atom.max);
    max += coef * (coef > 0 ? atom.max : atom.min);
    key += `${coef}*${atom.key}+`;
  }
  return { base, terms, min, max, key: key + base };
}

/** The terms of two sums, both in the order of their atoms, in one. */
function merged(a: readonly Term[], b: readonly Term[]): Term[] {
  const out: Term[] = [];
  let [i, j] = [0, 0];
  for (let s = a[i], t = b[j]; s || t; s = a[i], t = b[j]) {
    const by = !s ? 1 : !t ? -1 : s.atom.key === t.atom.key ? 0 : order(s.atom.key, t.atom.key);
    if (by < 0) out.push(s as Term);
    if (by > 0) out.push(t as Term);
    const coef = by === 0 ? (s as Term).coef + (t as Term).coef : 0;
    if (coef !== 0) out.push({ atom: (s as Term).atom, coef });
    if (by <= 0) i++;
    if (by >= 0) j++;
  }
  return out;
}

const isDigit = (code: number): boolean => code >= 48 && code <= 57;

function digitsFrom(text: string, start: number): number {
  let end = start;
  while (isDigit(text.charCodeAt(end))) end++;
  return end - start;
}

/** Compares keys, numbers in them by value: the order of terms must not depend on how sizes happen to be spelled. */
function order(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return digitsFrom(a, i) - digitsFrom(b, i) || a.charCodeAt(i) - b.charCodeAt(i) || a.length - b.length;
}

export const int = (n: number): Index => make(n, []);
export const variable = (name: string, max: number, min = 0): Index =>
  max === min ? int(min) : make(0, [{ atom: { kind: "var", name, min, max, key: name }, coef: 1 }]);

export const isInt = (e: Index, n?: number): boolean => e.terms.length === 0 && (n === undefined || e.base === n);

export function add(a: Index, b: Index): Index {
  if (isInt(a, 0)) return b;
  if (isInt(b, 0)) return a;
  let base = a.base + b.base;
  if (isInt(a)) return make(base, b.terms);
  if (isInt(b)) return make(base, a.terms);
  let terms = merged(a.terms, b.terms);
  // k·c·(e / c) + k·(e % c) = k·e
  for (let again = true; again; ) {
    again = false;
    for (const t of terms) {
      if (t.atom.kind !== "mod") continue;
      const quotient = div(t.atom.of, t.atom.by);
      const [q] = quotient.terms;
      if (quotient.terms.length !== 1 || quotient.base !== 0 || q?.coef !== 1) continue;
      const pair = terms.find((u) => u.atom.key === q.atom.key && u.coef === t.coef * (t.atom as { by: number }).by);
      if (!pair) continue;
      const whole = scale(t.atom.of, t.coef);
      base += whole.base;
      terms = merged(
        terms.filter((u) => u !== t && u !== pair),
        whole.terms,
      );
      again = true;
      break;
    }
  }
  return make(base, terms);
}

export const scale = (a: Index, n: number): Index =>
  n === 0
    ? int(0)
    : n === 1
      ? a
      : make(
          a.base * n,
          a.terms.map((t) => ({ atom: t.atom, coef: t.coef * n })),
        );
export const sub = (a: Index, b: Index): Index => add(a, scale(b, -1));

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));
const part = (e: Index, keep: (coef: number) => boolean): Term[] => e.terms.filter((t) => keep(t.coef));

/** floor(e / c); exact for e ≥ 0. */
export function div(e: Index, c: number): Index {
  if (c <= 1) return e;
  if (e.terms.length === 0) return int(Math.floor(e.base / c));
  if (e.min >= 0 && e.max < c) return int(0);
  // (c·Q + R) / c = Q + R / c  for R ≥ 0
  const low = ((e.base % c) + c) % c;
  const rest = make(
    low,
    part(e, (k) => k % c !== 0),
  );
  if (rest.min >= 0 && (rest.terms.length < e.terms.length || low !== e.base)) {
    const whole = make(
      (e.base - low) / c,
      part(e, (k) => k % c === 0).map((t) => ({ atom: t.atom, coef: t.coef / c })),
    );
    return add(whole, div(rest, c));
  }
  const reduced = splitBy(e, c);
  if (reduced) return div(reduced.high, c / reduced.g);
  const only = e.terms[0] as Term;
  if (e.terms.length === 1 && e.base === 0 && only.coef === 1 && only.atom.kind === "div") {
    return div(only.atom.of, only.atom.by * c);
  }
  if (e.min < 0) return atom({ kind: "div", of: e, by: c, min: 0, max: 2 ** 32, key: `(${e.key}/${c})` });
  return atom({
    kind: "div",
    of: e,
    by: c,
    min: Math.floor(e.min / c),
    max: Math.floor(e.max / c),
    key: `(${e.key}/${c})`,
  });
}

/** e mod c; exact for e ≥ 0. */
export function mod(e: Index, c: number): Index {
  if (c <= 1) return int(0);
  if (e.terms.length === 0) return int(((e.base % c) + c) % c);
  if (e.min >= 0 && e.max < c) return e;
  const low = ((e.base % c) + c) % c;
  const rest = make(
    low,
    part(e, (k) => k % c !== 0),
  );
  if (rest.min >= 0 && (rest.terms.length < e.terms.length || low !== e.base)) return mod(rest, c);
  const reduced = splitBy(e, c);
  if (reduced) return add(scale(mod(reduced.high, c / reduced.g), reduced.g), reduced.rest);
  const only = e.terms[0] as Term;
  if (e.terms.length === 1 && e.base === 0 && only.coef === 1 && only.atom.kind === "mod" && only.atom.by % c === 0) {
    return mod(only.atom.of, c);
  }
  return atom({
    kind: "mod",
    of: e,
    by: c,
    min: 0,
    max: Math.min(c - 1, e.min >= 0 ? e.max : c - 1),
    key: `(${e.key}%${c})`,
  });
}

const atom = (a: Atom): Index => make(0, [{ atom: a, coef: 1 }]);

/** e = g·high + rest with 0 ≤ rest < g and g a divisor of c: then e / c = high / (c/g) and e % c = g·(high % (c/g)) + rest. */
function splitBy(e: Index, c: number): { g: number; high: Index; rest: Index } | undefined {
  if (e.min < 0) return undefined;
  for (const t of e.terms) {
    const g = gcd(t.coef, c);
    if (g <= 1 || g === c) continue;
    const low = ((e.base % g) + g) % g;
    const rest = make(
      low,
      part(e, (k) => k % g !== 0),
    );
    if (rest.min < 0 || rest.max >= g) continue;
    const high = make(
      (e.base - low) / g,
      part(e, (k) => k % g === 0).map((u) => ({ atom: u.atom, coef: u.coef / g })),
    );
    if (high.min >= 0) return { g, high, rest };
  }
  return undefined;
}

/** `x < bound ? a : b` */
export function lessThen(x: Index, bound: number, a: Index, b: Index): Index {
  if (x.min >= 0 && x.max < bound) return a;
  if (x.min >= bound) return b;
  if (a.key === b.key) return a;
  return atom({
    kind: "select",
    x,
    bound,
    below: a,
    otherwise: b,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
    key: `(${x.key}<${bound}?${a.key}:${b.key})`,
  });
}

/** Does the expression mention the variable anywhere? */
export const dependsOn = (e: Index, name: string): boolean => e.terms.some((t) => atomDependsOn(t.atom, name));

function atomDependsOn(a: Atom, name: string): boolean {
  if (a.kind === "var") return a.name === name;
  if (a.kind === "select") return dependsOn(a.x, name) || dependsOn(a.below, name) || dependsOn(a.otherwise, name);
  return dependsOn(a.of, name);
}

/** The coefficient of a variable, or undefined where the expression is not linear in it. */
export function coefOf(e: Index, name: string): number | undefined {
  let coef = 0;
  for (const t of e.terms) {
    if (t.atom.kind === "var" && t.atom.name === name) coef = t.coef;
    else if (atomDependsOn(t.atom, name)) return undefined;
  }
  return coef;
}

/** Replaces a variable by an expression and simplifies again. */
export function substitute(e: Index, name: string, by: Index): Index {
  if (!dependsOn(e, name)) return e;
  let out = int(e.base);
  for (const t of e.terms) out = add(out, scale(substituteAtom(t.atom, name, by), t.coef));
  return out;
}

function substituteAtom(a: Atom, name: string, by: Index): Index {
  if (a.kind === "var") return a.name === name ? by : atom(a);
  if (a.kind === "select") {
    return lessThen(
      substitute(a.x, name, by),
      a.bound,
      substitute(a.below, name, by),
      substitute(a.otherwise, name, by),
    );
  }
  const of = substitute(a.of, name, by);
  return a.kind === "div" ? div(of, a.by) : mod(of, a.by);
}

/** Is the value a multiple of n, whatever the variables are? */
export const divisibleBy = (e: Index, n: number): boolean => e.base % n === 0 && e.terms.every((t) => t.coef % n === 0);

/** Row-major offset of an index. */
export function ravel(index: readonly Index[], shape: readonly number[]): Index {
  let offset = int(0);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    offset = add(offset, scale(index[i] as Index, stride));
    stride *= shape[i] as number;
  }
  return offset;
}

/** Index of a row-major offset. */
export function unravel(offset: Index, shape: readonly number[]): Index[] {
  const out: Index[] = [];
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    const n = shape[i] as number;
    const q = div(offset, stride);
    out[i] = i === 0 && q.max < n ? q : mod(q, Math.max(1, n));
    stride *= Math.max(1, n);
  }
  return out;
}

export const indexAlgebra = { int, add, sub, mul: scale, div, mod, lessThen };

/** WGSL text of the expression, a u32. */
export function indexText(e: Index): string {
  const plus: string[] = [];
  const minus: string[] = [];
  for (const t of e.terms) {
    const a = atomText(t.atom);
    const k = Math.abs(t.coef);
    (t.coef > 0 ? plus : minus).push(k === 1 ? a : `${a} * ${k}u`);
  }
  if (e.base > 0) plus.push(`${e.base}u`);
  if (e.base < 0) minus.push(`${-e.base}u`);
  if (plus.length === 0) plus.push("0u");
  return [plus.join(" + "), ...minus].join(" - ");
}

function atomText(a: Atom): string {
  if (a.kind === "var") return a.name;
  if (a.kind === "select") {
    return `select(${indexText(a.otherwise)}, ${indexText(a.below)}, ${indexText(a.x)} < ${a.bound}u)`;
  }
  const of = indexText(a.of);
  return `(${/[ ]/.test(of) ? `(${of})` : of} ${a.kind === "div" ? "/" : "%"} ${a.by}u)`;
}
