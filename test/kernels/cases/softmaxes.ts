import * as ce from "../../../kernels/cross-entropy.kernel.ts";
import * as k from "../../../kernels/softmax.kernel.ts";
import {
  at,
  type Draw,
  filled,
  type KernelCase,
  manyRows,
  of,
  rowSizes,
  type Sizes,
  sizesOf,
  total,
  type Values,
} from "./case.ts";

/** Logarithm of the sum of exponentials of row r. */
function logSum(x: Float64Array, r: number, cols: number): number {
  let high = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < cols; c++) high = Math.max(high, at(x, r * cols + c));
  return high + Math.log(total(cols, (c) => Math.exp(at(x, r * cols + c) - high)));
}

const eachRow = (x: Float64Array, cols: number, f: (value: number, r: number, c: number) => number): Float64Array => {
  const out = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) out[i] = f(at(x, i), Math.floor(i / cols), i % cols);
  return out;
};

const rowsOf = (x: Float64Array, d: Sizes, cols: string): number[] =>
  Array.from({ length: of(d, "rows") }, (_, r) => logSum(x, r, of(d, cols)));

const base = { sizes: rowSizes, large: manyRows } as const;
const wideRange = { x: [-20, 20] } as const;

const rowCases: readonly KernelCase[] = [
  {
    ...base,
    kernel: k.softmax,
    draw: wideRange,
    reference({ x }, d) {
      const sums = rowsOf(x as Float64Array, d, "cols");
      return { y: eachRow(x as Float64Array, of(d, "cols"), (v, r) => Math.exp(v - (sums[r] as number))) };
    },
  },
  {
    ...base,
    kernel: k.logSoftmax,
    draw: wideRange,
    reference({ x }, d) {
      const sums = rowsOf(x as Float64Array, d, "cols");
      return { y: eachRow(x as Float64Array, of(d, "cols"), (v, r) => v - (sums[r] as number)) };
    },
  },
  {
    ...base,
    kernel: k.softmaxBackward,
    draw: { y: [0, 0.5] },
    tolerance: (d) => 2e-6 + of(d, "cols") * 1e-7,
    reference({ y, dy }, d) {
      const cols = of(d, "cols");
      const dots = Array.from({ length: of(d, "rows") }, (_, r) =>
        total(cols, (c) => at(y, r * cols + c) * at(dy, r * cols + c)),
      );
      return {
        dx: eachRow(y as Float64Array, cols, (v, r, c) => v * (at(dy, r * cols + c) - (dots[r] as number))),
      };
    },
  },
  {
    ...base,
    kernel: k.logSoftmaxBackward,
    draw: { y: [-8, -0.5] },
    tolerance: (d) => 2e-6 + of(d, "cols") * 1e-7,
    reference({ y, dy }, d) {
      const cols = of(d, "cols");
      const sums = Array.from({ length: of(d, "rows") }, (_, r) => total(cols, (c) => at(dy, r * cols + c)));
      return {
        dx: eachRow(y as Float64Array, cols, (v, r, c) => at(dy, r * cols + c) - Math.exp(v) * (sums[r] as number)),
      };
    },
  },
];

const classSizes = sizesOf(
  "rows classes",
  [1, 1],
  [2, 2],
  [3, 5],
  [5, 4],
  [9, 16],
  [4, 33],
  [2, 257],
  [3, 1000],
  [1, 2053],
);
/** A target in most rows, none in some. */
const targets: Draw = (i, random, d) =>
  i % 4 === 3 ? -1 - Math.floor(random() * 100) : Math.floor(random() * of(d, "classes"));

function losses({ logits, targets }: Values, d: Sizes): Float64Array {
  const classes = of(d, "classes");
  return filled(of(d, "rows"), (r) => {
    const t = at(targets, r);
    return t < 0 ? 0 : logSum(logits as Float64Array, r, classes) - at(logits, r * classes + t);
  });
}

function gradient({ logits, targets }: Values, d: Sizes, weight: (r: number) => number): Float64Array {
  const sums = rowsOf(logits as Float64Array, d, "classes");
  return eachRow(logits as Float64Array, of(d, "classes"), (v, r, c) =>
    at(targets, r) < 0 ? 0 : (Math.exp(v - (sums[r] as number)) - (at(targets, r) === c ? 1 : 0)) * weight(r),
  );
}

const entropy = {
  sizes: classSizes,
  large: sizesOf("rows classes", [5, 50_257], [66_001, 5]),
  draw: { logits: [-8, 8], targets } as const,
};
const scalars = { scale: 0.25 };

export const softmaxCases: readonly KernelCase[] = [
  ...rowCases,
  { ...entropy, kernel: ce.crossEntropy, reference: (x, d) => ({ losses: losses(x, d) }) },
  {
    ...entropy,
    kernel: ce.crossEntropyBackward,
    reference: (x, d) => ({ dlogits: gradient(x, d, (r) => at(x.dlosses, r)) }),
  },
  {
    ...entropy,
    kernel: ce.crossEntropyForwardBackward,
    scalars,
    reference: (x, d) => ({ losses: losses(x, d), dlogits: gradient(x, d, () => of(d, "scale")) }),
  },
  {
    ...entropy,
    kernel: ce.crossEntropyInPlace,
    scalars,
    reference: (x, d) => ({ losses: losses(x, d), logits: gradient(x, d, () => of(d, "scale")) }),
  },
];
