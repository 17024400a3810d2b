/** Assertions on what fuses, for test suites of any runner. */

import { fail } from "./base/diagnostic.ts";
import type { ExplainReport, KernelReport } from "./fuse/explain.ts";
import type { ExplainOptions } from "./program.ts";

/** A program, or anything else that explains itself. */
export interface Explainable {
  explain(options?: ExplainOptions): ExplainReport;
}

/** By default everything legal is fused, for a device that has what WebGPU guarantees everywhere. */
const reportOf = (program: Explainable, options: ExplainOptions | undefined): ExplainReport =>
  program.explain({ fuse: "legal", ...options });

/**
 * Throws unless the program runs in `count` kernels. Kernels that run once at load are not counted.
 * @returns the report, for further assertions
 */
export function expectKernels(program: Explainable, count: number, options?: ExplainOptions): ExplainReport {
  const report = reportOf(program, options);
  const { kernels } = report.totals;
  if (kernels !== count) {
    fail("kernel-count", `the program has ${kernels} kernels, not ${count}`, {
      cause: `its kernels are\n\n${report.text}`,
      hint: "the reasons under `not fused` say what keeps kernels apart",
    });
  }
  return report;
}

/**
 * Throws unless one kernel computes all of `ops`, each at least as often as it is named.
 * @returns the kernel
 */
export function expectFused(program: Explainable, ...ops: readonly (string | ExplainOptions)[]): KernelReport {
  const names = ops.filter((o): o is string => typeof o === "string");
  const options = ops.find((o): o is ExplainOptions => typeof o !== "string");
  const report = reportOf(program, options);
  const count = (list: readonly string[], op: string): number => list.filter((o) => o === op).length;
  const found = [...report.kernels, ...report.setup].find((k) =>
    (k.parts ?? [k]).some((part) => names.every((op) => count(part.ops, op) >= count(names, op))),
  );
  return (
    found ??
    fail("not-fused", `no kernel computes ${names.join(" and ")} together`, {
      cause: `the program's kernels are\n\n${report.text}`,
      hint: "the reasons under `not fused` say what keeps kernels apart; composite ops appear as the ops they decompose into",
    })
  );
}
