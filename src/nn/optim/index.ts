/** Optimisers over trees of parameters: each is one elementwise graph over packed tensors. */
export { type AdaDeltaOptions, type AdaDeltaState, adaDelta, adaDeltaInit } from "./ada-delta.ts";
export { type AdaMaxOptions, type AdaMaxState, adaMax, adaMaxInit } from "./ada-max.ts";
export { type AdagradInitOptions, type AdagradOptions, type AdagradState, adagrad, adagradInit } from "./adagrad.ts";
export {
  type AdamInitOptions,
  type AdamOptions,
  type AdamState,
  adam,
  adamInit,
  adamW,
  adamWInit,
} from "./adam.ts";
export { type LionOptions, type LionState, lion, lionInit } from "./lion.ts";
export { decayMatrices, type Mask } from "./mask.ts";
export { type MomentumOptions, type MomentumState, momentum, momentumInit } from "./momentum.ts";
export { type NAdamOptions, type NAdamState, nAdam, nAdamInit } from "./n-adam.ts";
export type { OptimiserOptions, Updated } from "./optimiser.ts";
export { type RAdamOptions, type RAdamState, rAdam, rAdamInit } from "./r-adam.ts";
export { type RmsPropInitOptions, type RmsPropOptions, type RmsPropState, rmsProp, rmsPropInit } from "./rms-prop.ts";
export * from "./schedules.ts";
export { type SgdState, sgd, sgdInit } from "./sgd.ts";
