import { add, div, mul, sub } from "../../frontend/binary.ts";
import { enter } from "../../frontend/enter.ts";
import { readOptions } from "../../frontend/options.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import { sqrt } from "../../frontend/unary.ts";
import { readNumber, scalar } from "../scalar.ts";
import { type Filled, type ScalarOf, stateFor } from "./init.ts";
import { noOptions, type OptimiserOptions, type Updated, updateWith } from "./optimiser.ts";

/** The state of {@link adagrad}. */
export interface AdagradState<P, I = Tensor> {
  /** Updates made, i32. */
  readonly step: I;
  /** Sum of squared gradients. */
  readonly sum: P;
}

/** Options of {@link adagrad}. */
export interface AdagradOptions extends OptimiserOptions {
  /** Divides the learning rate by 1 + lrDecay * (t - 1); 0 by default. */
  readonly lrDecay?: number;
  /** Added to the square root of the sum; 1e-10 by default. */
  readonly eps?: number;
}

/** Options of {@link adagradInit}. */
export interface AdagradInitOptions {
  /** What the sum of squares begins with; 0 by default. */
  readonly initialAccumulator?: number;
}

/** The state of {@link adagrad} before the first update: specs for a tree of specs, values for a tree of values. */
export function adagradInit<const S>(params: S, options?: AdagradInitOptions): AdagradState<Filled<S>, ScalarOf<S>> {
  return enter(() => {
    const o = readOptions("adagradInit", options, { initialAccumulator: 0 });
    const first = readNumber("adagradInit", "initialAccumulator", o.initialAccumulator);
    return stateFor("adagradInit", params, (of) => ({ step: of.scalar("i32", 0), sum: of.like(first) }));
  });
}

/**
 * Adagrad, as torch.optim.Adagrad: p - lr * g / (sqrt(sum of g^2) + eps). Duchi et al., 2011. Weight decay is added to the
 * gradient.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function adagrad<P extends TensorTree>(
  params: P,
  grads: NoInfer<P>,
  state: NoInfer<AdagradState<P>>,
  options: AdagradOptions,
): Updated<P, AdagradState<P>> {
  return enter(() => {
    const o = readOptions("adagrad", options, { ...noOptions, lrDecay: 0, eps: 1e-10 });
    const decay = readNumber("adagrad", "lrDecay", o.lrDecay);
    const eps = readNumber("adagrad", "eps", o.eps);
    return updateWith(
      {
        op: "adagrad",
        decay: "gradient",
        buffers: ["sum"],
        update: (x, { lr, t }) => {
          const sum = add(x.sum, mul(x.g, x.g));
          const rate = decay === 0 ? lr : scalar.div(lr, add(mul(sub(t, 1), decay), 1));
          return { p: sub(x.p, mul(div(x.g, add(sqrt(sum), eps)), rate)), sum };
        },
      },
      params,
      grads,
      state,
      o,
    );
  });
}
