import { fail } from "../base/diagnostic.ts";
import { type AttentionOptions, attention } from "../frontend/attention.ts";
import { enter } from "../frontend/enter.ts";
import { readOptions } from "../frontend/options.ts";
import { quotient } from "../frontend/sizes.ts";
import { split } from "../frontend/split.ts";
import type { Tensor } from "../frontend/tensor.ts";
import { reshape, transpose } from "../frontend/views.ts";
import { type LinearOptions, type LinearParams, linear } from "./linear.ts";

/** [..., T, heads * D] to [..., heads, T, D]. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  return enter(() => {
    const { shape, rank } = x;
    const width = quotient(shape.slice(-1), [heads]);
    if (rank < 2 || width === undefined) {
      fail("shape-mismatch", `splitHeads: ${x} does not split into ${heads} heads`, {
        cause: "the last axis holds the features of all heads, the one before it the positions",
        hint: "give a number of heads that divides the last axis",
      });
    }
    return swapHeads(reshape(x, [...shape.slice(0, -1), heads, width]));
  });
}

/** [..., heads, T, D] to [..., T, heads * D]. */
export function mergeHeads(x: Tensor): Tensor {
  return enter(() => {
    if (x.rank < 3) {
      fail("rank-mismatch", `mergeHeads takes x of rank 3 or more, not ${x}`, { hint: "give x [..., heads, T, D]" });
    }
    const swapped = swapHeads(x);
    return reshape(swapped, [...swapped.shape.slice(0, -2), -1]);
  });
}

function swapHeads(x: Tensor): Tensor {
  const perm = Array.from({ length: x.rank }, (_, i) => i);
  perm.splice(-3, 2, x.rank - 2, x.rank - 3);
  return transpose(x, perm);
}

/** Projections of an attention layer: one for q, k and v together, or three. */
export type SelfAttentionParams = { readonly out: LinearParams } & (
  | { readonly qkv: LinearParams }
  | { readonly query: LinearParams; readonly key: LinearParams; readonly value: LinearParams }
);

/** Options of {@link selfAttention}. */
export interface SelfAttentionOptions extends AttentionOptions, LinearOptions {
  readonly heads: number;
  /** Heads of k and v, a divisor of `heads`; as many by default. */
  readonly kvHeads?: number;
  /** Applied to q and k after they are split into heads, as rope. */
  readonly rotate?: (x: Tensor) => Tensor;
}

/** Multi-head self-attention of x [..., T, C]: out(attention(q(x), k(x), v(x))). Vaswani et al., 2017. */
export function selfAttention(x: Tensor, params: SelfAttentionParams, options: SelfAttentionOptions): Tensor {
  return enter(() => {
    const o = readOptions("selfAttention", options, {
      heads: undefined,
      kvHeads: undefined,
      rotate: undefined,
      mask: undefined,
      causal: false,
      scale: undefined,
      transposed: false,
      precision: undefined,
    });
    const { heads, kvHeads = heads, rotate = (y: Tensor) => y, transposed, precision, mask, scale, causal } = o;
    const projection = { transposed, ...(precision ? { precision } : {}) };
    if (!Number.isInteger(heads)) {
      fail("bad-option", `selfAttention: heads is ${heads}`, { hint: "write selfAttention(x, params, { heads: 12 })" });
    }
    const [q, k, v] = project(x, params, heads as number, kvHeads as number, projection);
    const out = attention(
      rotate(splitHeads(q, heads as number)),
      rotate(splitHeads(k, kvHeads as number)),
      splitHeads(v, kvHeads as number),
      {
        ...{ causal, ...(mask === undefined ? {} : { mask }), ...(scale === undefined ? {} : { scale }) },
        ...(precision ? { precision } : {}),
      },
    );
    return linear(mergeHeads(out), params.out, projection);
  });
}

function project(
  x: Tensor,
  params: SelfAttentionParams,
  heads: number,
  kvHeads: number,
  options: LinearOptions,
): readonly [Tensor, Tensor, Tensor] {
  if (!("qkv" in params)) {
    return [linear(x, params.query, options), linear(x, params.key, options), linear(x, params.value, options)];
  }
  const all = linear(x, params.qkv, options);
  const head = quotient(all.shape.slice(-1), [heads + 2 * kvHeads]);
  if (typeof head !== "number") {
    fail("shape-mismatch", `selfAttention: qkv gives ${all}, which ${heads} + 2 * ${kvHeads} heads do not divide`, {
      cause: "the last axis holds q, k and v one after the other, each with all its heads",
      hint: "give a number of heads that divides it",
    });
  }
  return split(all, { axis: -1, sizes: [heads * head, kvHeads * head, kvHeads * head] }) as [Tensor, Tensor, Tensor];
}
