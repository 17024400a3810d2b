import { add, div, greater, less, mul, sub, where } from "../../frontend/binary.ts";
import { enter } from "../../frontend/enter.ts";
import { readOptions } from "../../frontend/options.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import { expm1, relu, sqrt } from "../../frontend/unary.ts";
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

/** The state of {@link rAdam}. */
export interface RAdamState<P, I = Tensor> {
  /** Updates made, i32. */
  readonly step: I;
  /** Running mean of gradients. */
  readonly m: P;
  /** Running mean of squared gradients. */
  readonly v: P;
}

/** Options of {@link rAdam}. */
export interface RAdamOptions extends OptimiserOptions {
  /** What is kept of m and of v; 0.9 and 0.999 by default. The second is above 0.8 or so: below, v is never used. */
  readonly betas?: readonly [number, number];
  /** Added to the square root of v; 1e-8 by default. */
  readonly eps?: number;
}

/** The state of {@link rAdam} before the first update: specs for a tree of specs, values for a tree of values. */
export function rAdamInit<const S>(params: S): RAdamState<Filled<S>, ScalarOf<S>> {
  return stateFor("rAdamInit", params, (of) => ({ step: of.scalar("i32", 0), m: of.like(), v: of.like() }));
}

/**
 * RAdam, as torch.optim.RAdam: Adam whose division by the square root of v sets in as v becomes reliable. Liu et al., 2020.
 * Weight decay is added to the gradient.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function rAdam<P extends TensorTree>(
  params: P,
  grads: NoInfer<P>,
  state: NoInfer<RAdamState<P>>,
  options: RAdamOptions,
): Updated<P, RAdamState<P>> {
  return enter(() => {
    const o = readOptions("rAdam", options, { ...noOptions, betas: [0.9, 0.999], eps: 1e-8 });
    const [b1, b2] = readBetas("rAdam", o.betas);
    const eps = readNumber("rAdam", "eps", o.eps);
    return updateWith(
      {
        op: "rAdam",
        decay: "gradient",
        buffers: ["m", "v"],
        update: (x, { lr, t }) => {
          const m = average(x.m, x.g, b1);
          const v = average(x.v, mul(x.g, x.g), b2);
          const length = lengthOfAverage(b2, t);
          const spread = scalar.sqrt(oneMinusPower(b2, t));
          const adaptive = div(mul(rectification(b2, length), spread), add(sqrt(v), eps));
          const rate = scalar.div(lr, oneMinusPower(b1, t));
          return { p: sub(x.p, mul(mul(m, where(greater(length, 5), adaptive, 1)), rate)), m, v };
        },
      },
      params,
      grads,
      state,
      o,
    );
  });
}

/** What {@link lengthOfAverage} tends to. */
const longest = (beta: number): number => 2 / (1 - beta) - 1;

/** sqrt((n - 4) (n - 2) N / ((N - 4) (N - 2) n)) for the length n of the average and its limit N. */
function rectification(beta: number, n: Tensor): Tensor {
  const limit = longest(beta);
  const scale = limit / ((limit - 4) * (limit - 2));
  return sqrt(relu(div(mul(mul(sub(n, 4), sub(n, 2)), scale), n)));
}

/**
 * The length of the simple average that v amounts to, N - 2 t b^t / (1 - b^t). That difference of nearly equal numbers loses
 * most digits while a = -t ln b is small; there 2 t b^t / (1 - b^t) = 2 t / (e^a - 1) is taken from the series of a / (e^a - 1).
 */
function lengthOfAverage(beta: number, t: Tensor): Tensor {
  const limit = longest(beta);
  const l = -Math.log(beta);
  const a = mul(t, l);
  const far = sub(limit, div(mul(t, 2), expm1(a)));
  // With a / (e^a - 1) = 1 - a / 2 + a^2 / 12 - a^4 / 720 + a^6 / 30240 - a^8 / 1209600
  const a2 = mul(a, a);
  const tail = [1 / 30240, -1 / 720, 1 / 12].reduce<Tensor>((sum, c) => add(mul(sum, a2), c), mul(a2, -1 / 1209600));
  const near = sub(add(t, limit - 2 / l), mul(mul(t, a), mul(tail, 2)));
  return where(less(a, 1), near, far);
}
