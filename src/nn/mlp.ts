import { mul } from "../frontend/binary.ts";
import { enter, leave } from "../frontend/enter.ts";
import { readOptions } from "../frontend/options.ts";
import type { Tensor } from "../frontend/tensor.ts";
import { gelu } from "../frontend/unary.ts";
import { type LinearOptions, type LinearParams, linear } from "./linear.ts";

/** Parameters of {@link mlp}. */
export interface MlpParams {
  readonly up: LinearParams;
  readonly down: LinearParams;
  /** Multiplies the activation: down(activation(gate(x)) * up(x)). Shazeer, 2020. */
  readonly gate?: LinearParams;
}

/** Options of {@link mlp}. */
export interface MlpOptions extends LinearOptions {
  /** `gelu` by default. */
  readonly activation?: (x: Tensor) => Tensor;
}

/** The feed-forward part of a transformer layer: down(activation(up(x))), or gated by a third projection. */
export function mlp(x: Tensor, params: MlpParams, options?: MlpOptions): Tensor {
  return enter(() => {
    const { activation, ...projection } = readOptions("mlp", options, {
      ...{ activation: undefined, transposed: false, precision: undefined },
    });
    const act = (y: Tensor): Tensor => (activation ? leave(() => activation(y)) : gelu(y));
    const up = linear(x, params.up, projection);
    const hidden = params.gate ? mul(act(linear(x, params.gate, projection)), up) : act(up);
    return linear(hidden, params.down, projection);
  });
}
