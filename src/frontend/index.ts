/** The tensor language: specs, tensors and every op as a function. */
export * from "./attention.ts";
export * from "./binary.ts";
export type { Body, BodyInput, ElementwiseBody, ReductionBody, ScalarProgram, Step, ValueTree } from "./body-data.ts";
export * from "./contract.ts";
export {
  defineKernel,
  type FloatSpec,
  KernelDefinition,
  type KernelDType,
  type KernelOptions,
  type KernelVariantOptions,
} from "./define-kernel.ts";
export * from "./dynamic.ts";
export { type EinsumOptions, einsum } from "./einsum.ts";
export {
  type Elementwise,
  elementwise,
  type Numbers,
  type Plain,
  type TensorsFor,
  type TensorsOf,
} from "./elementwise.ts";
export {
  type Grad,
  type GradAux,
  type GradOptions,
  grad,
  type ValueAndGrad,
  type ValueAndGradAux,
  valueAndGrad,
} from "./grad.ts";
export { checkpoint, customGradient, type GradientContext } from "./grad-call.ts";
export * from "./grad-stop.ts";
export type { HostData, HostTensor, NestedNumbers, TypedArray } from "./host.ts";
export { tensor } from "./host.ts";
export * from "./indexed.ts";
export { type AxisOptions, concat, stack } from "./join.ts";
export { constant, type IotaOptions, iota } from "./leaf.ts";
export * from "./normalise.ts";
export * from "./random.ts";
export { type CombineOptions, reduce } from "./reduce.ts";
export { type Reduction, type ReductionSpec, reduction } from "./reduction.ts";
export * from "./reductions.ts";
export * from "./scan.ts";
export * from "./slice.ts";
export type { Bound, SliceRange } from "./slice-range.ts";
export { bool, f16, f32, i32, type TensorSpec, u32 } from "./spec.ts";
export * from "./split.ts";
export type { Tensor, TensorLike } from "./tensor.ts";
export type { SpecTree, TensorTree, Traced } from "./trace.ts";
export * from "./unary.ts";
export * from "./views.ts";
export type { WgslCpu, WgslCpuInputs, WgslCpuTensor } from "./wgsl-cpu.ts";
export { type WgslCall, type WgslInputs, type WgslKernel, type WgslKernelOptions, wgslKernel } from "./wgsl-kernel.ts";
export type { WgslFields, WgslFieldValue, WgslNumber } from "./wgsl-params.ts";
export type { WgslSignature } from "./wgsl-signature.ts";
