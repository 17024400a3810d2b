import type { Attrs } from "../ir/graph.ts";
import { type ProductPrecision, productPrecisions } from "../ir/ops/contraction.ts";
import { oneOf } from "./options.ts";

/** Of products that do not say it: what the program that is being traced was compiled with. */
let ofProgram: ProductPrecision | undefined;

/** Runs a trace in which products that do not say their precision have this one. */
export function withPrecision<T>(precision: ProductPrecision | undefined, body: () => T): T {
  const outer = ofProgram;
  ofProgram = precision;
  try {
    return body();
  } finally {
    ofProgram = outer;
  }
}

/** The option of a call as the attribute of its products. */
export function precisionAttr(op: string, precision: ProductPrecision | undefined): Attrs {
  const chosen = precision === undefined ? ofProgram : oneOf(op, "precision", precision, productPrecisions);
  return chosen === undefined ? {} : { precision: chosen };
}
