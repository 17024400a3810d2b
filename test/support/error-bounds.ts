import type { DType } from "../../src/base/dtype.ts";
import type { Graph, Node } from "../../src/ir/graph.ts";
import { decomposed, interpretNode } from "../../src/ir/interpret.ts";
import { count, type NDArray } from "../../src/ir/ndarray.ts";
import type { Accuracy } from "../../src/ir/op.ts";
import { rowOf } from "../../src/ir/ops.ts";
import { ulpOf } from "./ulp.ts";

/**
 * A tensor's exact value and how far any correct f32 evaluation may be from it, element by element. 0 means that every order
 * of evaluation gives this very number; Infinity that nothing can be said (a comparison, index or pole within reach of a
 * rounding error).
 */
export interface Bounded {
  readonly value: NDArray;
  readonly error: Float64Array;
}

/** Half a unit in the last place of f32, relative. */
const u = 2 ** -24;
const f32Max = 3.4028234663852886e38;
const f16Max = 65504;
/** Sums of more elements than this are split by every kernel. */
const longestSum = 256;

/**
 * Running error analysis of a graph: the value as the f64 interpreter has it, and a bound that grows with each op by its row's
 * accuracy and by what its arguments' errors do to it (the row evaluated at the corners of the arguments' intervals).
 * Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.3.
 */
export function errorBounds(graph: Graph, inputs: Readonly<Record<string, NDArray>>): Record<string, Bounded> {
  const given = Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => [name, { value, error: new Float64Array(value.data.length) }]),
  );
  return run(graph, given);
}

function run(graph: Graph, inputs: Readonly<Record<string, Bounded>>): Record<string, Bounded> {
  const values = new Map<Node, readonly Bounded[]>();
  for (const n of graph.nodes) {
    const args = n.args.map((a) => (values.get(a) as Bounded[])[0] as Bounded);
    if (n.op === "input") values.set(n, [inputs[n.attrs.name as string] as Bounded]);
    else if (n.op === "result")
      values.set(n, [(values.get(n.args[0] as Node) as Bounded[])[n.attrs.index as number] as Bounded]);
    else values.set(n, nodeBounds(n, args));
  }
  return Object.fromEntries(graph.outputs.map((o) => [o.name, (values.get(o.node) as Bounded[])[0] as Bounded]));
}

function nodeBounds(n: Node, args: readonly Bounded[]): readonly Bounded[] {
  const row = rowOf(n.op);
  if (row.elementwise) return [elementwise(n, args)];
  const special = rules[n.op];
  if (special) return [special(n, args)];
  if (row.view || n.op === "concat") return [moved(n, args)];
  if (row.decompose) {
    const graph = decomposed(n);
    const out = run(graph, Object.fromEntries(args.map((a, i) => [`a${i}`, a])));
    return graph.outputs.map((o) => out[o.name] as Bounded);
  }
  return anyOp(n, args);
}

/** A copy of the node that moves error terms: f32, with nothing rounded and padding free of error. */
function asError(n: Node): Node {
  const type = { dtype: "f32" as const, shape: n.type.shape };
  return { ...n, type, attrs: n.op === "pad" ? { ...n.attrs, value: 0 } : n.attrs };
}

const floats = (like: NDArray, data: Float64Array): NDArray => ({ dtype: "f32", shape: like.shape, data });
const errorOf = (b: Bounded): NDArray => floats(b.value, b.error);
const size = (b: Bounded): NDArray => floats(b.value, b.value.data.map(Math.abs));
/** The largest magnitudes that the elements may have. */
const wide = (b: Bounded): NDArray =>
  floats(
    b.value,
    b.value.data.map((v, i) => Math.abs(v) + (b.error[i] as number)),
  );
const filled = (like: NDArray, x: number): NDArray => floats(like, new Float64Array(like.data.length).fill(x));
const evaluate = (n: Node, args: readonly NDArray[]): NDArray => interpretNode(n, args)[0] as NDArray;
const exactly = (b: Bounded): boolean => b.error.every((e) => e === 0);

function moved(n: Node, args: readonly Bounded[]): Bounded {
  const value = evaluate(
    n,
    args.map((a) => a.value),
  );
  return { value, error: evaluate(asError(n), args.map(errorOf)).data };
}

/** Exact arguments give an exact result where the row does no float arithmetic; anything else is unknown. */
function anyOp(n: Node, args: readonly Bounded[]): readonly Bounded[] {
  const results = interpretNode(
    n,
    args.map((a) => a.value),
  );
  const combine = n.attrs.combine as Graph | undefined;
  const selects = !combine || combine.nodes.every((m) => m.type.dtype !== "f32" || selecting.has(m.op));
  const known = args.every(exactly) && selects;
  return results.map((value) => ({
    value,
    error: new Float64Array(value.data.length).fill(known ? 0 : Number.POSITIVE_INFINITY),
  }));
}
const selecting = new Set(["input", "const", "where", "min", "max"]);

/** The error of a result near r, itself off by `error` before it is rounded to its dtype. */
function rounded(dtype: DType, r: number, error: number): number {
  if (error === 0) return 0;
  if (Number.isNaN(error) || !Number.isFinite(r)) return Number.POSITIVE_INFINITY;
  const far = Math.abs(r) + error;
  if (dtype === "f16") {
    if (far > f16Max) return Number.POSITIVE_INFINITY;
    // Subnormal halves may be flushed.
    return error + ulpOf("f16", far) + (far < 2 ** -13 ? 2 ** -14 : 0);
  }
  return far > f32Max ? Number.POSITIVE_INFINITY : error + (far < 2 ** -125 ? 2 ** -125 : 0);
}

/** Is r a number of f32? Then a correctly rounded operation on exact arguments gives it. */
const representable = (r: number): boolean => Math.fround(r) === r || Number.isNaN(r);

const correctlyRounded = new Set(["add", "sub", "mul"]);

function ownError(accuracy: Accuracy | undefined, op: string, r: number): number {
  const ulps = typeof accuracy?.ulp === "number" ? accuracy.ulp : 1;
  if (!Number.isFinite(r) || (ulps === 0 && !accuracy?.atol)) return 0;
  if (correctlyRounded.has(op) && representable(r)) return 0;
  return ulps * ulpOf("f32", r) + (accuracy?.atol ?? 0);
}

function elementwise(n: Node, args: readonly Bounded[]): Bounded {
  const row = rowOf(n.op);
  const cpu = row.elementwise?.cpu as NonNullable<typeof row.elementwise>["cpu"];
  const value = evaluate(
    n,
    args.map((a) => a.value),
  );
  const error = new Float64Array(value.data.length);
  // Broadcasting, by the interpreter: arguments and their errors in the result's shape.
  const shape = n.type.shape;
  const spread = (a: NDArray): NDArray =>
    count(a.shape) === value.data.length
      ? a
      : evaluate({ ...n, op: "expand", args: [], attrs: { shape }, type: { dtype: a.dtype, shape } }, [a]);
  const x = args.map((a) => spread(a.value).data);
  const e = args.map((a) => spread(errorOf(a)).data);
  const dtypes = { args: args.map((a) => a.value.dtype), result: n.type.dtype };
  const { dtype } = n.type;
  const isFloat = dtype === "f32" || dtype === "f16";
  const at = new Array<number>(args.length).fill(0);
  for (let i = 0; i < error.length; i++) {
    for (let k = 0; k < at.length; k++) at[k] = x[k]?.[i] as number;
    const r = cpu(at, dtypes, n.attrs);
    let spreadOf = 0;
    if (e.some((list) => list[i] !== 0)) {
      for (const corner of corners(at, e, i, dtypes.args)) {
        const c = cpu(corner, dtypes, n.attrs);
        if (c === r || (Number.isNaN(c) && Number.isNaN(r))) continue;
        const d = Math.abs(c - r);
        spreadOf = Math.max(spreadOf, Number.isNaN(d) || !isFloat ? Number.POSITIVE_INFINITY : d);
      }
    }
    const own = isFloat ? ownError(row.accuracy, n.op, r) : 0;
    error[i] = isFloat ? rounded(dtype, r, spreadOf + own) : spreadOf;
  }
  return { value, error };
}

/** Every choice of the ends of the arguments' intervals; a truth value in doubt is both. */
function* corners(
  x: readonly number[],
  e: readonly Float64Array[],
  i: number,
  dtypes: readonly DType[],
): Generator<readonly number[]> {
  const ends = x.map((v, k) => {
    const d = e[k]?.[i] as number;
    return d === 0 ? [v] : dtypes[k] === "bool" ? [0, 1] : [v - d, v + d];
  });
  const total = ends.reduce((n, list) => n * list.length, 1);
  for (let c = 0; c < total; c++) {
    let rest = c;
    yield ends.map((list) => {
      const v = list[rest % list.length] as number;
      rest = Math.floor(rest / list.length);
      return v;
    });
  }
}

/** The largest power of two that divides every number (all multiples of it); 0 when there is none to speak of. */
function gridOf(data: Float64Array): number {
  let grid = Number.POSITIVE_INFINITY;
  for (const v of data) {
    if (!Number.isFinite(v)) return 0;
    if (v !== 0) grid = Math.min(grid, lowBit(v));
  }
  return grid;
}

function lowBit(v: number): number {
  let bit = ulpOf("f32", v);
  if (Math.fround(v) !== v) return 0;
  while (v % (bit * 2) === 0) bit *= 2;
  return bit;
}

/** Error of adding numbers up in any order: none when all partial sums are multiples of `grid` within 24 bits. */
const sumError = (total: number, grid: number, n: number): number =>
  total === 0 || (grid > 0 && total <= grid * 2 ** 24) ? 0 : Math.min(n, longestSum) * u * total;

type Rule = (n: Node, args: readonly Bounded[]) => Bounded;

/** Rows that add up: the result of the same row on absolute values bounds the rounding, on errors the errors. */
const summing =
  (length: (n: Node) => number): Rule =>
  (n, [x]) => {
    const arg = x as Bounded;
    const value = evaluate(n, [arg.value]);
    if (arg.value.dtype === "i32" || arg.value.dtype === "u32") return integral(value, [arg]);
    const total = evaluate(asError(n), [size(arg)]).data;
    const carried = evaluate(asError(n), [errorOf(arg)]).data;
    const grid = gridOf(arg.value.data);
    return {
      value,
      error: value.data.map((r, i) =>
        rounded(n.type.dtype, r, (carried[i] as number) + sumError(total[i] as number, grid, length(n))),
      ),
    };
  };

/** Integer arithmetic is exact, or nothing is known of it. */
function integral(value: NDArray, args: readonly Bounded[]): Bounded {
  const known = args.every(exactly);
  return { value, error: new Float64Array(value.data.length).fill(known ? 0 : Number.POSITIVE_INFINITY) };
}

const reducedCount = (n: Node): number => {
  const from = (n.args[0] as Node).type.shape as readonly number[];
  return (n.attrs.axes as readonly number[]).reduce((p, a) => p * (from[a] as number), 1);
};

const extremum: Rule = (n, [x]) => {
  const arg = x as Bounded;
  const value = evaluate(n, [arg.value]);
  return { value, error: evaluate({ ...asError(n), op: "reduceMax" }, [errorOf(arg)]).data.map((e) => Math.max(0, e)) };
};

const product: Rule = (n, [x]) => {
  const arg = x as Bounded;
  const value = evaluate(n, [arg.value]);
  if (arg.value.dtype === "i32" || arg.value.dtype === "u32") return integral(value, [arg]);
  const low = evaluate(asError(n), [size(arg)]).data;
  const high = evaluate(asError(n), [wide(arg)]).data;
  const length = reducedCount(n);
  return productBounds(n, value, low, high, () => length);
};

/** Of products of some number of factors each, of which `low` and `high` are the magnitude and the most it can be. */
function productBounds(
  n: Node,
  value: NDArray,
  low: Float64Array,
  high: Float64Array,
  factors: (i: number) => number,
): Bounded {
  const error = value.data.map((r, i) => {
    const h = high[i] as number;
    const length = factors(i);
    return rounded(n.type.dtype, r, (length <= 1 ? h : h * (1 + 2 * length * u)) - (low[i] as number));
  });
  return { value, error };
}

const truth: Rule = (n, args) => {
  const value = evaluate(
    n,
    args.map((a) => a.value),
  );
  const doubt = evaluate({ ...asError(n), op: "reduceMax" }, [errorOf(args[0] as Bounded)]).data;
  return { value, error: doubt.map((e) => (e > 0 ? Number.POSITIVE_INFINITY : 0)) };
};

const matmul: Rule = (n, args) => {
  const [a, b] = args as [Bounded, Bounded];
  const value = evaluate(n, [a.value, b.value]);
  if (n.type.dtype === "i32" || n.type.dtype === "u32") return integral(value, args);
  const as = asError(n);
  const total = evaluate(as, [size(a), size(b)]).data;
  const zero = exactly(a) && exactly(b);
  const high = zero ? total : evaluate(as, [wide(a), wide(b)]).data;
  const grid = gridOf(a.value.data) * gridOf(b.value.data);
  const k = a.value.shape.at(-1) as number;
  return {
    value,
    error: value.data.map((r, i) => {
      const [h, t] = [high[i] as number, total[i] as number];
      return rounded(n.type.dtype, r, h - t + sumError(h, zero ? grid : 0, k));
    }),
  };
};

const gather: Rule = (n, args) => {
  const [data, ...rest] = args as [Bounded, ...Bounded[]];
  const value = evaluate(
    n,
    args.map((a) => a.value),
  );
  if (!rest.every(exactly)) return { value, error: value.data.map(() => Number.POSITIVE_INFINITY) };
  return { value, error: evaluate(asError(n), [errorOf(data), ...rest.map((a) => a.value)]).data };
};

const scatter: Rule = (n, args) => {
  const [data, indices, updates] = args as [Bounded, Bounded, Bounded];
  const value = evaluate(n, [data.value, indices.value, updates.value]);
  if (!exactly(indices)) return { value, error: value.data.map(() => Number.POSITIVE_INFINITY) };
  if (data.value.dtype !== "f32" && data.value.dtype !== "f16") return integral(value, [data, updates]);
  const how = n.attrs.reduction as string;
  const as = asError(n);
  const joined = (reduction: string, x: NDArray, y: NDArray): Float64Array =>
    evaluate({ ...as, attrs: { ...n.attrs, reduction } }, [x, indices.value, y]).data;
  const carried = (reduction: string): Float64Array => joined(reduction, errorOf(data), errorOf(updates));
  if (how === "none") return { value, error: carried("none") };
  if (how === "min" || how === "max") return { value, error: carried("max") };
  if (how === "mul") {
    const low = joined("mul", size(data), size(updates));
    const high = joined("mul", wide(data), wide(updates));
    const factors = joined("add", filled(data.value, 1), filled(updates.value, 1));
    return productBounds(n, value, low, high, (i) => factors[i] as number);
  }
  const total = joined("add", size(data), size(updates));
  const grid = Math.min(gridOf(data.value.data), gridOf(updates.value.data));
  const hits = count(indices.value.shape) + 1;
  const errors = carried("add");
  return {
    value,
    error: value.data.map((r, i) =>
      rounded(n.type.dtype, r, (errors[i] as number) + sumError(total[i] as number, grid, hits)),
    ),
  };
};

const rules: Readonly<Record<string, Rule>> = {
  sum: summing(reducedCount),
  cumSum: summing((n) => (n.type.shape as readonly number[])[n.attrs.axis as number] as number),
  prod: product,
  reduceMin: extremum,
  reduceMax: extremum,
  any: truth,
  all: truth,
  matmul,
  gather,
  gatherElements: gather,
  gatherND: gather,
  scatterElements: scatter,
  scatterND: scatter,
};

/** What a computed tensor has outside the bound, or undefined; `slack` widens bounds that are not 0. */
export function outside(actual: NDArray, { value, error }: Bounded, slack = 2): string | undefined {
  if (actual.dtype !== value.dtype || String(actual.shape) !== String(value.shape)) {
    return `${actual.dtype}[${actual.shape}] instead of ${value.dtype}[${value.shape}]`;
  }
  for (let i = 0; i < error.length; i++) {
    const [a, v, e] = [actual.data[i] as number, value.data[i] as number, error[i] as number];
    if (a === v || (Number.isNaN(a) && Number.isNaN(v)) || e === Number.POSITIVE_INFINITY) continue;
    if (e > 0 && Math.abs(a - v) <= slack * e) continue;
    // A number beyond f32 is infinity there.
    if (value.dtype === "f32" && Math.fround(v) === a) continue;
    return `element ${i} is ${a} instead of ${v} ± ${slack * e}`;
  }
  return undefined;
}

/** The part of a tensor's elements of which something is known. */
export function knownShare({ error }: Bounded): number {
  let known = 0;
  for (const e of error) if (e < Number.POSITIVE_INFINITY) known++;
  return error.length === 0 ? 1 : known / error.length;
}
