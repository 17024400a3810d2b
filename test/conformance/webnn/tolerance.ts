import type { DType } from "../../../src/base/dtype.ts";
import { ulpDistance } from "../../support/ulp.ts";
import type { Argument, CaseOperator, CaseTensor, Tolerance, WebnnCase } from "./cases.ts";

/** Sizes a tolerance may depend on: elements combined by a reduction or softmax, and K of a matrix product. */
interface Sizes {
  readonly n: number;
  readonly k: number;
}

/** ULP per operator, as WebNN's own tests derive them from the operations each one performs. Unlisted operators move data: 0. */
const ulpTable: Readonly<Record<string, (s: Sizes) => number>> = {
  add: () => 1,
  sub: () => 1,
  mul: () => 1,
  max: () => 1,
  div: () => 2,
  pow: () => 32,
  linear: () => 2,
  batchNormalization: () => 6,
  matmul: ({ k }) => 2 * k,
  gemm: ({ k }) => 2 * k,
  softmax: ({ n }) => 3 * n + 3,
  reduceSum: ({ n }) => n,
  reduceProduct: ({ n }) => n,
  reduceL1: ({ n }) => n,
  reduceMean: ({ n }) => n + 2,
  reduceSumSquare: ({ n }) => 2 * n,
  reduceL2: ({ n }) => 2 * n + 1,
  reduceLogSum: ({ n }) => n + 18,
  reduceLogSumExp: ({ n }) => 2 * n + 18,
};

const sizeAlong = (shape: readonly number[], axes: Argument | undefined): number =>
  (Array.isArray(axes) ? (axes as number[]) : shape.map((_, i) => i)).reduce((n, a) => n * (shape[a] ?? 1), 1);

function sizesOf(op: CaseOperator, c: WebnnCase): Sizes {
  const shapeOf = (name: Argument | undefined): readonly number[] =>
    (c.inputs.find((t) => t.name === name) ?? (c.outputs[0] as CaseTensor)).shape;
  const a = shapeOf(op.args.a);
  const k = (op.options.aTranspose ? a.at(-2) : a.at(-1)) ?? 1;
  const x = shapeOf(op.args.input);
  const n =
    op.name === "softmax" ? (x.at((op.args.axis as number | undefined) ?? -1) ?? 1) : sizeAlong(x, op.options.axes);
  return { n, k };
}

/** The case's own tolerance, or the sum of its operators' where the data have none. */
export function toleranceOf(c: WebnnCase): Tolerance {
  if (c.tolerance) return c.tolerance;
  const value = c.operators.reduce((sum, op) => sum + (ulpTable[op.name]?.(sizesOf(op, c)) ?? 0), 0);
  return { metricType: "ULP", value };
}

export interface Tensorlike {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** What is wrong with an output, or undefined. A filled tensor is compared in its first 1000 elements. */
export function difference(expected: CaseTensor, actual: Tensorlike, tolerance: Tolerance): string | undefined {
  if (expected.shape.join() !== actual.shape.join()) {
    return `${expected.name}: shape [${actual.shape}], expected [${expected.shape}]`;
  }
  const boolean = actual.dtype === "bool" && expected.webnnType === "uint8";
  if (!boolean && expected.dtype !== actual.dtype) {
    return `${expected.name}: dtype ${actual.dtype}, expected ${expected.dtype}`;
  }
  const count = expected.shape.reduce((n, d) => n * d, 1);
  const last = expected.fill ? Math.min(count, 1000) : count;
  let worst = 0;
  let text: string | undefined;
  for (let i = 0; i < last; i++) {
    const want = expected.data[expected.fill ? 0 : i] as number;
    const got = actual.data[i] as number;
    const ulp = ulpDistance(expected.dtype, want, got);
    const off = tolerance.metricType === "ULP" || ulp === 0 || Number.isNaN(want - got) ? ulp : Math.abs(want - got);
    if (off > tolerance.value && off > worst) {
      worst = off;
      text = `${expected.name}[${i}] is ${got}, expected ${want}: ${off} ${tolerance.metricType} > ${tolerance.value}`;
    }
  }
  return text;
}
