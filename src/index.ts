/** The tensor language, the compiler and the runtime: what programs and `*.kernel.ts` files are written with. */
export { type Diagnostic, type Place, SinterError } from "./base/diagnostic.ts";
export type { DType } from "./base/dtype.ts";
export { Batch } from "./batch.ts";
export { BatchTensor } from "./batch-tensor.ts";
export * from "./frontend/index.ts";
export type { ApartReport, EdgeReport, ExplainReport, KernelReport } from "./fuse/explain.ts";
export {
  type Dim,
  dim,
  dimAdd,
  dimCeilDiv,
  dimFloorDiv,
  dimMax,
  dimMin,
  dimMod,
  dimMul,
  dimSub,
  type Shape,
} from "./ir/dim.ts";
export type { Graph } from "./ir/graph.ts";
export type { Manifest } from "./manifest/manifest.ts";
export type { ManifestSet } from "./manifest/set.ts";
export type { AdapterIdentity, FusionChoice, KernelChoice, Tuning, TuningTable } from "./manifest/tuning.ts";
export type { MemoryReport, MemoryRow } from "./plan/memory.ts";
export { profile } from "./profile.ts";
export type { ProfileReport, ProfileRow, ProfileSum } from "./profile-report.ts";
export { type CompileOptions, compile, type ExplainOptions, type ManifestOptions, Program } from "./program.ts";
export {
  type Capabilities,
  type Counters,
  type CounterValues,
  Gpu,
  GpuTensor,
  type HostArray,
  type InputValue,
  makeTensor,
  type OpenDeviceOptions,
  openDevice,
  type ProfileOptions,
  profiles,
  Ring,
  type RingOptions,
  type RingStatistics,
  type RingWait,
  type RunOptions,
  readTensors,
  type UsageStore,
  type WaitOptions,
  type WarmupEvent,
  warmup,
} from "./runtime/index.ts";
export { type LoadOptions, Session, type SessionInput } from "./session.ts";
export type { Results, Value } from "./types.ts";
