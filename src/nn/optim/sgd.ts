import { mul, sub } from "../../frontend/binary.ts";
import { enter } from "../../frontend/enter.ts";
import { readOptions } from "../../frontend/options.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import { type ScalarOf, stateFor } from "./init.ts";
import { noOptions, type OptimiserOptions, type Updated, updateWith } from "./optimiser.ts";

/** The state of {@link sgd}. */
export interface SgdState<I = Tensor> {
  /** Updates made, i32. */
  readonly step: I;
}

/** The state of {@link sgd} before the first update: specs for a tree of specs, values for a tree of values. */
export function sgdInit<const S>(params: S): SgdState<ScalarOf<S>> {
  return stateFor("sgdInit", params, (of) => ({ step: of.scalar("i32", 0) }));
}

/**
 * Gradient descent: p - lr * g. Weight decay is added to the gradient.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function sgd<P extends TensorTree>(
  params: P,
  grads: NoInfer<P>,
  state: SgdState,
  options: OptimiserOptions,
): Updated<P, SgdState> {
  return enter(() => {
    const o = readOptions("sgd", options, noOptions);
    return updateWith(
      {
        op: "sgd",
        decay: "gradient",
        buffers: [],
        update: ({ p, g }, { lr }) => ({ p: sub(p, mul(g, lr)) }),
      },
      params,
      grads,
      state,
      o,
    );
  });
}
