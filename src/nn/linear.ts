import { add } from "../frontend/binary.ts";
import { type MatmulOptions, matmul } from "../frontend/contract.ts";
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
  /** That of {@link matmul}. */
  readonly precision?: MatmulOptions["precision"];
}

/** x @ weight + bias: x [..., in] to [..., out]. */
export function linear(x: Tensor, params: LinearParams, options?: LinearOptions): Tensor {
  return enter(() => {
    const { transposed, precision } = readOptions("linear", options, { transposed: false, precision: undefined });
    const product = matmul(x, params.weight, { transposeB: transposed, ...(precision ? { precision } : {}) });
    return params.bias === undefined ? product : add(product, params.bias);
  });
}
