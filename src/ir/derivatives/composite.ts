import type { Derivative } from "../op.ts";

/** Derivatives of composites that have a better one than their decomposition. */
export const compositeDerivatives: Readonly<Record<string, Derivative | null>> = {};
