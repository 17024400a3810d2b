import type { Derivative } from "../op.ts";
import { callDerivatives } from "./structural-call.ts";
import { contractionDerivatives } from "./structural-contraction.ts";
import { indexedDerivatives } from "./structural-indexed.ts";
import { reductionDerivatives } from "./structural-reduction.ts";
import { viewDerivatives } from "./structural-view.ts";

/** Nothing goes back through these: they count, draw, or only name other nodes. */
const without: Readonly<Record<string, null>> = {
  input: null,
  const: null,
  literal: null,
  iota: null,
  segments: null,
  philox: null,
};

/** Derivatives of leaves, views, reductions, scans, contractions and indexed rows. */
export const structuralDerivatives: Readonly<Record<string, Derivative | null>> = {
  ...without,
  ...callDerivatives,
  ...viewDerivatives,
  ...reductionDerivatives,
  ...contractionDerivatives,
  ...indexedDerivatives,
};
