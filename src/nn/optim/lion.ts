import { mul, sub } from "../../frontend/binary.ts";
import { enter } from "../../frontend/enter.ts";
import { readOptions } from "../../frontend/options.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import { sign } from "../../frontend/unary.ts";
import { type Filled, type ScalarOf, stateFor } from "./init.ts";
import { average, noOptions, type OptimiserOptions, readBetas, type Updated, updateWith } from "./optimiser.ts";

/** The state of {@link lion}. */
export interface LionState<P, I = Tensor> {
  /** Updates made, i32. */
  readonly step: I;
  /** Running mean of gradients. */
  readonly m: P;
}

/** Options of {@link lion}. */
export interface LionOptions extends OptimiserOptions {
  /** What is kept of m in the direction of the update, and in m; 0.9 and 0.99 by default. */
  readonly betas?: readonly [number, number];
}

/** The state of {@link lion} before the first update: specs for a tree of specs, values for a tree of values. */
export function lionInit<const S>(params: S): LionState<Filled<S>, ScalarOf<S>> {
  return stateFor("lionInit", params, (of) => ({ step: of.scalar("i32", 0), m: of.like() }));
}

/**
 * Lion: p - lr * sign(b1 * m + (1 - b1) * g), then m = b2 * m + (1 - b2) * g. Chen et al., 2023. Weight decay is taken from
 * the parameters beside the gradient.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function lion<P extends TensorTree>(
  params: P,
  grads: NoInfer<P>,
  state: NoInfer<LionState<P>>,
  options: LionOptions,
): Updated<P, LionState<P>> {
  return enter(() => {
    const o = readOptions("lion", options, { ...noOptions, betas: [0.9, 0.99] });
    const [b1, b2] = readBetas("lion", o.betas);
    return updateWith(
      {
        op: "lion",
        decay: "parameter",
        buffers: ["m"],
        update: ({ p, g, m }, { lr }) => ({ p: sub(p, mul(sign(average(m, g, b1)), lr)), m: average(m, g, b2) }),
      },
      params,
      grads,
      state,
      o,
    );
  });
}
