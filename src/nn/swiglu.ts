import { mul } from "../frontend/binary.ts";
import { enter } from "../frontend/enter.ts";
import type { Tensor } from "../frontend/tensor.ts";
import { silu } from "../frontend/unary.ts";
import { type LinearOptions, type LinearParams, linear } from "./linear.ts";

/** `L` stands for a tensor, a spec or the elements of each. */
export interface SwigluParams<L = Tensor> {
  readonly gate: LinearParams<L>;
  readonly up: LinearParams<L>;
  readonly down: LinearParams<L>;
}

/** The gated feed-forward layer down(silu(gate(x)) * up(x)) of x [..., in]. Shazeer, 2020. */
export function swiglu(x: Tensor, params: SwigluParams, options?: LinearOptions): Tensor {
  return enter(() =>
    linear(mul(silu(linear(x, params.gate, options)), linear(x, params.up, options)), params.down, options),
  );
}
