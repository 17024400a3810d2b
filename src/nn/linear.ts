import { add } from "../frontend/binary.ts";
import { matmul } from "../frontend/contract.ts";
import { enter } from "../frontend/enter.ts";
import { readOptions } from "../frontend/options.ts";
import type { Tensor } from "../frontend/tensor.ts";

/** `L` stands for a tensor, a spec or the elements of each. */
export interface LinearParams<L = Tensor> {
  /** [in, out], or [out, in] with `transposed`. */
  readonly weight: L;
  /** [out] */
  readonly bias?: L;
}

/** Options of {@link linear}. */
export interface LinearOptions {
  /** The weight is stored [out, in], as PyTorch does; false by default. */
  readonly transposed?: boolean;
}

/** x @ weight + bias: x [..., in] to [..., out]. */
export function linear(x: Tensor, params: LinearParams, options?: LinearOptions): Tensor {
  return enter(() => {
    const { transposed } = readOptions("linear", options, { transposed: false });
    const product = matmul(x, params.weight, { transposeB: transposed });
    return params.bias === undefined ? product : add(product, params.bias);
  });
}
