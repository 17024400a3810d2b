import { fail } from "../base/diagnostic.ts";
import { derivatives } from "./derivatives/index.ts";
import type { OpRow } from "./op.ts";
import { compositeRows } from "./ops/composite.ts";
import { contractionRows } from "./ops/contraction.ts";
import { dynamicRows } from "./ops/dynamic.ts";
import { elementwiseRows } from "./ops/elementwise.ts";
import { gradientRows } from "./ops/gradient.ts";
import { halvesRows } from "./ops/halves.ts";
import { indexedRows } from "./ops/indexed.ts";
import { leafRows } from "./ops/leaf.ts";
import { memoryRows } from "./ops/memory.ts";
import { randomRows } from "./ops/random.ts";
import { reductionRows } from "./ops/reduction.ts";
import { scanRows } from "./ops/scan.ts";
import { viewRows } from "./ops/view.ts";
import { wgslRows } from "./ops/wgsl.ts";

const withoutDerivatives: readonly OpRow[] = [
  ...leafRows,
  ...elementwiseRows,
  ...viewRows,
  ...reductionRows,
  ...scanRows,
  ...contractionRows,
  ...indexedRows,
  ...dynamicRows,
  ...randomRows,
  ...memoryRows,
  ...halvesRows,
  ...wgslRows,
  ...gradientRows,
  ...compositeRows,
];

/** The op table. */
export const rows: readonly OpRow[] = withoutDerivatives.map((r) =>
  Object.hasOwn(derivatives, r.name) ? { ...r, derivative: derivatives[r.name] ?? null } : r,
);

const byName = new Map(rows.map((r) => [r.name, r]));

export const hasRow = (name: string): boolean => byName.has(name);

/** The row of an op. Fails with `unknown-op`. */
export function rowOf(name: string): OpRow {
  return byName.get(name) ?? fail("unknown-op", `there is no op named ${JSON.stringify(name)}`);
}
