import type { Derivative } from "../op.ts";
import { attentionDerivatives } from "./attention.ts";
import { compositeDerivatives } from "./composite.ts";
import { elementwiseDerivatives } from "./elementwise.ts";
import { structuralDerivatives } from "./structural.ts";

/** Derivatives by the name of their row. */
export const derivatives: Readonly<Record<string, Derivative | null>> = {
  ...elementwiseDerivatives,
  ...structuralDerivatives,
  ...compositeDerivatives,
  ...attentionDerivatives,
};
