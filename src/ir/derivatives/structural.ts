import type { Derivative } from "../op.ts";

/** Derivatives of views, reductions, scans, contractions and indexed rows. */
export const structuralDerivatives: Readonly<Record<string, Derivative | null>> = {};
