/** Layers of neural networks, written in the tensor language. Parameters are trees of tensors, given by the caller. */
export { attention, crossEntropy, embedding, rope } from "../frontend/attention.ts";
export { layerNorm, logSoftmax, rmsNorm, softmax } from "../frontend/normalise.ts";
export { gelu, relu, silu } from "../frontend/unary.ts";
export {
  mergeHeads,
  type SelfAttentionOptions,
  type SelfAttentionParams,
  selfAttention,
  splitHeads,
} from "./attention.ts";
export { type Clipped, clipByGlobalNorm, clipByValue, globalNorm } from "./clip.ts";
export { type DropoutOptions, dropout } from "./dropout.ts";
export { cachedAttention, type KvCache, kvCacheSpecs, positionsFrom } from "./kv-cache.ts";
export { type LinearOptions, type LinearParams, linear } from "./linear.ts";
export {
  type LossScale,
  type LossScaleOptions,
  lossScaleInit,
  lossScaleSpec,
  type ScaledGradient,
  scaledValueAndGrad,
  scaleLoss,
  type Unscaled,
  unscale,
  updateLossScale,
} from "./loss-scale.ts";
export { castTree } from "./mixed-precision.ts";
export { type MlpOptions, type MlpParams, mlp } from "./mlp.ts";
export { type Gpt2, type Gpt2Block, type Gpt2Config, type Gpt2Params, gpt2 } from "./models/gpt2.ts";
export type { InitOptions } from "./models/init.ts";
export type { DecodeResult, ForwardOptions, LanguageModel } from "./models/language-model.ts";
export { type Llama, type LlamaBlock, type LlamaConfig, type LlamaParams, llama } from "./models/llama.ts";
export { type FromNamesOptions, fromNames } from "./named.ts";
export * from "./optim/index.ts";
export * from "./safetensors/index.ts";
export type { Scalar } from "./scalar.ts";
export { type SwigluParams, swiglu } from "./swiglu.ts";
export type { Each, ScalarTree } from "./tree/each.ts";
export { foreach } from "./tree/foreach.ts";
