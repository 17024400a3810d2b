import { defineKernel, dim, gelu as geluOf, grad, relu as reluOf, silu as siluOf, type Tensor } from "sinter";
import { like, wide } from "./precision.ts";

const n = dim("n", { hint: 1_048_576 });

/** y = f(x), element by element. */
const forward = (name: string, f: (x: Tensor) => Tensor) =>
  defineKernel({ name, inputs: (float) => ({ x: float(n) }) }, ({ x }) => ({ y: like(f(wide(x)), x) }));

/** dx = f'(x) dy, element by element; f' is derived. */
const backward = (name: string, f: (x: Tensor) => Tensor) =>
  defineKernel({ name, inputs: (float) => ({ x: float(n), dy: float(n) }) }, ({ x, dy }) => ({
    dx: like(grad((v: Tensor) => f(v).mul(wide(dy)).sum())(wide(x)), x),
  }));

const geluTanhOf = (x: Tensor): Tensor => geluOf(x, { approximate: "tanh" });

/** y = max(x, 0) over flat arrays; NaN stays NaN. */
export const relu = forward("relu", reluOf);

/** y = x Φ(x), the exact GELU, over flat arrays. */
export const gelu = forward("gelu", geluOf);

/** y = x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, GELU's tanh form as in GPT-2, over flat arrays. */
export const geluTanh = forward("geluTanh", geluTanhOf);

/** y = x / (1 + e^-x) over flat arrays. */
export const silu = forward("silu", siluOf);

/** dx = dy where x > 0, else 0. */
export const reluBackward = backward("reluBackward", reluOf);

/** The gradient of `gelu` by x, given its input and the gradient by its result. */
export const geluBackward = backward("geluBackward", geluOf);

/** The gradient of `geluTanh` by x, given its input and the gradient by its result. */
export const geluTanhBackward = backward("geluTanhBackward", geluTanhOf);

/** The gradient of `silu` by x, given its input and the gradient by its result. */
export const siluBackward = backward("siluBackward", siluOf);
