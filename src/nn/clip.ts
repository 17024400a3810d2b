import { fail } from "../base/diagnostic.ts";
import { isFloat } from "../base/dtype.ts";
import { add, clamp, mul } from "../frontend/binary.ts";
import { enter } from "../frontend/enter.ts";
import { constant } from "../frontend/leaf.ts";
import { sumSquare } from "../frontend/reductions.ts";
import type { Tensor } from "../frontend/tensor.ts";
import type { TensorTree } from "../frontend/trace.ts";
import { cast, neg, sqrt } from "../frontend/unary.ts";
import type { GraphBuilder } from "../ir/graph.ts";
import { readScalar, type Scalar, scalar } from "./scalar.ts";
import { groupLeaves, mapPacked } from "./tree/foreach.ts";

/**
 * The Euclidean norm of all elements of a tree of floats, f32[]. Its leaves are reduced together: at most two kernels for each
 * dtype, whatever their number.
 * @throws SinterError `bad-tree`, `dtype-mismatch`, `unbound-dim`
 */
export function globalNorm(tree: TensorTree): Tensor {
  return enter((b) => normOf("globalNorm", b, tree));
}

function normOf(op: string, b: GraphBuilder, tree: TensorTree): Tensor {
  const { first, groups } = groupLeaves(op, b, { tree });
  for (const { path, value } of first) {
    if (isFloat(value.dtype)) continue;
    fail("dtype-mismatch", `${op}: ${JSON.stringify(path)} is ${value}`, {
      cause: "a norm is taken of floating-point tensors",
      hint: 'cast it first: cast(x, "f32")',
    });
  }
  const sums = groups.map(({ packed }) => sumSquare(inF32(packed.tree as Tensor)));
  return sums.length === 0 ? constant(0) : sqrt(sums.reduce((x, y) => add(x, y)));
}

function requireBound(op: string, name: string, bound: Scalar): void {
  if (typeof bound !== "number" || bound >= 0) return;
  fail("bad-option", `${op}: ${name} is ${bound}`, {
    cause: "a bound below 0 would turn gradients round",
    hint: `give ${name} a number of at least 0`,
  });
}

const inF32 = (x: Tensor): Tensor => (x.dtype === "f32" ? x : cast(x, "f32"));

/** Gradients and the norm they had before. */
export interface Clipped<P> {
  readonly grads: P;
  /** f32[] */
  readonly norm: Tensor;
}

/**
 * Scales gradients so that their norm, all taken together, is at most `maxNorm`: by min(1, maxNorm / (norm + 1e-6)), as
 * torch.nn.utils.clip_grad_norm_ does. The factor is applied where the result is read, such as in an optimiser's kernel.
 * `maxNorm` may be data. Where the norm is not finite, gradients are not either; see {@link unscale}.
 * @throws SinterError `bad-option`, `bad-tree`, `dtype-mismatch`, `unbound-dim`
 */
export function clipByGlobalNorm<P extends TensorTree>(grads: P, maxNorm: Scalar): Clipped<P> {
  return enter((b) => {
    const op = "clipByGlobalNorm";
    const bound = readScalar(op, "maxNorm", maxNorm);
    requireBound(op, "maxNorm", bound);
    const norm = normOf(op, b, grads);
    const factor = scalar.min(scalar.div(bound, add(norm, 1e-6)), 1) as Tensor;
    const scaled = mapPacked(op, { grads }, ({ grads: g }) => inDType(mul(inF32(g as Tensor), factor), g as Tensor));
    return { grads: scaled as P, norm };
  });
}

const inDType = (x: Tensor, like: Tensor): Tensor => (x.dtype === like.dtype ? x : cast(x, like.dtype));

/**
 * Every element of a tree limited to -bound … bound, as torch.nn.utils.clip_grad_value_ does. `bound` is not negative and may be
 * data.
 * @throws SinterError `bad-option`, `bad-tree`, `unbound-dim`
 */
export function clipByValue<P extends TensorTree>(grads: P, bound: Scalar): P {
  return enter(() => {
    const limit = readScalar("clipByValue", "bound", bound);
    requireBound("clipByValue", "bound", limit);
    return mapPacked("clipByValue", { grads }, ({ grads: g }) => {
      const x = g as Tensor;
      const high = typeof limit === "number" ? limit : inDType(limit, x);
      return clamp(x, typeof high === "number" ? -high : neg(high), high);
    }) as P;
  });
}
