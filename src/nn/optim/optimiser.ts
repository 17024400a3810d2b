import { fail } from "../../base/diagnostic.ts";
import { isFloat } from "../../base/dtype.ts";
import { add, mul, where } from "../../frontend/binary.ts";
import { leave } from "../../frontend/enter.ts";
import { describe, isTensor, type Tensor } from "../../frontend/tensor.ts";
import type { TensorTree } from "../../frontend/trace.ts";
import type { Leaf } from "../../frontend/tree.ts";
import { cast, expm1, neg } from "../../frontend/unary.ts";
import { readNumber, readScalar, type Scalar, scalar } from "../scalar.ts";
import type { Each } from "../tree/each.ts";
import { mapPacked } from "../tree/foreach.ts";
import { mapTensors, tensorsLike, tensorsOf } from "../tree/leaves.ts";
import { type Mask, maskTree } from "./mask.ts";
import type { Schedule } from "./schedules.ts";

/** What every optimiser takes. Numbers are part of the program; 0-d tensors are data, which may change from run to run. */
export interface OptimiserOptions {
  /** The learning rate, or a schedule of it: a function of the number of updates made so far. */
  readonly lr: Scalar | Schedule;
  /** How fast parameters shrink. */
  readonly weightDecay?: Scalar;
  /** Which parameters shrink; all by default. See {@link decayMatrices}. */
  readonly mask?: Mask;
  /** Go up the gradient instead of down; false by default. */
  readonly maximize?: boolean;
  /** A 0-d bool: where it is false, parameters and state stay as they are, the step count too. */
  readonly when?: Tensor;
}

/** The defaults to read {@link OptimiserOptions} with. */
export const noOptions = {
  lr: undefined,
  weightDecay: undefined,
  mask: undefined,
  maximize: false,
  when: undefined,
} as const;

/** What an update gives: parameters and state, of the structure they came in. */
export interface Updated<P, S> {
  readonly params: P;
  readonly state: S;
}

/** One optimiser: how it decays weights, the trees of its state, and its arithmetic on packed tensors. */
export interface Algorithm<B extends string> {
  readonly op: string;
  /** Added to the gradient (`gradient`), or taken from the parameter beside it (`parameter`). */
  readonly decay: "gradient" | "parameter";
  /** Names of the trees of the state that it reads and renews. */
  readonly buffers: readonly B[];
  /** The new parameters and buffers, elementwise: `p` parameters, `g` gradients in f32. */
  readonly update: (x: Readonly<Record<"p" | "g" | B, Tensor>>, at: At) => Readonly<Record<"p" | B, Tensor>>;
}

/** Where an update stands. */
export interface At {
  readonly lr: Scalar;
  /** The number of this update, f32, from 1. */
  readonly t: Tensor;
  /**
   * A new buffer, or the old one where the update is left out. Parameters computed from what it gives are made by the kernel
   * that stores it: nothing has to be computed twice.
   */
  readonly kept: (next: Tensor, old: Tensor) => Tensor;
}

type Resolved = { readonly [K in keyof OptimiserOptions]: OptimiserOptions[K] | undefined };

/**
 * One update of all parameters as one elementwise graph over packed tensors.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `shape-mismatch`, `unbound-dim`
 */
export function updateWith<P extends TensorTree, B extends string>(
  algorithm: Algorithm<B>,
  params: P,
  grads: TensorTree,
  state: Readonly<Record<"step" | B, TensorTree>>,
  options: Resolved,
): { readonly params: P; readonly state: Readonly<Record<"step", Tensor> & Record<B, P>> } {
  const { op, buffers } = algorithm;
  const step = readStep(op, state);
  const t = cast(add(step, 1), "f32");
  const lr = readRate(op, options.lr, step);
  const leaves = f32Leaves(op, "params", params);
  tensorsLike(op, "grads", grads, leaves, "params");
  for (const name of buffers) tensorsLike(op, `state.${name}`, bufferOf(op, state, name), leaves, "params");
  const when = readWhen(op, options.when);
  const own = Object.fromEntries(buffers.map((name) => [name, state[name]])) as Record<B, TensorTree>;
  const trees = { p: params, g: inF32(op, grads), ...own };
  const next = mapPacked(op, trees, (packed, each) => {
    const x = packed as Record<"p" | "g" | B, Tensor>;
    const decayed = withDecay(algorithm, params, x, lr, options, each);
    const done = new Set<Tensor>();
    const kept = (next: Tensor, old: Tensor): Tensor => {
      const chosen = keptUnless(when, next, old);
      done.add(chosen);
      return chosen;
    };
    const made = algorithm.update(decayed, { lr, t, kept });
    return Object.fromEntries(
      (["p", ...buffers] as const).map((k) => [k, done.has(made[k]) ? made[k] : kept(made[k], x[k])]),
    );
  }) as Partial<Record<"p" | B, P>>;
  const { p = params, ...renewed } = next;
  return {
    params: p,
    // A tree without tensors has nothing to renew.
    state: { ...own, ...renewed, step: keptUnless(when, add(step, 1), step) } as never,
  };
}

/** `next` where `when` is true, else `old`. */
export const keptUnless = (when: Tensor | undefined, next: Tensor, old: Tensor): Tensor =>
  when ? where(when, next, old) : next;

/** 1 - beta^t without the cancellation of that formula: beta^t = e^(t ln beta). */
export const oneMinusPower = (beta: number, t: Tensor): Scalar => (beta === 0 ? 1 : neg(expm1(mul(t, Math.log(beta)))));

/** The moving average `rate * old + (1 - rate) * now`. */
export const average = (old: Tensor, now: Tensor, rate: number): Tensor => add(mul(old, rate), mul(now, 1 - rate));

/** The two rates of running means, each from 0 up to, but not, 1. */
export function readBetas(op: string, betas: readonly number[]): readonly [number, number] {
  if (!Array.isArray(betas) || betas.length !== 2) {
    fail("bad-option", `${op}: betas is ${describe(betas)}, not two numbers`, { hint: "write betas: [0.9, 0.999]" });
  }
  return [readNumber(op, "betas[0]", betas[0], 0, 1), readNumber(op, "betas[1]", betas[1], 0, 1)];
}

function withDecay<B extends string>(
  { op, decay }: Algorithm<B>,
  params: TensorTree,
  x: Readonly<Record<"p" | "g" | B, Tensor>>,
  lr: Scalar,
  { weightDecay = 0, mask, maximize }: Resolved,
  each: Each,
): Readonly<Record<"p" | "g" | B, Tensor>> {
  const g = maximize ? neg(x.g) : x.g;
  const rate = readScalar(op, "weightDecay", weightDecay);
  const share = rate === 0 ? 0 : mask === undefined ? 1 : (each(maskTree(params, mask)) as Scalar);
  if (share === 0) return { ...x, g };
  if (decay === "gradient") return { ...x, g: add(g, mul(x.p, times(rate, share))) };
  return { ...x, g, p: mul(x.p, scalar.sub(1, times(scalar.mul(lr, rate), share))) };
}

const times = (x: Scalar, share: Scalar): Scalar => (share === 1 ? x : scalar.mul(x, share));

function readStep(op: string, state: { readonly step?: unknown }): Tensor {
  const step = state?.step;
  if (isTensor(step) && step.dtype === "i32" && step.rank === 0) return step;
  return fail("bad-tree", `${op}: step of the state is ${describe(step)}, not an i32 scalar`, {
    cause: "the state counts the updates",
    hint: `make the state with ${op}Init(params)`,
  });
}

function readRate(op: string, lr: Scalar | Schedule | undefined, step: Tensor): Scalar {
  if (lr === undefined)
    fail("bad-option", `${op} needs lr, the learning rate`, { hint: `write ${op}(…, { lr: 1e-3 })` });
  if (typeof lr !== "function") return readScalar(op, "lr", lr);
  const at = cast(step, "f32");
  return readScalar(
    op,
    "lr",
    leave(() => lr(at)),
  );
}

function readWhen(op: string, when: Tensor | undefined): Tensor | undefined {
  if (when === undefined || (isTensor(when) && when.dtype === "bool" && when.rank === 0)) return when;
  return fail("bad-option", `${op}: when is ${describe(when)}, not a bool scalar`, {
    cause: "it says whether the whole update is made",
    hint: "give the finite of unscale, or reduce a condition with all()",
  });
}

function f32Leaves(op: string, what: string, tree: TensorTree): Leaf<Tensor>[] {
  const leaves = tensorsOf(op, what, tree);
  for (const { path, value } of leaves) {
    if (value.dtype === "f32") continue;
    fail("dtype-mismatch", `${op}: ${JSON.stringify(path)} of ${what} is ${value}, not f32`, {
      cause: "optimisers keep and change parameters in f32",
      hint: 'keep f32 parameters and cast them where they are used: castTree(params, "f16")',
    });
  }
  return leaves;
}

/** Gradients in f32: those in f16 are cast one by one, which the kernels that make them do as they store. */
export const inF32 = (op: string, grads: TensorTree): TensorTree =>
  mapTensors(grads, (path, x) => {
    if (x.dtype === "f32") return x;
    if (isFloat(x.dtype)) return cast(x, "f32");
    return fail("dtype-mismatch", `${op}: the gradient ${JSON.stringify(path)} is ${x}`, {
      cause: "gradients are f32 or f16",
      hint: "take gradients by floats only",
    });
  }) as TensorTree;

function bufferOf<B extends string>(op: string, state: Readonly<Record<B, TensorTree>>, name: B): TensorTree {
  const tree =
    state[name] ??
    fail("bad-tree", `${op}: the state has no ${JSON.stringify(name)}`, {
      cause: `it has ${Object.keys(state).join(", ") || "nothing"}`,
      hint: `make the state with ${op}Init(params)`,
    });
  f32Leaves(op, `state.${name}`, tree);
  return tree;
}
