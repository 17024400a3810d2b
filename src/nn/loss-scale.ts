import { add, and, clamp, div, greaterEqual, mul, or, where } from "../frontend/binary.ts";
import { enter } from "../frontend/enter.ts";
import { valueAndGrad } from "../frontend/grad.ts";
import type { HostTensor } from "../frontend/host.ts";
import { constant } from "../frontend/leaf.ts";
import { readOptions } from "../frontend/options.ts";
import { all } from "../frontend/reductions.ts";
import { TensorSpec } from "../frontend/spec.ts";
import { node, type Tensor } from "../frontend/tensor.ts";
import type { TensorTree } from "../frontend/trace.ts";
import { cast, isInf, isNaN as isNotANumber, not } from "../frontend/unary.ts";
import { inF32 } from "./optim/optimiser.ts";
import { readNumber } from "./scalar.ts";
import { groupLeaves, mapPacked } from "./tree/foreach.ts";

/** The state of a loss scale that adapts itself, as torch.amp.GradScaler's. */
export interface LossScale<F = Tensor, I = Tensor> {
  /** What the loss is multiplied by, f32. */
  readonly scale: F;
  /** Updates since the scale last changed, i32. */
  readonly goodSteps: I;
}

/** The specs of a {@link LossScale}, for compile. */
export function lossScaleSpec(): LossScale<TensorSpec<"f32">, TensorSpec<"i32">> {
  return { scale: new TensorSpec("f32", []), goodSteps: new TensorSpec("i32", []) };
}

/** A {@link LossScale} to begin with, for load: 65536 unless another scale is given. */
export function lossScaleInit(options?: { readonly scale?: number }): LossScale<HostTensor, HostTensor> {
  return enter(() => {
    const { scale } = readOptions("lossScaleInit", options, { scale: 65536 });
    readNumber("lossScaleInit", "scale", scale, least, most);
    return {
      scale: { dtype: "f32", shape: [], data: Float32Array.of(scale) },
      goodSteps: { dtype: "i32", shape: [], data: Int32Array.of(0) },
    };
  });
}

// Within these a scale and its inverse are both normal numbers of f32.
const [least, most] = [2 ** -126, 2 ** 126];

/**
 * The loss to take gradients of, loss * scale in f32: gradients that would vanish in f16 stay above its smallest number.
 * @throws SinterError `not-a-tensor`
 */
export function scaleLoss(loss: Tensor, state: LossScale): Tensor {
  return enter(() => {
    const { dtype } = node("scaleLoss", loss, "loss").type;
    return mul(dtype === "f32" ? loss : cast(loss, "f32"), state.scale);
  });
}

/** Gradients of the loss itself. */
export interface Unscaled<P> {
  /** In f32. */
  readonly grads: P;
  /** bool[]: whether no gradient is infinite or NaN. */
  readonly finite: Tensor;
}

/**
 * Gradients of a scaled loss divided by the scale, in f32, and whether all of them are finite. Give `finite` to the optimiser
 * as `when`, and to {@link updateLossScale}: so a step that overflowed is left out, and nothing waits for the CPU.
 * @throws SinterError `bad-tree`, `dtype-mismatch`, `unbound-dim`
 */
export function unscale<P extends TensorTree>(grads: P, state: LossScale): Unscaled<P> {
  return enter((b) => {
    const op = "unscale";
    const wide = inF32(op, grads);
    const finite = groupLeaves(op, b, { grads: wide }).groups.map(({ packed }) => allFinite(packed.grads as Tensor));
    const inverse = div(1, state.scale);
    return {
      grads: mapPacked(op, { grads: wide }, (packed) => mul(packed.grads as Tensor, inverse)) as P,
      finite: finite.length === 0 ? constant(true) : finite.reduce((x, y) => and(x, y)),
    };
  });
}

const allFinite = (x: Tensor): Tensor => all(not(or(isNotANumber(x), isInf(x))));

/** How a {@link LossScale} follows overflows. */
export interface LossScaleOptions {
  /** What multiplies the scale after `interval` good steps in a row; 2 by default. */
  readonly growth?: number;
  /** What multiplies it after an overflow; 0.5 by default. */
  readonly backoff?: number;
  /** 2000 by default. */
  readonly interval?: number;
}

/**
 * The loss scale for the next step: smaller when gradients overflowed, larger after many steps in which they did not.
 * Micikevicius et al., 2018.
 * @throws SinterError `bad-option`
 */
export function updateLossScale(state: LossScale, finite: Tensor, options?: LossScaleOptions): LossScale {
  return enter(() => {
    const op = "updateLossScale";
    const o = readOptions(op, options, { growth: 2, backoff: 0.5, interval: 2000 });
    const growth = readNumber(op, "growth", o.growth, 1);
    const backoff = readNumber(op, "backoff", o.backoff, 0, 1);
    const interval = readNumber(op, "interval", o.interval, 1);
    const good = add(state.goodSteps, 1);
    const grows = greaterEqual(good, interval);
    const factor = where(finite, where(grows, constant(growth), 1), backoff);
    return {
      scale: clamp(mul(state.scale, factor), least, most),
      goodSteps: where(and(finite, not(grows)), good, 0),
    };
  });
}

/** The loss and the gradient of the loss, as if it had not been scaled. */
export interface ScaledGradient<P> {
  readonly value: Tensor;
  /** In f32. */
  readonly grad: P;
  /** bool[]: whether no gradient is infinite or NaN. */
  readonly finite: Tensor;
}

/**
 * `valueAndGrad` with the loss scaled on the way: `scaledValueAndGrad(fn, scale)(params, ...rest)` gives `{ value, grad, finite }`,
 * where `value` is the loss as `fn` gave it and `grad` is {@link unscale}d.
 * @throws SinterError as `valueAndGrad` and {@link unscale}
 */
export function scaledValueAndGrad<P extends TensorTree, A extends readonly unknown[]>(
  fn: (params: P, ...rest: A) => Tensor,
  state: LossScale,
): <Q extends P>(params: Q, ...rest: A) => ScaledGradient<Q> {
  const scaled = (params: P, ...rest: A): readonly [Tensor, Tensor] => {
    const loss = fn(params, ...rest);
    return [scaleLoss(loss, state), loss];
  };
  return (params, ...rest) => {
    const { grad, aux } = valueAndGrad(scaled, { aux: true })(params, ...rest);
    const { grads, finite } = unscale(grad, state);
    return { value: aux, grad: grads, finite };
  };
}
