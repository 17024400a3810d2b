import { defineKernel, dim, exp, logSoftmax as logSoftmaxOf, softmax as softmaxOf, sum } from "sinter";
import { like, wide } from "./precision.ts";

const rows = dim("rows", { hint: 1024 });
const cols = dim("cols", { hint: 1024 });

/** y = e^x / sum(e^x) over each row, without overflow. */
export const softmax = defineKernel({ name: "softmax", inputs: (float) => ({ x: float(rows, cols) }) }, ({ x }) => ({
  y: like(softmaxOf(wide(x)), x),
}));

/** y = x - log(sum(e^x)) over each row, without overflow. */
export const logSoftmax = defineKernel(
  { name: "logSoftmax", inputs: (float) => ({ x: float(rows, cols) }) },
  ({ x }) => ({ y: like(logSoftmaxOf(wide(x)), x) }),
);

/** The gradient of softmax by x from its result: dx = y (dy - sum(dy y)). */
export const softmaxBackward = defineKernel(
  { name: "softmaxBackward", inputs: (float) => ({ y: float(rows, cols), dy: float(rows, cols) }) },
  ({ y, dy }) => {
    const [p, ct] = [wide(y), wide(dy)];
    return { dx: like(p.mul(ct.sub(sum(ct.mul(p), { axes: -1, keepDims: true }))), y) };
  },
);

/** The gradient of logSoftmax by x from its result: dx = dy - e^y sum(dy). */
export const logSoftmaxBackward = defineKernel(
  { name: "logSoftmaxBackward", inputs: (float) => ({ y: float(rows, cols), dy: float(rows, cols) }) },
  ({ y, dy }) => {
    const ct = wide(dy);
    return { dx: like(ct.sub(exp(wide(y)).mul(sum(ct, { axes: -1, keepDims: true }))), y) };
  },
);
