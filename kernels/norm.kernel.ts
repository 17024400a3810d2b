import { cast, defineKernel, dim, f32, mean, rsqrt, sum, type Tensor } from "sinter";
import { like, wide } from "./precision.ts";

const rows = dim("rows", { hint: 1024 });
const cols = dim("cols", { hint: 768 });

const rowMean = (x: Tensor): Tensor => mean(x, { axes: -1, keepDims: true });

/** x - mean and 1 / √(variance + eps) of each row; the variance from centred values, which does not cancel. */
function standardise(x: Tensor, eps: Tensor): { centred: Tensor; inverse: Tensor } {
  const centred = x.sub(rowMean(x));
  return { centred, inverse: rsqrt(rowMean(centred.mul(centred)).add(eps)) };
}

/** 1 / √(mean of squares + eps) of each row. */
const inverseRms = (x: Tensor, eps: Tensor): Tensor => rsqrt(rowMean(x.mul(x)).add(eps));

function layerNormOf(x: Tensor, gamma: Tensor, beta: Tensor, eps: Tensor): Tensor {
  const { centred, inverse } = standardise(x, eps);
  return centred.mul(inverse).mul(wide(gamma)).add(wide(beta));
}

const rmsNormOf = (x: Tensor, gamma: Tensor, eps: Tensor): Tensor => x.mul(inverseRms(x, eps)).mul(wide(gamma));

/** y = (x - mean) / √(variance + eps) · gamma + beta over each row. */
export const layerNorm = defineKernel(
  {
    name: "layerNorm",
    inputs: (float) => ({ x: float(rows, cols), gamma: float(cols), beta: float(cols), eps: f32() }),
  },
  ({ x, gamma, beta, eps }) => ({ y: like(layerNormOf(wide(x), gamma, beta, eps), x) }),
);

/** sum = x + residual and y = layerNorm(sum), of the sum as it is stored: the start of a pre-norm block, in one pass. */
export const layerNormResidual = defineKernel(
  {
    name: "layerNormResidual",
    inputs: (float) => ({
      x: float(rows, cols),
      residual: float(rows, cols),
      gamma: float(cols),
      beta: float(cols),
      eps: f32(),
    }),
  },
  ({ x, residual, gamma, beta, eps }) => {
    const total = like(wide(x).add(wide(residual)), x);
    return { sum: total, y: like(layerNormOf(wide(total), gamma, beta, eps), x) };
  },
);

/** layerNorm of f32 rows with f32 parameters, rounded to f16: what goes into an f16 product of a model kept in f32. */
export const layerNormCast = defineKernel(
  {
    name: "layerNormCast",
    inputs: () => ({ x: f32(rows, cols), gamma: f32(cols), beta: f32(cols), eps: f32() }),
    dtypes: ["f16"],
  },
  ({ x, gamma, beta, eps }) => ({ y: cast(layerNormOf(x, gamma, beta, eps), "f16") }),
);

/** layerNormResidual of f32 rows: the sum stays in f32, y is rounded to f16. */
export const layerNormResidualCast = defineKernel(
  {
    name: "layerNormResidualCast",
    inputs: (float) => ({
      x: float(rows, cols),
      residual: f32(rows, cols),
      gamma: f32(cols),
      beta: f32(cols),
      eps: f32(),
    }),
    dtypes: ["f16"],
  },
  ({ x, residual, gamma, beta, eps }) => {
    const total = wide(x).add(residual);
    return { sum: total, y: cast(layerNormOf(total, gamma, beta, eps), "f16") };
  },
);

/** The gradients of layerNorm by x, gamma and beta; statistics are computed again from x. */
export const layerNormBackward = defineKernel(
  {
    name: "layerNormBackward",
    inputs: (float) => ({ x: float(rows, cols), gamma: float(cols), dy: float(rows, cols), eps: f32() }),
  },
  ({ x, gamma, dy, eps }) => {
    const { centred, inverse } = standardise(wide(x), eps);
    const normal = centred.mul(inverse);
    const ct = wide(dy);
    const g = ct.mul(wide(gamma));
    const dx = g
      .sub(rowMean(g))
      .sub(normal.mul(rowMean(g.mul(normal))))
      .mul(inverse);
    return {
      dx: like(dx, x),
      dgamma: like(sum(ct.mul(normal), { axes: 0 }), gamma),
      dbeta: like(sum(ct, { axes: 0 }), gamma),
    };
  },
);

/** y = x / √(mean(x²) + eps) · gamma over each row. */
export const rmsNorm = defineKernel(
  { name: "rmsNorm", inputs: (float) => ({ x: float(rows, cols), gamma: float(cols), eps: f32() }) },
  ({ x, gamma, eps }) => ({ y: like(rmsNormOf(wide(x), gamma, eps), x) }),
);

/** sum = x + residual and y = rmsNorm(sum), of the sum as it is stored, in one pass. */
export const rmsNormResidual = defineKernel(
  {
    name: "rmsNormResidual",
    inputs: (float) => ({ x: float(rows, cols), residual: float(rows, cols), gamma: float(cols), eps: f32() }),
  },
  ({ x, residual, gamma, eps }) => {
    const total = like(wide(x).add(wide(residual)), x);
    return { sum: total, y: like(rmsNormOf(wide(total), gamma, eps), x) };
  },
);

/** rmsNorm of f32 rows with f32 parameters, rounded to f16. */
export const rmsNormCast = defineKernel(
  { name: "rmsNormCast", inputs: () => ({ x: f32(rows, cols), gamma: f32(cols), eps: f32() }), dtypes: ["f16"] },
  ({ x, gamma, eps }) => ({ y: cast(rmsNormOf(x, gamma, eps), "f16") }),
);

/** rmsNormResidual of f32 rows: the sum stays in f32, y is rounded to f16. */
export const rmsNormResidualCast = defineKernel(
  {
    name: "rmsNormResidualCast",
    inputs: (float) => ({ x: float(rows, cols), residual: f32(rows, cols), gamma: f32(cols), eps: f32() }),
    dtypes: ["f16"],
  },
  ({ x, residual, gamma, eps }) => {
    const total = wide(x).add(residual);
    return { sum: total, y: cast(rmsNormOf(total, gamma, eps), "f16") };
  },
);

/** The gradients of rmsNorm by x and gamma; the deviation is computed again from x. */
export const rmsNormBackward = defineKernel(
  {
    name: "rmsNormBackward",
    inputs: (float) => ({ x: float(rows, cols), gamma: float(cols), dy: float(rows, cols), eps: f32() }),
  },
  ({ x, gamma, dy, eps }) => {
    const [v, ct] = [wide(x), wide(dy)];
    const inverse = inverseRms(v, eps);
    const normal = v.mul(inverse);
    const g = ct.mul(wide(gamma));
    const dx = g.sub(normal.mul(rowMean(g.mul(normal)))).mul(inverse);
    return { dx: like(dx, x), dgamma: like(sum(ct.mul(normal), { axes: 0 }), gamma) };
  },
);
