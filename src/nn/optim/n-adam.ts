import { add, div, mul, sub } from "../../frontend/binary.ts";
import { enter } from "../../frontend/enter.ts";
import { readOptions } from "../../frontend/options.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import { cast, exp, sqrt } from "../../frontend/unary.ts";
import { readNumber, scalar } from "../scalar.ts";
import { type Filled, type ScalarOf, stateFor } from "./init.ts";
import {
  average,
  keptUnless,
  noOptions,
  type OptimiserOptions,
  oneMinusPower,
  readBetas,
  type Updated,
  updateWith,
} from "./optimiser.ts";

/** The state of {@link nAdam}. */
export interface NAdamState<P, I = Tensor, F = Tensor> {
  /** Updates made, i32. */
  readonly step: I;
  /** Running mean of gradients. */
  readonly m: P;
  /** Running mean of squared gradients. */
  readonly v: P;
  /** The product of what was kept of m in each update, f32. */
  readonly product: F;
}

/** Options of {@link nAdam}. */
export interface NAdamOptions extends OptimiserOptions {
  /** What is kept of m, in the long run, and of v; 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number];
  /** Added to the square root of v; 1e-8 by default. */
  readonly eps?: number;
  /** How fast what is kept of m approaches its long run; 0.004 by default. */
  readonly momentumDecay?: number;
}

/** The state of {@link nAdam} before the first update: specs for a tree of specs, values for a tree of values. */
export function nAdamInit<const S>(params: S): NAdamState<Filled<S>, ScalarOf<S>, ScalarOf<S, "f32">> {
  return stateFor("nAdamInit", params, (of) => ({
    step: of.scalar("i32", 0),
    m: of.like(),
    v: of.like(),
    product: of.scalar("f32", 1),
  }));
}

/**
 * NAdam, as torch.optim.NAdam: Adam that steps from where m leads. Dozat, 2016. Weight decay is added to the gradient.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function nAdam<P extends TensorTree>(
  params: P,
  grads: NoInfer<P>,
  state: NoInfer<NAdamState<P>>,
  options: NAdamOptions,
): Updated<P, NAdamState<P>> {
  return enter(() => {
    const o = readOptions("nAdam", options, { ...noOptions, betas: [0.9, 0.999], eps: 1e-8, momentumDecay: 0.004 });
    const [b1, b2] = readBetas("nAdam", o.betas);
    const eps = readNumber("nAdam", "eps", o.eps);
    const decay = readNumber("nAdam", "momentumDecay", o.momentumDecay);
    // b1 * (1 - 0.96^(t * decay) / 2)
    const kept = (t: Tensor): Tensor => sub(b1, mul(exp(mul(t, decay * Math.log(0.96))), b1 / 2));
    const now = kept(cast(add(state.step, 1), "f32"));
    const product = mul(state.product, now);
    const made = updateWith(
      {
        op: "nAdam",
        decay: "gradient",
        buffers: ["m", "v"],
        update: (x, { lr, t }) => {
          const m = average(x.m, x.g, b1);
          const v = average(x.v, mul(x.g, x.g), b2);
          const next = kept(add(t, 1));
          const ofG = div(mul(sub(1, now), lr), sub(1, product));
          const ofM = div(mul(next, lr), sub(1, mul(product, next)));
          const spread = scalar.div(1, scalar.sqrt(oneMinusPower(b2, t)));
          const change = div(add(mul(x.g, ofG), mul(m, ofM)), add(mul(sqrt(v), spread), eps));
          return { p: sub(x.p, change), m, v };
        },
      },
      params,
      grads,
      state,
      o,
    );
    return { ...made, state: { ...made.state, product: keptUnless(o.when, product, state.product) } };
  });
}
