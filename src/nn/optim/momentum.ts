import { add, equal, mul, sub, where } from "../../frontend/binary.ts";
import { enter } from "../../frontend/enter.ts";
import { readOptions } from "../../frontend/options.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import { readScalar, type Scalar, scalar } from "../scalar.ts";
import { type Filled, type ScalarOf, stateFor } from "./init.ts";
import { noOptions, type OptimiserOptions, type Updated, updateWith } from "./optimiser.ts";
import type { SgdState } from "./sgd.ts";

/** The state of {@link momentum}. */
export interface MomentumState<P, I = Tensor> extends SgdState<I> {
  /** Running sum of gradients. */
  readonly velocity: P;
}

/** Options of {@link momentum}. */
export interface MomentumOptions extends OptimiserOptions {
  /** What is kept of the velocity; 0.9 by default. */
  readonly momentum?: Scalar;
  /** What the gradient loses on its way into the velocity, but for the first; 0 by default. */
  readonly dampening?: Scalar;
  /** Take the step from where the velocity leads; false by default. Nesterov, 1983; Sutskever et al., 2013. */
  readonly nesterov?: boolean;
}

/** The state of {@link momentum} before the first update: specs for a tree of specs, values for a tree of values. */
export function momentumInit<const S>(params: S): MomentumState<Filled<S>, ScalarOf<S>> {
  return stateFor("momentumInit", params, (of) => ({ step: of.scalar("i32", 0), velocity: of.like() }));
}

/**
 * Gradient descent with momentum, as torch.optim.SGD: velocity v = momentum * v + (1 - dampening) * g, then p - lr * v, or
 * p - lr * (g + momentum * v) with `nesterov`. Weight decay is added to the gradient.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function momentum<P extends TensorTree>(
  params: P,
  grads: NoInfer<P>,
  state: NoInfer<MomentumState<P>>,
  options: MomentumOptions,
): Updated<P, MomentumState<P>> {
  return enter(() => {
    const o = readOptions("momentum", options, {
      ...noOptions,
      momentum: undefined,
      dampening: undefined,
      nesterov: false,
    });
    const kept = readScalar("momentum", "momentum", o.momentum ?? 0.9);
    const dampening = readScalar("momentum", "dampening", o.dampening ?? 0);
    return updateWith(
      {
        op: "momentum",
        decay: "gradient",
        buffers: ["velocity"],
        update: ({ p, g, velocity: v }, { lr, t }) => {
          const damped = dampening === 0 ? g : where(equal(t, 1), g, mul(g, scalar.sub(1, dampening)));
          const velocity = add(mul(v, kept), damped);
          const direction = o.nesterov ? add(g, mul(velocity, kept)) : velocity;
          return { p: sub(p, mul(direction, lr)), velocity };
        },
      },
      params,
      grads,
      state,
      o,
    );
  });
}
