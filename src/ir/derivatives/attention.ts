import type { Derivative } from "../op.ts";

/** Derivatives of the attention rows. */
export const attentionDerivatives: Readonly<Record<string, Derivative | null>> = {};
