import { add, div, mul, sub } from "../../frontend/binary.ts";
import { enter } from "../../frontend/enter.ts";
import { readOptions } from "../../frontend/options.ts";
import { max } from "../../frontend/reductions.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import { abs } from "../../frontend/unary.ts";
import { readNumber, scalar } from "../scalar.ts";
import { type Filled, type ScalarOf, stateFor } from "./init.ts";
import {
  average,
  noOptions,
  type OptimiserOptions,
  oneMinusPower,
  readBetas,
  type Updated,
  updateWith,
} from "./optimiser.ts";

/** The state of {@link adaMax}. */
export interface AdaMaxState<P, I = Tensor> {
  /** Updates made, i32. */
  readonly step: I;
  /** Running mean of gradients. */
  readonly m: P;
  /** Decaying maximum of their absolute values. */
  readonly u: P;
}

/** Options of {@link adaMax}. */
export interface AdaMaxOptions extends OptimiserOptions {
  /** What is kept of m and of u; 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number];
  /** Added to absolute values; 1e-8 by default. */
  readonly eps?: number;
}

/** The state of {@link adaMax} before the first update: specs for a tree of specs, values for a tree of values. */
export function adaMaxInit<const S>(params: S): AdaMaxState<Filled<S>, ScalarOf<S>> {
  return stateFor("adaMaxInit", params, (of) => ({ step: of.scalar("i32", 0), m: of.like(), u: of.like() }));
}

/**
 * AdaMax, as torch.optim.Adamax: Adam with the decaying maximum of |g| for the square root of v. Kingma and Ba, 2015. Weight
 * decay is added to the gradient.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function adaMax<P extends TensorTree>(
  params: P,
  grads: NoInfer<P>,
  state: NoInfer<AdaMaxState<P>>,
  options: AdaMaxOptions,
): Updated<P, AdaMaxState<P>> {
  return enter(() => {
    const o = readOptions("adaMax", options, { ...noOptions, betas: [0.9, 0.999], eps: 1e-8 });
    const [b1, b2] = readBetas("adaMax", o.betas);
    const eps = readNumber("adaMax", "eps", o.eps);
    return updateWith(
      {
        op: "adaMax",
        decay: "gradient",
        buffers: ["m", "u"],
        update: (x, { lr, t }) => {
          const m = average(x.m, x.g, b1);
          const u = max(mul(x.u, b2), add(abs(x.g), eps));
          return { p: sub(x.p, mul(div(m, u), scalar.div(lr, oneMinusPower(b1, t)))), m, u };
        },
      },
      params,
      grads,
      state,
      o,
    );
  });
}
