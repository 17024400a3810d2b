// What the tables of GPUs are made with: npm run sinter -- tune bench/tuning/gpu.ts --adapter gpu
import { configs } from "../gpt2-model.ts";
import { mixedTrainingStep, trainingStep } from "../gpt2-step.ts";
import { rowsCases } from "../rows-cases.ts";
import { grid } from "./grid.ts";

const many = { ...configs.distil, batch: 8 };

export const step = trainingStep(configs.distil);
export const halfStep = mixedTrainingStep(configs.distil);
export const pairStep = trainingStep(configs.distil, "f16x3");
export const largeStep = trainingStep(many);
export const largeHalfStep = mixedTrainingStep(many);
export const largePairStep = trainingStep(many, "f16x3");
export const plain = grid("f32", true);
export const plainHalf = grid("f16", true);
/** What `bench -- rows` measures, as it is on GPUs. */
export const [
  gelu,
  softmax,
  longSoftmax,
  longestSoftmax,
  softmaxGrad,
  norm,
  oddNorm,
  longNorm,
  normGrad,
  normGrads,
  rms,
  crossEntropy,
  columns,
  wideColumns,
  oddColumns,
] = rowsCases(2 ** 27).map((c) => c.program());
