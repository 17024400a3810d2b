import { fail } from "../base/diagnostic.ts";
import { and, greaterEqual, mul, notEqual } from "./binary.ts";
import type { MatmulOptions } from "./contract.ts";
import { enter } from "./enter.ts";
import { withOptional } from "./optional.ts";
import { oneOf, readOptions } from "./options.ts";
import { precisionAttr } from "./precision.ts";
import { mean, sum } from "./reductions.ts";
import { exactly, node, type Tensor, wrap } from "./tensor.ts";
import { cast, reciprocal } from "./unary.ts";

/** Options of {@link attention}. */
export interface AttentionOptions {
  /** Added to the scores before the softmax; broadcasts to [..., heads, T, S]. */
  readonly mask?: Tensor;
  /** Query i sees keys up to i; the last query sees the last key. False by default. */
  readonly causal?: boolean;
  /** Multiplies the scores; 1 / sqrt(D) by default, needed where D is 0. */
  readonly scale?: number;
  /** How its products of f32 are computed, and those of its gradients, as that of `matmul`. By default what the program was compiled with. */
  readonly precision?: MatmulOptions["precision"];
}

/**
 * Scaled dot-product attention softmax(q k^T * scale + mask) v. q is [..., Hq, T, D], k and v are [..., Hk, S, D] (v may have
 * another D); with
 * fewer key heads than query heads, Hq / Hk query heads share one. A row that is masked everywhere gives 0. Vaswani et al.,
 * 2017; grouped heads: Ainslie et al., 2023. f16 is computed in f32.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions): Tensor {
  return enter((b) => {
    const op = "attention";
    const args = [node(op, q, "q"), node(op, k, "k"), node(op, v, "v")];
    const defaults = { mask: undefined, causal: false, scale: undefined, precision: undefined };
    const { mask, causal, scale, precision } = readOptions(op, options, defaults);
    const attrs = { causal, ...(scale === undefined ? {} : { scale }), ...precisionAttr(op, precision) };
    return withOptional(op, b, args, { mask }, attrs);
  });
}

/** Options of {@link rope}. */
export interface RopeOptions {
  /** The base of the frequencies, 10000 by default. */
  readonly base?: number;
  /** Which elements turn together: i and i + D/2 (`halves`, default), or 2i and 2i + 1 (`neighbours`). */
  readonly pairing?: "halves" | "neighbours";
}

/**
 * Rotary position embedding of x [..., T, D] at `positions` (i32 or f32, [T] or broadcastable to [..., T]): pairs of elements turn by
 * position * base^(-2i/D). Su et al., 2021.
 */
export function rope(x: Tensor, positions: Tensor, options?: RopeOptions): Tensor {
  return enter((b) => {
    const args = [node("rope", x), node("rope", positions, "positions")];
    const o = readOptions("rope", options, { base: 10000, pairing: "halves" as "halves" | "neighbours" });
    const pairing = oneOf("rope", "pairing", o.pairing, ["halves", "neighbours"]);
    return wrap(b.add("rope", args, { base: o.base, pairing }));
  });
}

/** Rows of `table` [V, ...] picked by integer `ids`, giving the shape of ids and then that of a row. Ids as in gather. */
export function embedding(table: Tensor, ids: Tensor): Tensor {
  return enter((b) => wrap(b.add("embedding", [node("embedding", table, "table"), node("embedding", ids, "ids")])));
}

/** Options of {@link crossEntropy}. */
export interface CrossEntropyOptions {
  /** `mean` (default) or `sum` of the losses, or `none` for one a target. */
  readonly reduction?: "mean" | "sum" | "none";
  /** A target that is ignored, such as -100: its positions have loss 0, and the mean is over the others. */
  readonly ignoreIndex?: number;
  /** The part of a target's probability, from 0 to 1, that is spread over all classes alike; 0 by default. */
  readonly labelSmoothing?: number;
}

/**
 * Cross-entropy of logits [..., V] against integer targets [...]: logSumExp(logits) - logits[target], averaged over the
 * targets unless `reduction` says otherwise. A negative target has loss 0; with `ignoreIndex` negative targets and those
 * equal to it do not count in the mean either, which is NaN where none is left. f16 is computed in f32. Label smoothing:
 * Szegedy et al., 2016.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options?: CrossEntropyOptions): Tensor {
  return enter((b) => {
    const op = "crossEntropy";
    const o = readOptions(op, options, {
      reduction: "mean" as "mean" | "sum" | "none",
      ignoreIndex: undefined,
      labelSmoothing: 0,
    });
    const reduction = oneOf(op, "reduction", o.reduction, ["mean", "sum", "none"]);
    const { ignoreIndex, labelSmoothing } = o;
    if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
      fail("bad-option", `${op}: labelSmoothing is ${labelSmoothing}`, {
        cause: "it is the part of a probability",
        hint: "give 0 <= labelSmoothing <= 1",
      });
    }
    const args = [node(op, logits, "logits"), node(op, targets, "targets")] as const;
    const losses = wrap(
      b.add(op, args, {
        ...(ignoreIndex === undefined ? {} : { ignoreIndex: exactly(op, ignoreIndex, args[1].type.dtype) }),
        ...(labelSmoothing === 0 ? {} : { labelSmoothing }),
      }),
    );
    if (reduction === "none") return losses;
    if (reduction === "sum") return sum(losses);
    return ignoreIndex === undefined ? mean(losses) : meanOfCounted(losses, targets, ignoreIndex);
  });
}

/**
 * The sum of losses over the number of targets that are not ignored. Each loss is divided by itself, and the number is made
 * first, so that the kernel of the losses can wait for it and go on to their gradient.
 */
function meanOfCounted(losses: Tensor, targets: Tensor, ignoreIndex: number): Tensor {
  const named = notEqual(targets, ignoreIndex);
  const counted = targets.dtype === "i32" ? and(named, greaterEqual(targets, 0)) : named;
  const share = reciprocal(sum(cast(counted, "f32")));
  return cast(sum(mul(share, cast(losses, "f32"))), losses.dtype);
}
