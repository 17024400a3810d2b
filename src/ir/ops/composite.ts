import type { OpRow } from "../op.ts";
import { attentionComposites } from "./composite-attention.ts";
import { attentionGradComposites } from "./composite-attention-grad.ts";
import { einsumComposites } from "./composite-einsum.ts";
import { indexedComposites } from "./composite-indexed.ts";
import { normComposites } from "./composite-norm.ts";
import { randomComposites } from "./composite-random.ts";
import { reductionComposites } from "./composite-reduction.ts";
import { softmaxComposites } from "./composite-softmax.ts";
import { viewComposites } from "./composite-view.ts";

/** Ops that are defined by simpler ones. */
export const compositeRows: readonly OpRow[] = [
  ...reductionComposites,
  ...viewComposites,
  ...softmaxComposites,
  ...normComposites,
  ...attentionComposites,
  ...attentionGradComposites,
  ...einsumComposites,
  ...indexedComposites,
  ...randomComposites,
];
