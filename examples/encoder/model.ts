import {
  add,
  attention,
  cast,
  concat,
  constant,
  cos,
  dim,
  f32,
  gather,
  i32,
  iota,
  layerNorm,
  matmul,
  max,
  relu,
  sin,
  sum,
  type Tensor,
  tanh,
  where,
} from "sinter";
import { architecture, type EncoderWeights, weightTree } from "./architecture.ts";

type Weights = EncoderWeights<Tensor>;
interface Linear {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/** Sentences a run. */
const B = dim("B", { hint: 12 });
/** Tokens of the longest sentence. */
const T = dim("T", { hint: 16 });

/** `ids` holds token ids padded with anything to [B, T]; `lengths` holds how many of them count. */
export const specs = { ids: i32(B, T), lengths: i32(B), params: weightTree((shape) => f32(...shape)) };

/**
 * Sentence embeddings f32[B, 512] of length 1. The padded positions are computed and never looked at: they get no
 * attention and no share in the mean.
 */
export function encode({ ids, lengths, params }: { ids: Tensor; lengths: Tensor; params: Weights }): Tensor {
  const valid = iota([B, T], { axis: 1, dtype: "i32" }).less(lengths.reshape([B, 1]));
  const mask = where(valid, constant(0), -1e9).reshape([B, 1, 1, T]);

  const tokens = gather(params.embedding, ids, { axis: 0 });
  // The published graph adds its input to the input with its timing signal, so the embedding counts twice.
  let x = tokens.mul(2).add(timingSignal(params.frequencies));
  x = linear(x, params.first.widen).add(selfAttention(x, mask, params.first.attention));
  x = x.add(feedForward(x, params.first.feedForward));
  x = x.add(selfAttention(x, mask, params.second.attention));
  x = x.add(feedForward(x, params.second.feedForward));

  const sentence = tanh(linear(meanOf(x, valid, lengths), params.sentence));
  return sentence.mul(max(sum(sentence.mul(sentence), { axes: [1], keepDims: true }), 1e-12).rsqrt());
}

/** sin and cos of position times frequency, side by side: [T, 256]. */
function timingSignal(frequencies: Tensor): Tensor {
  const angle = iota([T, 1], { axis: 0, dtype: "f32" }).mul(frequencies);
  return concat([sin(angle), cos(angle)], { axis: 1 });
}

const linear = (x: Tensor, { weight, bias }: Linear): Tensor => add(matmul(x, weight), bias);

function normalise(x: Tensor, norm: Weights["first"]["attention"]["norm"]): Tensor {
  return layerNorm(x, { ...norm, axes: [-1], epsilon: architecture.layerNormEpsilon });
}

/** Pre-norm attention among the tokens of a sentence: [B, T, inner] to [B, T, 512]. */
function selfAttention(x: Tensor, mask: Tensor, w: Weights["first"]["attention"]): Tensor {
  const inner = x.shape[2] as number;
  const size = inner / architecture.heads;
  const qkv = linear(normalise(x, w.norm), w.qkv);
  const heads = (index: number) =>
    qkv
      .slice([null, null, [index * inner, (index + 1) * inner]])
      .reshape([B, T, architecture.heads, size])
      .transpose([0, 2, 1, 3]);
  const mixed = attention(heads(0), heads(1), heads(2), { mask });
  return linear(mixed.transpose([0, 2, 1, 3]).reshape([B, T, inner]), w.output);
}

const feedForward = (x: Tensor, w: Weights["first"]["feedForward"]): Tensor =>
  linear(relu(linear(normalise(x, w.norm), w.up)), w.down);

/** The mean over the tokens that count; 0 for a sentence of none. */
function meanOf(x: Tensor, valid: Tensor, lengths: Tensor): Tensor {
  const kept = where(valid.reshape([B, T, 1]), x, 0);
  const total = sum(kept, { axes: [1] });
  return total.div(cast(max(lengths, 1), "f32").reshape([B, 1]));
}
