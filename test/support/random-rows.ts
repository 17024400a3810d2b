import { isFloat } from "../../src/base/dtype.ts";
import { count } from "../../src/ir/ndarray.ts";
import type { Choices, Step } from "./random-steps.ts";
import { dtypeOf, limits, shapeOf, sizeOf, type Value, value } from "./random-value.ts";

const floats = (x: Value): boolean => isFloat(dtypeOf(x));
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Some of the axes: all, the last, the first, or any. */
function axesOf(c: Choices, rank: number): number[] {
  const all = range(rank);
  const some = [all, all.slice(-1), all.slice(0, 1)][c.pick(4)];
  return some ?? all.filter(() => c.pick(2) === 1);
}

const reduction =
  (op: string, grows: boolean): Step =>
  (c, x) => {
    const axes = axesOf(c, shapeOf(x).length);
    const n = Math.max(1, count(axes.map((a) => shapeOf(x)[a] as number)));
    const fits = op === "any" || op === "all" ? dtypeOf(x) === "bool" : dtypeOf(x) !== "bool";
    // Minimum and maximum of nothing are infinite.
    if (!fits || (!grows && dtypeOf(x) !== "bool" && axes.some((a) => shapeOf(x)[a] === 0))) return undefined;
    const factor = grows ? n : 1;
    const node = c.b.add(op, [x.node], { axes, keepDims: c.pick(2) === 1 });
    // Recursive summation: every partial sum is rounded (to f32, whatever the dtype).
    return value(
      node,
      factor * x.bound,
      factor * x.error + (x.grid === undefined && grows ? n * n * x.bound * 2 ** -24 : 0),
      x.grid,
    );
  };

/** Rows of an axis are normalised; a small change of a row changes the result by `slope` times as much. */
const normalisation =
  (
    op: string,
    attrs: (axis: number) => Record<string, unknown>,
    bound: (n: number) => number,
    slope: (n: number) => number,
  ): Step =>
  (c, x) => {
    const rank = shapeOf(x).length;
    if (!floats(x) || rank === 0) return undefined;
    const axis = rank - 1 - c.pick(Math.min(rank, 2));
    const n = shapeOf(x)[axis] as number;
    if (n === 0) return undefined;
    const inner = x.error + x.bound * n * 2 ** -23;
    return value(c.b.add(op, [x.node], attrs(axis)), bound(n), slope(n) * inner + 2e-5 * bound(n));
  };

function matmul(c: Choices, x: Value): Value | undefined {
  const rank = shapeOf(x).length;
  if (rank < 2 || dtypeOf(x) === "bool") return undefined;
  const [m, k] = shapeOf(x).slice(-2) as [number, number];
  const fits = c.values.filter((y) => {
    const shape = shapeOf(y);
    return dtypeOf(y) === dtypeOf(x) && shape.length >= 2 && shape.at(-2) === k && (shape.length === 2 || rank === 2);
  });
  const at = c.pick(fits.length + 1);
  const swap = [...range(rank - 2), rank - 1, rank - 2];
  const y: Value = fits[at] ?? { ...x, node: c.b.add("transpose", [x.node], { perm: swap }) };
  const n = shapeOf(y).at(-1) as number;
  const batch = Math.max(sizeOf(x) / Math.max(1, m * k), count(shapeOf(y).slice(0, -2)));
  if (batch * m * n > limits.elements || batch * m * n * k > limits.products) return undefined;
  const exact = x.grid !== undefined && y.grid !== undefined ? x.grid + y.grid : undefined;
  const bound = Math.max(1, k) * x.bound * y.bound;
  const error = k * (x.error * y.bound + y.error * x.bound) + (exact === undefined ? k * bound * 2 ** -24 : 0);
  return value(c.b.add("matmul", [x.node, y.node]), bound, error, exact);
}

export const rowSteps: readonly Step[] = [
  reduction("sum", true),
  reduction("reduceMax", false),
  reduction("reduceMin", false),
  (c, x) =>
    floats(x)
      ? reduction("mean", true)(c, shapeOf(x).includes(0) ? { ...x, bound: Number.NaN } : withoutGrid(x))
      : undefined,
  reduction("any", false),
  reduction("all", false),
  matmul,
  matmul,
  normalisation(
    "softmax",
    (axis) => ({ axis }),
    () => 1,
    () => 2,
  ),
  normalisation(
    "logSoftmax",
    (axis) => ({ axis }),
    (n) => 200 + Math.log(n),
    () => 2,
  ),
  // 1 / sqrt(epsilon) is the steepest that a row of equal elements can be.
  normalisation(
    "layerNorm",
    (axis) => ({ axes: [axis], epsilon: 0.01 }),
    Math.sqrt,
    () => 30,
  ),
  normalisation(
    "rmsNorm",
    (axis) => ({ axes: [axis], epsilon: 0.01 }),
    Math.sqrt,
    () => 30,
  ),
  (c, x) => {
    const rank = shapeOf(x).length;
    if (rank === 0 || dtypeOf(x) === "bool") return undefined;
    const axis = c.pick(rank);
    const n = Math.max(1, shapeOf(x)[axis] as number);
    const attrs = { axis, exclusive: c.pick(2) === 1, reverse: c.pick(2) === 1 };
    return value(
      c.b.add("cumSum", [x.node], attrs),
      n * x.bound,
      n * x.error + (x.grid === undefined ? n * n * x.bound * 2 ** -24 : 0),
      x.grid,
    );
  },
  (c, x) => {
    const rank = shapeOf(x).length;
    // Ties between inexact values could be decided either way.
    if (rank === 0 || dtypeOf(x) === "bool" || x.grid === undefined) return undefined;
    const axis = c.pick(rank);
    if (!shapeOf(x)[axis]) return undefined;
    return value(
      c.b.add(c.pick(2) ? "argMin" : "argMax", [x.node], { axis, keepDims: false }),
      shapeOf(x)[axis] as number,
      0,
      0,
    );
  },
];

const withoutGrid = ({ node, bound, error }: Value): Value => ({ node, bound, error });
