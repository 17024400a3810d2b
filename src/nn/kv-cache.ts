import { fail } from "../base/diagnostic.ts";
import type { DType } from "../base/dtype.ts";
import { attention } from "../frontend/attention.ts";
import { add, lessEqual, where } from "../frontend/binary.ts";
import { dynamicUpdateSlice } from "../frontend/dynamic.ts";
import { enter } from "../frontend/enter.ts";
import { constant, iota } from "../frontend/leaf.ts";
import { TensorSpec } from "../frontend/spec.ts";
import { describe, isTensor, type Tensor } from "../frontend/tensor.ts";
import { reshape } from "../frontend/views.ts";
import type { Dim } from "../ir/dim.ts";

/** Keys and values of the tokens that an attention layer has seen: [batch, heads, length, head size] each. */
export interface KvCache<L = Tensor> {
  readonly key: L;
  readonly value: L;
}

/** An empty cache's specs; its elements begin as zeros, which are never read. */
export const kvCacheSpecs = (
  batch: number,
  heads: number,
  length: number,
  size: number,
  dtype: DType = "f32",
): KvCache<TensorSpec> =>
  enter(() => ({
    key: new TensorSpec(dtype, [batch, heads, length, size]),
    value: new TensorSpec(dtype, [batch, heads, length, size]),
  }));

/** @throws SinterError `bad-arguments` */
export function checkPosition(op: string, position: Tensor): void {
  if (isTensor(position) && position.rank === 0 && position.dtype === "i32") return;
  fail("bad-arguments", `${op} takes position as i32[], not ${describe(position)}`, {
    cause: "the tokens of all sequences stand at the same position",
    hint: "declare it as i32()",
  });
}

/** position + 0, 1, … for T tokens: i32[T]. */
export const positionsFrom = (position: Tensor, count: Dim): Tensor => add(iota([count]), position);

/**
 * Causal attention of new tokens with all tokens before them. The keys and values [B, heads, T, D] of the new tokens are
 * written into the cache at `position` (i32, 0-d: data, so that one program serves every position), and query i sees
 * what stands at up to position + i. The caller keeps position + T within the cache's length.
 */
export function cachedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  cache: KvCache,
  position: Tensor,
): { readonly out: Tensor; readonly cache: KvCache } {
  return enter(() => {
    checkPosition("cachedAttention", position);
    const starts = [0, 0, position, 0];
    const next: KvCache = {
      key: dynamicUpdateSlice(cache.key, k, { starts }),
      value: dynamicUpdateSlice(cache.value, v, { starts }),
    };
    const [tokens, length] = [q.shape.at(-2) as Dim, cache.key.shape.at(-2) as Dim];
    const seen = lessEqual(iota([1, length]), reshape(positionsFrom(position, tokens), [-1, 1]));
    const mask = where(seen, constant(0, [], q.dtype), Number.NEGATIVE_INFINITY);
    return { out: attention(q, next.key, next.value, { mask }), cache: next };
  });
}
