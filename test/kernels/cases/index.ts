import { activationCases } from "./activations.ts";
import { attentionCases } from "./attentions.ts";
import type { KernelCase } from "./case.ts";
import { embeddingCases } from "./embeddings.ts";
import { linearCases } from "./linears.ts";
import { normCases } from "./norms.ts";
import { optimiserCases } from "./optimisers.ts";
import { reductionCases } from "./reductions.ts";
import { softmaxCases } from "./softmaxes.ts";

/** A case for each kernel of the library. */
export const kernelCases: readonly KernelCase[] = [
  ...linearCases,
  ...normCases,
  ...softmaxCases,
  ...attentionCases,
  ...activationCases,
  ...embeddingCases,
  ...optimiserCases,
  ...reductionCases,
];
