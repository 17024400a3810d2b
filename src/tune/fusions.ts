import { margin } from "../fuse/measured.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { FusionChoice, TuningTable } from "../manifest/tuning.ts";
import type { BoundRegion } from "../plan/bind.ts";
import { medianOf, timesOf } from "./contest.ts";
import type { Course } from "./course.ts";
import { type Job, jobsOf, type Measuring } from "./kernels.ts";
import type { Runnable } from "./timer.ts";

/** What a table makes of a program, each kernel a dispatch of its own. */
export interface Trial {
  readonly manifest: Manifest;
  /** In the order of the steps: of the setup, then of a run. */
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

/** A program that is loaded, and those of its kernels that another compilation of it lacks. */
export interface Side {
  readonly course: Course;
  readonly jobs: readonly Job[];
}

/** How often two compilations of a program are timed, in turns. */
const turns = 6;
/** How often a kernel is repeated where it is timed by itself. */
const repeated = 20;

/**
 * Microseconds that the kernels of each side take in a run, in turns, so that whatever slows the device slows both; undefined where
 * the time is too short or the device does not keep its rate.
 */
export async function compareSides(
  m: Measuring,
  sides: readonly [Side, Side],
): Promise<readonly [number, number] | undefined> {
  const samples: readonly [number[], number[]] = [[], []];
  for (let i = 0; i < turns; i++) {
    for (const j of i % 2 ? ([1, 0] as const) : ([0, 1] as const)) {
      if (m.now() > m.deadline) return undefined;
      const time = await timeOf(m, sides[j]);
      if (time === undefined) return undefined;
      samples[j].push(time);
    }
  }
  // Of whole runs at one rate the median, of kernels by themselves what nothing else slowed.
  const of = (list: readonly number[]): number => (m.clock.inRuns ? medianOf(list) : Math.min(...list));
  return [of(samples[0]), of(samples[1])];
}

async function timeOf(m: Measuring, { course, jobs }: Side): Promise<number | undefined> {
  course.fill(m.bench.filler);
  if (m.clock.inRuns) {
    const all = await timesOf(m, course.runs);
    const mean = ({ at }: Job): number => at.reduce((n, i) => n + ((all as number[])[i] as number), 0) / at.length;
    return all && jobs.reduce((n, job) => n + job.count * mean(job), 0);
  }
  const rows = jobs.map(({ at: [first] }) => ({ runs: [course.runs[first as number] as Runnable], times: repeated }));
  const all = await m.timer.time(rows, m);
  return jobs.reduce((n, job, i) => n + job.count * (all[i] as number), 0);
}

/** Is the other way taken from now on? */
export const pays = (now: number, then: number): boolean => then < margin * now;
