/** The tensor language: specs, tensors and every op as a function. */
export type { AttentionOptions, CrossEntropyOptions, RopeOptions } from "./attention.ts";
export type { MatmulOptions } from "./contract.ts";
export { einsum } from "./contract.ts";
export type { HostData, HostTensor, NestedNumbers, TypedArray } from "./host.ts";
export { tensor } from "./host.ts";
export type { GatherNDOptions, OneHotOptions, ScatterNDOptions, ScatterOptions, ScatterReduction } from "./indexed.ts";
export type { AxisOptions, SplitOptions } from "./join.ts";
export { concat, stack } from "./join.ts";
export type { IotaOptions } from "./leaf.ts";
export { constant, iota } from "./leaf.ts";
export * from "./methods.ts";
export type {
  AffineOptions,
  BatchNormOptions,
  GroupNormOptions,
  InstanceNormOptions,
  LayerNormOptions,
  RmsNormOptions,
} from "./normalise.ts";
export type { BernoulliOptions, NormalOptions, UniformOptions } from "./random.ts";
export { bernoulli, normal, randomBits, uniform } from "./random.ts";
export type { CombineOptions, CumSumOptions } from "./reduce.ts";
export { reduce } from "./reduce.ts";
export type { ArgOptions, ReduceOptions } from "./reductions.ts";
export type { Bound, Range, SliceOptions } from "./slice.ts";
export { bool, f16, f32, i32, type TensorSpec, u32 } from "./spec.ts";
export type { Tensor, TensorLike } from "./tensor.ts";
export type { SpecTree, TensorTree, Traced } from "./trace.ts";
export type { AlphaOptions, GeluOptions, HardSigmoidOptions } from "./unary.ts";
export type { AxesOptions, PadOptions, TriangularOptions } from "./views.ts";
