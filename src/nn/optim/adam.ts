import { add, div, mul, sub } from "../../frontend/binary.ts";
import { enter } from "../../frontend/enter.ts";
import { readOptions } from "../../frontend/options.ts";
import { max } from "../../frontend/reductions.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import { sqrt } from "../../frontend/unary.ts";
import { readNumber, scalar } from "../scalar.ts";
import { type Filled, type ScalarOf, stateFor } from "./init.ts";
import {
  type Algorithm,
  average,
  noOptions,
  type OptimiserOptions,
  oneMinusPower,
  readBetas,
  type Updated,
  updateWith,
} from "./optimiser.ts";

/** The state of {@link adam}. */
export interface AdamState<P, I = Tensor> {
  /** Updates made, i32. */
  readonly step: I;
  /** Running mean of gradients. */
  readonly m: P;
  /** Running mean of squared gradients. */
  readonly v: P;
  /** The largest v so far, when the state was made with `amsgrad`. */
  readonly vMax?: P;
}

/** Options of {@link adam} and {@link adamW}. */
export interface AdamOptions extends OptimiserOptions {
  /** What is kept of m and of v; 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number];
  /** Added to the square root of v; 1e-8 by default. */
  readonly eps?: number;
}

/** Options of {@link adamInit} and {@link adamWInit}. */
export interface AdamInitOptions {
  /** Divide by the largest v so far; false by default. Reddi et al., 2018. */
  readonly amsgrad?: boolean;
}

/**
 * The state of {@link adam} and {@link adamW} before the first update: specs for a tree of specs, values for a tree of
 * values.
 */
export function adamInit<const S>(params: S, options?: AdamInitOptions): AdamState<Filled<S>, ScalarOf<S>> {
  return initial("adamInit", params, options);
}

/** The state of {@link adamW}: that of {@link adam}. */
export function adamWInit<const S>(params: S, options?: AdamInitOptions): AdamState<Filled<S>, ScalarOf<S>> {
  return initial("adamWInit", params, options);
}

function initial<S>(op: string, params: S, options?: AdamInitOptions): AdamState<Filled<S>, ScalarOf<S>> {
  return enter(() => {
    const { amsgrad } = readOptions(op, options, { amsgrad: false });
    return stateFor(op, params, (of) => ({
      step: of.scalar("i32", 0),
      m: of.like(),
      v: of.like(),
      ...(amsgrad ? { vMax: of.like() } : {}),
    }));
  });
}

/**
 * Adam, as torch.optim.Adam: with m and v the running means of g and g^2, divided by 1 - beta^t, p - lr * m / (sqrt(v) + eps).
 * Kingma and Ba, 2015. Weight decay is added to the gradient.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function adam<P extends TensorTree>(
  params: P,
  grads: NoInfer<P>,
  state: NoInfer<AdamState<P>>,
  options: AdamOptions,
): Updated<P, AdamState<P>> {
  return enter(() => adamUpdate("adam", "gradient", 0, params, grads, state, options));
}

/**
 * {@link adam} with weight decay taken from the parameters beside the gradient, as torch.optim.AdamW. Loshchilov and Hutter,
 * 2019. `weightDecay` is 0.01 by default.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function adamW<P extends TensorTree>(
  params: P,
  grads: NoInfer<P>,
  state: NoInfer<AdamState<P>>,
  options: AdamOptions,
): Updated<P, AdamState<P>> {
  return enter(() => adamUpdate("adamW", "parameter", 0.01, params, grads, state, options));
}

function adamUpdate<P extends TensorTree>(
  op: string,
  decay: Algorithm<never>["decay"],
  weightDecay: number,
  params: P,
  grads: TensorTree,
  state: AdamState<P>,
  options: AdamOptions,
): Updated<P, AdamState<P>> {
  const given = readOptions(op, options, { ...noOptions, betas: [0.9, 0.999], eps: 1e-8 });
  const o = { ...given, weightDecay: given.weightDecay ?? weightDecay };
  const [b1, b2] = readBetas(op, o.betas);
  const eps = readNumber(op, "eps", o.eps);
  const update: Algorithm<"m" | "v" | "vMax">["update"] = (x, { lr, t, kept }) => {
    const m = kept(average(x.m, x.g, b1), x.m);
    const v = kept(average(x.v, mul(x.g, x.g), b2), x.v);
    const vMax = state.vMax === undefined ? v : kept(max(x.vMax, v), x.vMax);
    // Both corrections are scalars: nothing is divided by them element by element.
    const rate = scalar.div(lr, oneMinusPower(b1, t));
    const spread = scalar.div(1, scalar.sqrt(oneMinusPower(b2, t)));
    return { p: sub(x.p, mul(div(m, add(mul(sqrt(vMax), spread), eps)), rate)), m, v, vMax };
  };
  const buffers = state.vMax === undefined ? (["m", "v"] as const) : (["m", "v", "vMax"] as const);
  return updateWith({ op, decay, buffers, update }, params, grads, state as Required<AdamState<P>>, o);
}
