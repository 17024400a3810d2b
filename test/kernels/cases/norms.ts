import * as k from "../../../kernels/norm.kernel.ts";
import { at, filled, type KernelCase, manyRows, of, rowSizes, type Sizes, total, type Values } from "./case.ts";

const scalars = { eps: Math.fround(1e-5) };
const draw = { gamma: [0.5, 1.5] } as const;

interface Row {
  readonly mean: number;
  readonly inverse: number;
}

/** Mean (0 for rmsNorm) and 1 / √(mean square + eps) of each row. */
function statistics(x: Float64Array, d: Sizes, centred: boolean): Row[] {
  const [rows, cols] = [of(d, "rows"), of(d, "cols")];
  return Array.from({ length: rows }, (_, r) => {
    const mean = centred ? total(cols, (c) => at(x, r * cols + c)) / cols : 0;
    const square = total(cols, (c) => (at(x, r * cols + c) - mean) ** 2) / cols;
    return { mean, inverse: 1 / Math.sqrt(square + of(d, "eps")) };
  });
}

function normalised(x: Float64Array, { gamma, beta }: Values, d: Sizes, centred: boolean): Float64Array {
  const cols = of(d, "cols");
  const rows = statistics(x, d, centred);
  return filled(x.length, (i) => {
    const { mean, inverse } = rows[Math.floor(i / cols)] as Row;
    return (at(x, i) - mean) * inverse * at(gamma, i % cols) + (beta ? at(beta, i % cols) : 0);
  });
}

const sum = (x: Values, round: (v: number) => number): Float64Array =>
  filled((x.x as Float64Array).length, (i) => round(at(x.x, i) + at(x.residual, i)));

const base = { scalars, draw, sizes: rowSizes } as const;

const plain = (kernel: KernelCase["kernel"], centred: boolean): KernelCase => ({
  ...base,
  kernel,
  large: manyRows,
  reference: (x, d) => ({ y: normalised(x.x as Float64Array, x, d, centred) }),
});

const afterSum = (kernel: KernelCase["kernel"], centred: boolean): KernelCase => ({
  ...base,
  kernel,
  reference(x, d, round) {
    const made = sum(x, round);
    return { sum: made, y: normalised(made, x, d, centred) };
  },
});

/** The sum of these kernels is f32, whatever they are built for. */
const afterWideSum = (kernel: KernelCase["kernel"], centred: boolean): KernelCase => {
  const { reference, ...rest } = afterSum(kernel, centred);
  return { ...rest, reference: (x, d) => reference(x, d, (v) => v) };
};

/** By the quotient rule through mean and deviation, element by element of each row. */
const backward = (kernel: KernelCase["kernel"], centred: boolean): KernelCase => ({
  ...base,
  kernel,
  steps: 2,
  tolerance: (d) => 1e-5 + of(d, "rows") * 1e-6,
  reference({ x, gamma, dy }, d) {
    const [rows, cols] = [of(d, "rows"), of(d, "cols")];
    const stats = statistics(x as Float64Array, d, centred);
    const dx = new Float64Array(rows * cols);
    const [dgamma, dbeta] = [new Float64Array(cols), new Float64Array(cols)];
    stats.forEach(({ mean, inverse }, r) => {
      const deviation = (c: number): number => at(x, r * cols + c) - mean;
      const g = (c: number): number => at(dy, r * cols + c) * at(gamma, c);
      // y = (x - mean) · inverse; inverse depends on x by -inverse³ (x - mean) / cols.
      const byInverse = total(cols, (c) => g(c) * deviation(c));
      const byMean = centred ? -inverse * total(cols, g) : 0;
      for (let c = 0; c < cols; c++) {
        dx[r * cols + c] = g(c) * inverse - (byInverse * inverse ** 3 * deviation(c)) / cols + byMean / cols;
        dgamma[c] = at(dgamma, c) + at(dy, r * cols + c) * deviation(c) * inverse;
        dbeta[c] = at(dbeta, c) + at(dy, r * cols + c);
      }
    });
    return centred ? { dx, dgamma, dbeta } : { dx, dgamma };
  },
});

export const normCases: readonly KernelCase[] = [
  plain(k.layerNorm, true),
  plain(k.layerNormCast, true),
  afterSum(k.layerNormResidual, true),
  afterWideSum(k.layerNormResidualCast, true),
  backward(k.layerNormBackward, true),
  plain(k.rmsNorm, false),
  plain(k.rmsNormCast, false),
  afterSum(k.rmsNormResidual, false),
  afterWideSum(k.rmsNormResidualCast, false),
  backward(k.rmsNormBackward, false),
];
