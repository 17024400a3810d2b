import type { Derivative } from "../op.ts";

/** Derivatives of elementwise rows. */
export const elementwiseDerivatives: Readonly<Record<string, Derivative | null>> = {};
