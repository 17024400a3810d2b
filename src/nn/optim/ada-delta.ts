import { add, div, mul, sub } from "../../frontend/binary.ts";
import { enter } from "../../frontend/enter.ts";
import { readOptions } from "../../frontend/options.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import { sqrt } from "../../frontend/unary.ts";
import { readNumber } from "../scalar.ts";
import { type Filled, type ScalarOf, stateFor } from "./init.ts";
import { average, noOptions, type OptimiserOptions, type Updated, updateWith } from "./optimiser.ts";

/** The state of {@link adaDelta}. */
export interface AdaDeltaState<P, I = Tensor> {
  /** Updates made, i32. */
  readonly step: I;
  /** Running mean of squared gradients. */
  readonly v: P;
  /** Running mean of squared changes. */
  readonly u: P;
}

/** Options of {@link adaDelta}. */
export interface AdaDeltaOptions extends Partial<OptimiserOptions> {
  /** What is kept of both means; 0.9 by default. */
  readonly rho?: number;
  /** Added to both means; 1e-6 by default. */
  readonly eps?: number;
}

/** The state of {@link adaDelta} before the first update: specs for a tree of specs, values for a tree of values. */
export function adaDeltaInit<const S>(params: S): AdaDeltaState<Filled<S>, ScalarOf<S>> {
  return stateFor("adaDeltaInit", params, (of) => ({ step: of.scalar("i32", 0), v: of.like(), u: of.like() }));
}

/**
 * Adadelta, as torch.optim.Adadelta: p - lr * d with d = g * sqrt(u + eps) / sqrt(v + eps), v and u the running means of g^2 and
 * d^2; `lr` is 1 by default. Zeiler, 2012. Weight decay is added to the gradient.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function adaDelta<P extends TensorTree>(
  params: P,
  grads: NoInfer<P>,
  state: NoInfer<AdaDeltaState<P>>,
  options?: AdaDeltaOptions,
): Updated<P, AdaDeltaState<P>> {
  return enter(() => {
    const given = readOptions("adaDelta", options, { ...noOptions, rho: 0.9, eps: 1e-6 });
    const o = { ...given, lr: given.lr ?? 1 };
    const rho = readNumber("adaDelta", "rho", o.rho, 0, 1);
    const eps = readNumber("adaDelta", "eps", o.eps);
    return updateWith(
      {
        op: "adaDelta",
        decay: "gradient",
        buffers: ["v", "u"],
        update: (x, { lr }) => {
          const v = average(x.v, mul(x.g, x.g), rho);
          const d = mul(div(sqrt(add(x.u, eps)), sqrt(add(v, eps))), x.g);
          return { p: sub(x.p, mul(d, lr)), v, u: average(x.u, mul(d, d), rho) };
        },
      },
      params,
      grads,
      state,
      o,
    );
  });
}
