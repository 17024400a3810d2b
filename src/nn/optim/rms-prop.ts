import { fail } from "../../base/diagnostic.ts";
import { add, div, mul, sub } from "../../frontend/binary.ts";
import { enter } from "../../frontend/enter.ts";
import { readOptions } from "../../frontend/options.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import { relu, sqrt } from "../../frontend/unary.ts";
import { readNumber, readScalar, type Scalar } from "../scalar.ts";
import { type Filled, type ScalarOf, stateFor } from "./init.ts";
import { average, noOptions, type OptimiserOptions, type Updated, updateWith } from "./optimiser.ts";

/** The state of {@link rmsProp}. */
export interface RmsPropState<P, I = Tensor> {
  /** Updates made, i32. */
  readonly step: I;
  /** Running mean of squared gradients. */
  readonly v: P;
  /** Running mean of gradients, when the state was made with `centered`. */
  readonly m?: P;
  /** Running sum of changes, when the state was made with `momentum`. */
  readonly velocity?: P;
}

/** Options of {@link rmsProp}. */
export interface RmsPropOptions extends OptimiserOptions {
  /** What is kept of the means; 0.99 by default. */
  readonly alpha?: number;
  /** Added to the square root of v; 1e-8 by default. */
  readonly eps?: number;
  /** What is kept of the velocity, with a state made with `momentum`; 0 by default. */
  readonly momentum?: Scalar;
}

/** Options of {@link rmsPropInit}. */
export interface RmsPropInitOptions {
  /** Divide by the standard deviation of gradients instead of their root mean square; false by default. */
  readonly centered?: boolean;
  /** Keep a velocity; false by default. */
  readonly momentum?: boolean;
}

/** The state of {@link rmsProp} before the first update: specs for a tree of specs, values for a tree of values. */
export function rmsPropInit<const S>(params: S, options?: RmsPropInitOptions): RmsPropState<Filled<S>, ScalarOf<S>> {
  return enter(() => {
    const { centered, momentum } = readOptions("rmsPropInit", options, { centered: false, momentum: false });
    return stateFor("rmsPropInit", params, (of) => ({
      step: of.scalar("i32", 0),
      v: of.like(),
      ...(centered ? { m: of.like() } : {}),
      ...(momentum ? { velocity: of.like() } : {}),
    }));
  });
}

/**
 * RMSProp, as torch.optim.RMSprop: p - lr * g / (sqrt(v) + eps), v the running mean of g^2. Hinton, 2012. Weight decay is
 * added to the gradient.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function rmsProp<P extends TensorTree>(
  params: P,
  grads: NoInfer<P>,
  state: NoInfer<RmsPropState<P>>,
  options: RmsPropOptions,
): Updated<P, RmsPropState<P>> {
  return enter(() => {
    const o = readOptions("rmsProp", options, { ...noOptions, alpha: 0.99, eps: 1e-8, momentum: undefined });
    const alpha = readNumber("rmsProp", "alpha", o.alpha, 0, 1);
    const eps = readNumber("rmsProp", "eps", o.eps);
    const kept = readScalar("rmsProp", "momentum", o.momentum ?? 0);
    const [centered, moving] = [state.m !== undefined, state.velocity !== undefined];
    if (kept !== 0 && !moving) {
      fail("bad-tree", "rmsProp: momentum needs a velocity, which the state does not have", {
        cause: `it has ${Object.keys(state).join(", ")}`,
        hint: "make the state with rmsPropInit(params, { momentum: true })",
      });
    }
    return updateWith(
      {
        op: "rmsProp",
        decay: "gradient",
        buffers: ["v", ...(centered ? (["m"] as const) : []), ...(moving ? (["velocity"] as const) : [])],
        update: (x, { lr }) => {
          const v = average(x.v, mul(x.g, x.g), alpha);
          const m = centered ? average(x.m, x.g, alpha) : x.g;
          // A variance that rounds below 0 is 0.
          const change = div(x.g, add(sqrt(centered ? relu(sub(v, mul(m, m))) : v), eps));
          const velocity = moving ? add(mul(x.velocity, kept), change) : change;
          return { p: sub(x.p, mul(velocity, lr)), v, m, velocity };
        },
      },
      params,
      grads,
      state as Required<RmsPropState<P>>,
      o,
    );
  });
}
