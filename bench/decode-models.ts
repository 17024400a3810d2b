import {
  add,
  and,
  cast,
  compile,
  f16,
  f32,
  i32,
  iota,
  matmul,
  mul,
  rmsNorm,
  shiftRight,
  silu,
  sub,
  type Tensor,
  u32,
} from "sinter";
import { gpt2 } from "sinter/nn";

/** Sizes of a GPT-2 that decodes one token at a time. */
export interface DecodeSizes {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly vocab: number;
  /** Tokens that the cache holds. */
  readonly length: number;
}

/** GPT-2 (124 M). */
export const gpt2Small: DecodeSizes = { layers: 12, width: 768, heads: 12, vocab: 50257, length: 1024 };

const modelOf = (s: DecodeSizes) =>
  gpt2({ layers: s.layers, width: s.width, heads: s.heads, vocabulary: s.vocab, positions: s.length });

/** A token of one sequence: its scores, from the caches of all tokens before, which it joins. */
export function gpt2Decode(s: DecodeSizes, dtype: "f32" | "f16") {
  const model = modelOf(s);
  return compile(
    { params: model.params, cache: model.cache(1, s.length, dtype), tokens: i32(1, 1), position: i32() },
    ({ params, cache, tokens, position }) => model.decode(params, cache, tokens, position),
    { weights: ["params"], donate: ["cache"] },
  );
}

/** The scores after every token of one sequence of `count`. */
export function gpt2Forward(s: DecodeSizes, dtype: "f32" | "f16", count: number) {
  const model = modelOf(s);
  return compile(
    { params: model.params, tokens: i32(1, count) },
    ({ params, tokens }) => ({ logits: model.logits(params, tokens, { dtype }) }),
    { weights: ["params"] },
  );
}

/** Sizes of gated feed-forward layers with int4 weights. */
export interface FeedForwardSizes {
  readonly layers: number;
  readonly hidden: number;
  readonly intermediate: number;
  /** Weights that share a scale. */
  readonly group: number;
  readonly scales: "f32" | "f16";
  readonly rows: number;
}

/** The feed-forward layers of Qwen3-4B; several, so that no cache holds the weights. */
export const qwen4B: FeedForwardSizes = {
  layers: 8,
  hidden: 2560,
  intermediate: 9728,
  group: 128,
  scales: "f16",
  rows: 1,
};

const perWord = 8;

/** x wᵀ of int4 weights: words [n, k / 8], scales [n, k / group], as `matmulInt4` of `sinter/kernels` has them. */
function quantised(x: Tensor, { words, scales }: { readonly words: Tensor; readonly scales: Tensor }): Tensor {
  const [n, packed] = words.shape as [number, number];
  const groups = scales.shape[1] as number;
  const each = words.reshape([n, groups, packed / groups, 1]);
  const values = sub(cast(and(shiftRight(each, mul(iota([perWord], { dtype: "u32" }), 4)), 15), "f32"), 8);
  const weight = mul(values, cast(scales, "f32").reshape([n, groups, 1, 1]));
  return matmul(x, weight.reshape([n, packed * perWord]), { transposeB: true });
}

/** RMSNorm, gate and up, silu, down and the residual, layer after layer. */
export function feedForward(s: FeedForwardSizes) {
  const float = s.scales === "f16" ? f16 : f32;
  const matrix = (n: number, k: number) => ({ words: u32(n, k / perWord), scales: float(n, k / s.group) });
  const layer = () => ({
    norm: f32(s.hidden),
    gate: matrix(s.intermediate, s.hidden),
    up: matrix(s.intermediate, s.hidden),
    down: matrix(s.hidden, s.intermediate),
  });
  return compile(
    { x: f32(s.rows, s.hidden), layers: Array.from({ length: s.layers }, layer) },
    ({ x, layers }) => {
      let y: Tensor = x;
      for (const l of layers) {
        const h = rmsNorm(y, { scale: l.norm, axes: -1, epsilon: 1e-6 });
        y = add(y, quantised(mul(silu(quantised(h, l.gate)), quantised(h, l.up)), l.down));
      }
      return { y };
    },
    { weights: ["layers"] },
  );
}
