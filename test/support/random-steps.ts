import { isFloat } from "../../src/base/dtype.ts";
import type { Attrs, GraphBuilder } from "../../src/ir/graph.ts";
import { count } from "../../src/ir/ndarray.ts";
import { common, dtypeOf, limits, moved, shapeOf, sizeOf, type Value, value } from "./random-value.ts";

/** What a step chooses from: earlier values and a few numbers, taken in order. */
export interface Choices {
  readonly b: GraphBuilder;
  /** Every value so far, the newest last. */
  readonly values: readonly Value[];
  /** A number in 0..n-1; 0 when nothing is left to choose from. */
  pick(n: number): number;
}

/** Adds an op to value `x`, or gives undefined where the op does not fit it. */
export type Step = (c: Choices, x: Value) => Value | undefined;

const floats = (x: Value): boolean => isFloat(dtypeOf(x));
const integers = (x: Value): boolean => dtypeOf(x) === "i32" || dtypeOf(x) === "u32";
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

const broadcasts = (x: readonly number[], y: readonly number[]): boolean => {
  for (let i = 1; i <= Math.min(x.length, y.length); i++) {
    const [p, q] = [x.at(-i), y.at(-i)];
    if (p !== q && p !== 1 && q !== 1) return false;
  }
  const rank = Math.max(x.length, y.length);
  return count(range(rank).map((i) => Math.max(x.at(i - rank) ?? 1, y.at(i - rank) ?? 1))) <= limits.elements;
};

/** An earlier value that broadcasts against x, or a scalar constant. */
function partner(c: Choices, x: Value): Value {
  const fits = c.values.filter((y) => dtypeOf(y) === dtypeOf(x) && broadcasts(shapeOf(x), shapeOf(y)));
  const at = c.pick(fits.length + 1);
  if (at < fits.length) return fits[at] as Value;
  const constant = dtypeOf(x) === "bool" ? 1 : ([2, 1, 0, 3][c.pick(4)] as number);
  return { node: c.b.const(constant, dtypeOf(x)), bound: constant, error: 0, grid: 0 };
}

/** |f'| <= slope near the values, |f| <= bound(x). The library function itself may err by `rough` of its bound. */
const smooth =
  (op: string, bound: (b: number) => number, slope: number, rough = 2e-5, attrs: Attrs = {}): Step =>
  ({ b }, x) =>
    floats(x) ? value(b.add(op, [x.node], attrs), bound(x.bound), slope * x.error + rough * bound(x.bound)) : undefined;

/** Functions that are exact on exact values but jump: inexact values could fall on either side. */
const stepwise =
  (op: string, bound: (b: number) => number): Step =>
  ({ b }, x) =>
    floats(x) && x.grid !== undefined ? value(b.add(op, [x.node]), bound(x.bound), 0, 0) : undefined;

const binary =
  (
    op: string,
    bound: (x: number, y: number) => number,
    error: (x: Value, y: Value) => number,
    grid: (g: number, x: Value, y: Value) => number,
  ): Step =>
  (c, x) => {
    const y = partner(c, x);
    if (dtypeOf(x) === "bool" || (dtypeOf(x) === "u32" && op === "sub")) return undefined;
    const g = common(x, y);
    return value(
      c.b.add(op, [x.node, y.node]),
      bound(x.bound, y.bound),
      error(x, y),
      g === undefined ? g : grid(g, x, y),
    );
  };

const comparison =
  (op: string): Step =>
  (c, x) => {
    const y = partner(c, x);
    return common(x, y) === undefined || dtypeOf(x) === "bool"
      ? undefined
      : value(c.b.add(op, [x.node, y.node]), 1, 0, 0);
  };

const max2 = Math.max;
const sumError = (x: Value, y: Value): number => x.error + y.error;
const productError = (x: Value, y: Value): number => x.error * y.bound + y.error * x.bound;

export const pointwiseSteps: readonly Step[] = [
  ({ b }, x) =>
    dtypeOf(x) !== "bool" && dtypeOf(x) !== "u32" ? value(b.add("neg", [x.node]), x.bound, x.error, x.grid) : undefined,
  binary(
    "add",
    (x, y) => x + y,
    sumError,
    (g) => g,
  ),
  binary(
    "mul",
    (x, y) => x * y,
    productError,
    (_, x, y) => (x.grid as number) + (y.grid as number),
  ),
  binary(
    "sub",
    (x, y) => x + y,
    sumError,
    (g) => g,
  ),
  binary(
    "max",
    max2,
    (x, y) => max2(x.error, y.error),
    (g) => g,
  ),
  binary(
    "min",
    max2,
    (x, y) => max2(x.error, y.error),
    (g) => g,
  ),
  ({ b }, x) => (floats(x) ? value(b.add("relu", [x.node]), x.bound, x.error, x.grid) : undefined),
  ({ b }, x) => (floats(x) ? value(b.add("abs", [x.node]), x.bound, x.error, x.grid) : undefined),
  smooth("tanh", () => 1, 1),
  smooth("sigmoid", () => 1, 0.25),
  smooth("gelu", (v) => v, 1.2, 2e-5, { approximate: "tanh" }),
  smooth("silu", (v) => v, 1.1),
  ({ b }, x) =>
    floats(x) && x.bound <= 5 ? smooth("exp", Math.exp, Math.exp(x.bound))({ b } as Choices, x) : undefined,
  ({ b }, x) => {
    // x / (|x| + 1): a quotient that cannot blow up
    if (!floats(x)) return undefined;
    const below = b.add("add", [b.add("abs", [x.node]), b.const(1, dtypeOf(x))]);
    const rough = dtypeOf(x) === "f16" ? 4e-3 : 1e-5;
    return value(b.add("div", [x.node, below]), 1, 2 * x.error + rough);
  },
  stepwise("floor", (v) => v + 1),
  stepwise("round", (v) => v + 1),
  stepwise("sign", () => 1),
  comparison("less"),
  comparison("equal"),
  comparison("greaterEqual"),
  ({ b }, x) => (dtypeOf(x) === "bool" ? value(b.add("not", [x.node]), 1, 0, 0) : undefined),
  (c, x) => {
    const conditions = c.values.filter((v) => dtypeOf(v) === "bool" && broadcasts(shapeOf(v), shapeOf(x)));
    const cond = conditions[c.pick(conditions.length)];
    const y = partner(c, x);
    if (!cond || !broadcasts(shapeOf(cond), shapeOf(y))) return undefined;
    const node = c.b.add("where", [cond.node, x.node, y.node]);
    return value(node, max2(x.bound, y.bound), max2(x.error, y.error), common(x, y));
  },
  (c, x) => {
    const op = ["and", "or", "xor"][c.pick(3)] as string;
    const y = partner(c, x);
    if (floats(x)) return undefined;
    const bound = dtypeOf(x) === "bool" ? 1 : 2 ** Math.ceil(Math.log2(max2(x.bound, y.bound) + 1));
    return value(c.b.add(op, [x.node, y.node]), bound, 0, 0);
  },
  (c, x) => {
    const to = (["f32", "f16", "i32", "bool"] as const)[c.pick(4)] as "f32" | "f16" | "i32" | "bool";
    // A rounded value may lie on either side of an integer or of 0.
    if (to === dtypeOf(x) || ((to === "i32" || to === "bool") && x.grid === undefined)) return undefined;
    const bound = to === "bool" ? 1 : x.bound;
    return value(c.b.add("cast", [x.node], { dtype: to }), bound, x.error, to === "i32" || to === "bool" ? 0 : x.grid);
  },
  (c, x) => (integers(x) ? value(c.b.add("mod", [x.node, c.b.const(3 + c.pick(5), dtypeOf(x))]), 8, 0, 0) : undefined),
];

export const viewSteps: readonly Step[] = [
  ({ b }, x) => moved(b, "transpose", x, { perm: range(shapeOf(x).length).reverse() }),
  (c, x) => {
    const n = shapeOf(x).length;
    const turn = n ? c.pick(n) : 0;
    return moved(c.b, "transpose", x, { perm: range(n).map((i) => (i + turn) % n) });
  },
  (c, x) => {
    const shape = shapeOf(x);
    const forms = [[sizeOf(x)], [1, ...shape], [...shape, 1], [...shape].reverse(), shape.filter((d) => d !== 1)];
    return moved(c.b, "reshape", x, { shape: forms[c.pick(forms.length)] });
  },
  (c, x) => {
    const repeat = 2 + c.pick(3);
    const shape = shapeOf(x).map((d) => (d === 1 ? repeat : d));
    return moved(c.b, "expand", x, { shape: c.pick(2) ? [repeat, ...shape] : shape });
  },
  (c, x) => {
    const axes = shapeOf(x).map((d) => {
      const step = [1, -1, 2, -2][c.pick(4)] as number;
      const first = d ? c.pick(Math.min(d, 3)) : 0;
      const sizes = d ? Math.ceil((d - first) / Math.abs(step)) : 0;
      return { starts: step > 0 ? first : d - 1 - first, steps: step, sizes };
    });
    const of = (key: "starts" | "steps" | "sizes"): number[] =>
      axes.map((a) => Math.max(key === "steps" ? -9 : 0, a[key]));
    return moved(c.b, "slice", x, { starts: of("starts"), steps: of("steps"), sizes: of("sizes") });
  },
  (c, x) => {
    const mode = ["constant", "edge", "reflection", "symmetric"][c.pick(4)] as string;
    const amount = (d: number): number => (mode === "constant" ? c.pick(4) : d > 2 ? c.pick(3) : 0);
    const low = shapeOf(x).map(amount);
    const high = shapeOf(x).map(amount);
    return moved(c.b, "pad", x, { low, high, mode, value: 0 });
  },
  (c, x) => moved(c.b, "tile", x, { repeats: shapeOf(x).map(() => 1 + c.pick(2)) }),
  (c, x) => (shapeOf(x).length ? moved(c.b, "flip", x, { axes: [c.pick(shapeOf(x).length)] }) : undefined),
  (c, x) => {
    if (shapeOf(x).length === 0) return undefined;
    const axis = c.pick(shapeOf(x).length);
    const fits = c.values.filter(
      (y) =>
        dtypeOf(y) === dtypeOf(x) &&
        shapeOf(y).length === shapeOf(x).length &&
        shapeOf(y).every((d, i) => i === axis || d === shapeOf(x)[i]),
    );
    return moved(c.b, "concat", x, { axis }, [fits[c.pick(fits.length)] as Value]);
  },
  (c, x) => {
    const n = shapeOf(x)[0];
    if (!n) return undefined;
    const wanted = 1 + c.pick(5);
    const data = range(wanted).map(() => c.pick(n));
    const indices = c.b.add("literal", [], { data, dtype: "i32", shape: [wanted] });
    return value(c.b.add("gather", [x.node, indices], { axis: 0 }), x.bound, x.error, x.grid);
  },
];
