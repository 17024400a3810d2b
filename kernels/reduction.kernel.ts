import {
  argMax,
  defineKernel,
  dim,
  max as maxOf,
  mean as meanOf,
  min as minOf,
  sum as sumOf,
  type Tensor,
} from "sinter";
import { like, wide } from "./precision.ts";

const n = dim("n", { hint: 1_048_576 });
const rows = dim("rows", { hint: 1024 });
const cols = dim("cols", { hint: 768 });

type Reduce = (x: Tensor, options: { axes: number }) => Tensor;
const sumSquaresOf: Reduce = (x, options) => sumOf(x.mul(x), options);

/** y = one number for each row, f32. */
const ofRows = (name: string, f: Reduce) =>
  defineKernel({ name, inputs: (float) => ({ x: float(rows, cols) }) }, ({ x }) => ({ y: f(wide(x), { axes: -1 }) }));

/** y = one number for all elements, f32. */
const ofAll = (name: string, f: Reduce) =>
  defineKernel({ name, inputs: (float) => ({ x: float(n) }) }, ({ x }) => ({ y: f(wide(x), { axes: 0 }) }));

/** y[row] = the sum of x over the row, in f32. */
export const rowSum = ofRows("rowSum", sumOf);
/** y[row] = the mean of x over the row, in f32. */
export const rowMean = ofRows("rowMean", meanOf);
/** y[row] = the largest element of the row, in f32; NaN if any is. */
export const rowMax = ofRows("rowMax", maxOf);
/** y[row] = the smallest element of the row, in f32; NaN if any is. */
export const rowMin = ofRows("rowMin", minOf);
/** y[row] = the sum of squares over the row, in f32. */
export const rowSumSquares = ofRows("rowSumSquares", sumSquaresOf);

/** y[row] = the index of the largest element of the row, i32; the first of equals. */
export const rowArgMax = defineKernel(
  { name: "rowArgMax", inputs: (float) => ({ x: float(rows, cols) }) },
  ({ x }) => ({ y: argMax(wide(x)) }),
);

/** y[col] = the sum of x over the column: a bias gradient. */
export const columnSum = defineKernel(
  { name: "columnSum", inputs: (float) => ({ x: float(rows, cols) }) },
  ({ x }) => ({ y: like(sumOf(wide(x), { axes: 0 }), x) }),
);

/** y = the sum of a flat array, one f32. */
export const sum = ofAll("sum", sumOf);
/** y = the mean of a flat array, one f32. */
export const mean = ofAll("mean", meanOf);
/** y = the largest element of a flat array, one f32; NaN if any is. */
export const max = ofAll("max", maxOf);
/** y = the smallest element of a flat array, one f32; NaN if any is. */
export const min = ofAll("min", minOf);
/** y = the sum of squares of a flat array, one f32. */
export const sumSquares = ofAll("sumSquares", sumSquaresOf);
