import { defineKernel, dim, grad, silu, slice, stack, type Tensor } from "sinter";
import { like, wide } from "./precision.ts";

const n = dim("n", { hint: 1_048_576 });
const rows = dim("rows", { hint: 1024 });
const cols = dim("cols", { hint: 3072 });

const gated = (gate: Tensor, up: Tensor): Tensor => silu(gate).mul(up);

/** The gradients of silu(gate) · up by both. */
const gradients = (gate: Tensor, up: Tensor, dy: Tensor): { gate: Tensor; up: Tensor } =>
  grad((p: { gate: Tensor; up: Tensor }) => gated(p.gate, p.up).mul(dy).sum())({ gate, up });

/** Half `i` of rows that hold gate and up one after the other. */
const half = (x: Tensor, i: number): Tensor =>
  slice(x, { axes: [1], starts: [i], ends: [i + 1] }).reshape([rows, cols]);

/** y = silu(gate) · up over flat arrays: the gated unit of Llama's and Qwen's feed-forward layers. */
export const swiglu = defineKernel(
  { name: "swiglu", inputs: (float) => ({ gate: float(n), up: float(n) }) },
  ({ gate, up }) => ({ y: like(gated(wide(gate), wide(up)), gate) }),
);

/** The gradients of `swiglu` by gate and up, in one pass. */
export const swigluBackward = defineKernel(
  { name: "swigluBackward", inputs: (float) => ({ gate: float(n), up: float(n), dy: float(n) }) },
  ({ gate, up, dy }) => {
    const d = gradients(wide(gate), wide(up), wide(dy));
    return { dgate: like(d.gate, gate), dup: like(d.up, up) };
  },
);

/** As `swiglu` where one projection made both: each row of x holds `cols` elements of gate and then `cols` of up. */
export const swigluPacked = defineKernel(
  { name: "swigluPacked", inputs: (float) => ({ x: float(rows, 2, cols) }) },
  ({ x }) => ({ y: like(gated(wide(half(x, 0)), wide(half(x, 1))), x) }),
);

/** The gradient of `swigluPacked` by x. */
export const swigluPackedBackward = defineKernel(
  { name: "swigluPackedBackward", inputs: (float) => ({ x: float(rows, 2, cols), dy: float(rows, cols) }) },
  ({ x, dy }) => {
    const d = gradients(wide(half(x, 0)), wide(half(x, 1)), wide(dy));
    return { dx: like(stack([d.gate, d.up], { axis: 1 }), x) };
  },
);
