import { attention, defineKernel, dim, dimAdd, dimMul, type FloatSpec, f32, grad, type Tensor } from "sinter";
import { like, wide } from "./precision.ts";

const batch = dim("batch", { hint: 4 });
const kvHeads = dim("kvHeads", { hint: 6 });
const groups = dim("groups", { hint: 2 });
const queries = dim("queries", { hint: 256 });
const keys = dim("keys", { hint: 1024 });
const past = dim("past", { hint: 160 });
const heads = dimMul(kvHeads, groups);

const queriesOf = (float: FloatSpec, size: number) => float(batch, heads, queries, size);
/** The keys of causal attention are those before the first query, a cache's, and one for each query. */
const keysOf = (float: FloatSpec, size: number, causal: boolean) =>
  float(batch, kvHeads, causal ? dimAdd(past, queries) : keys, size);

type Qkv = { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor };

/** The scale is data, so it goes onto q and the scores are taken as they are. */
const attend = ({ q, k, v }: Qkv, scale: Tensor, causal: boolean): Tensor =>
  attention(q.mul(scale), k, v, { causal, scale: 1 });

const forward = (name: string, size: number, causal: boolean) =>
  defineKernel(
    {
      name,
      inputs: (float) => ({
        q: queriesOf(float, size),
        k: keysOf(float, size, causal),
        v: keysOf(float, size, causal),
        scale: f32(),
      }),
    },
    ({ q, k, v, scale }) => ({ y: like(attend({ q: wide(q), k: wide(k), v: wide(v) }, scale, causal), q) }),
  );

const backward = (name: string, size: number, causal: boolean) =>
  defineKernel(
    {
      name,
      inputs: (float) => ({
        q: queriesOf(float, size),
        k: keysOf(float, size, causal),
        v: keysOf(float, size, causal),
        dy: queriesOf(float, size),
        scale: f32(),
      }),
    },
    ({ q, k, v, dy, scale }) => {
      const d = grad((x: Qkv) => attend(x, scale, causal).mul(wide(dy)).sum())({ q: wide(q), k: wide(k), v: wide(v) });
      return { dq: like(d.q, q), dk: like(d.k, k), dv: like(d.v, v) };
    },
  );

/**
 * y = softmax(scale · q kᵀ) v for heads of 64; scale is usually 1 / 8. `groups` query heads share a head of k and v: 1 where there
 * are as many. Scores never reach memory.
 */
export const attention64 = forward("attention64", 64, false);

/**
 * `attention64` where a query sees keys up to its own place. There are past + queries keys: `past` of them, 0 without a cache,
 * come before the first query.
 */
export const causalAttention64 = forward("causalAttention64", 64, true);

/** y = softmax(scale · q kᵀ) v for heads of 128; see `attention64`. */
export const attention128 = forward("attention128", 128, false);

/** `attention128` where a query sees keys up to its own place; see `causalAttention64`. */
export const causalAttention128 = forward("causalAttention128", 128, true);

/** The gradients of `attention64` by q, k and v; the weights are computed again, tile by tile. */
export const attention64Backward = backward("attention64Backward", 64, false);

/** The gradients of `causalAttention64` by q, k and v. */
export const causalAttention64Backward = backward("causalAttention64Backward", 64, true);

/** The gradients of `attention128` by q, k and v. */
export const attention128Backward = backward("attention128Backward", 128, false);

/** The gradients of `causalAttention128` by q, k and v. */
export const causalAttention128Backward = backward("causalAttention128Backward", 128, true);
