import type { FusionChoice, TuningTable } from "../manifest/tuning.ts";
import type { BoundRegion } from "../plan/bind.ts";
import { type Job, jobsOf } from "./kernels.ts";

/** What a table makes of a program. */
export interface Trial {
  readonly bound: readonly BoundRegion[];
  /** The fusions that a table can decide: was each made? */
  readonly fusions: ReadonlyMap<string, boolean>;
}

/** Kernels of two compilations of a program that only one of them has, with how many of each. */
export interface Difference {
  readonly gone: readonly Job[];
  readonly come: readonly Job[];
}

export function differenceOf(before: Trial, after: Trial): Difference {
  const a = jobsOf(before.bound);
  const b = jobsOf(after.bound);
  const more = (from: readonly Job[], than: readonly Job[]): Job[] =>
    from.flatMap((job) => {
      const count = job.count - (than.find((o) => o.signature === job.signature)?.count ?? 0);
      return count > 0 ? [{ ...job, count }] : [];
    });
  return { gone: more(a, b), come: more(b, a) };
}

/** The table with a fusion decided the other way than it was. */
export function otherwise(table: TuningTable, name: string, fused: boolean): TuningTable {
  const choice: FusionChoice = fused ? { fused: 1, apart: 0 } : { fused: 0, apart: 1 };
  return { ...table, fusions: { ...table.fusions, [name]: choice } };
}
