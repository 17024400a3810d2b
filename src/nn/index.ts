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
export { type LinearOptions, type LinearParams, linear } from "./linear.ts";
export { type MlpOptions, type MlpParams, mlp } from "./mlp.ts";
