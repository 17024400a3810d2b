import * as k from "../../../kernels/reduction.kernel.ts";
import {
  at,
  filled,
  type KernelCase,
  manyElements,
  manyRows,
  of,
  rowSizes,
  type Sizes,
  total,
  wholeSizes,
} from "./case.ts";

/** Of the n elements of x from `start` on, `step` apart. */
type Reduce = (x: Float64Array, start: number, n: number, step: number) => number;
const sum: Reduce = (x, start, n, step) => total(n, (i) => at(x, start + i * step));
const mean: Reduce = (x, start, n, step) => sum(x, start, n, step) / n;
const squares: Reduce = (x, start, n, step) => total(n, (i) => at(x, start + i * step) ** 2);
function most(before: (a: number, b: number) => boolean): Reduce {
  return (x, start, n) => {
    let best = start;
    for (let i = start; i < start + n; i++) if (before(at(x, i), at(x, best))) best = i;
    return best - start;
  };
}
const argMax = most((a, b) => a > b);
const max: Reduce = (x, start, n, step) => at(x, start + argMax(x, start, n, step));
const min: Reduce = (x, start, n, step) => at(x, start + most((a, b) => a < b)(x, start, n, step));

const rows = (kernel: KernelCase["kernel"], f: Reduce): KernelCase => ({
  kernel,
  sizes: rowSizes,
  large: manyRows,
  tolerance: (d) => 2e-6 + of(d, "cols") * 2e-7,
  reference: ({ x }, d: Sizes) => ({
    y: filled(of(d, "rows"), (r) => f(x as Float64Array, r * of(d, "cols"), of(d, "cols"), 1)),
  }),
});

const all = (kernel: KernelCase["kernel"], f: Reduce): KernelCase => ({
  kernel,
  steps: 2,
  sizes: wholeSizes,
  large: manyElements,
  tolerance: (d) => 2e-6 + Math.sqrt(of(d, "n")) * 2e-7,
  reference: ({ x }, d) => ({ y: filled(1, () => f(x as Float64Array, 0, of(d, "n"), 1)) }),
});

export const reductionCases: readonly KernelCase[] = [
  rows(k.rowSum, sum),
  rows(k.rowMean, mean),
  rows(k.rowMax, max),
  rows(k.rowMin, min),
  rows(k.rowSumSquares, squares),
  rows(k.rowArgMax, argMax),
  {
    ...rows(k.columnSum, sum),
    tolerance: (d) => 2e-6 + Math.sqrt(of(d, "rows")) * 1e-6,
    reference: ({ x }, d) => ({
      y: filled(of(d, "cols"), (c) => sum(x as Float64Array, c, of(d, "rows"), of(d, "cols"))),
    }),
  },
  all(k.sum, sum),
  all(k.mean, mean),
  all(k.max, max),
  all(k.min, min),
  all(k.sumSquares, squares),
];
