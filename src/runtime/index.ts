/** Runs what was compiled before, programs and kernels alike: no compiler, nothing from npm. */
export { SinterError } from "../base/diagnostic.ts";
export type { DType } from "../base/dtype.ts";
export { manifestFromJson, manifestSetFromJson, manifestToJson } from "../manifest/json.ts";
export type {
  Kernel,
  KernelAccess,
  KernelCode,
  KernelProfile,
  KernelStep,
  KernelTensorDType,
  KernelTensorSpec,
  KernelVariant,
  Sizes,
} from "../manifest/kernel-module.ts";
export type { Capabilities, Manifest } from "../manifest/manifest.ts";
export type { ManifestSet } from "../manifest/set.ts";
export { Batch, type BatchInput, BatchTensor } from "./batch.ts";
export { isSoftware } from "./capabilities.ts";
export type { Counters, CounterValues } from "./counters.ts";
export { type AdapterOpener, type OpenDeviceOptions, openDevice, setAdapterOpener } from "./device.ts";
export { Gpu, type WaitOptions } from "./gpu.ts";
export type { InputValue } from "./inputs.ts";
export type { KernelCounters } from "./kernels/core.ts";
export type { FloatDType } from "./kernels/library.ts";
export type { KernelTensor } from "./kernels/operands.ts";
export type { KernelRunOptions } from "./kernels/run.ts";
export { createRuntime, type KernelRuntime, type KernelRuntimeOptions } from "./kernels/runtime.ts";
export type { KernelRequest, KernelWarmupOptions, KernelWarmupReport } from "./kernels/warmup.ts";
export type { Pipeline, PipelineCache } from "./pipelines.ts";
export { type DispatchTime, type ProfileOptions, profile } from "./profile.ts";
export { type ProfileName, profiles } from "./profiles.ts";
export { Ring, type RingOptions, type RingStatistics, type RingWait } from "./ring.ts";
export { type LoadOptions, loadManifest, type RunOptions, Session } from "./session.ts";
export { GpuTensor, makeTensor, readTensors } from "./tensor.ts";
export type { UsageStore } from "./usage-store.ts";
export type { HostArray, HostValue, Nested } from "./values.ts";
export { type WarmupOptions, type WarmupReport, warmup } from "./warmup.ts";
export type { WarmupEvent } from "./warmup-events.ts";
