import type { KernelChoice, TuningTable } from "../manifest/tuning.ts";
import { medianOf } from "./contest.ts";
import type { Course } from "./course.ts";
import { jobsOf, type Measuring } from "./kernels.ts";
import type { Subject } from "./run.ts";

/** One thing that a table decides of a program otherwise than is usual, and the microseconds that a run should gain by it. */
export interface Decision {
  readonly kind: "kernels" | "fusions";
  readonly name: string;
  readonly gain: number;
}

/** What a table decides of a program otherwise than is usual, what gains most first. */
export function decisionsOf({ apart }: Subject, table: TuningTable): readonly Decision[] {
  const { bound, fusions } = apart(table);
  const usual = apart({ ...table, kernels: {}, fusions: {} }).fusions;
  const kernels = jobsOf(bound).flatMap(({ signature: name, count }): Decision[] => {
    const k = Object.hasOwn(table.kernels, name) ? table.kernels[name] : undefined;
    return k && k.variant !== k.usual ? [{ kind: "kernels", name, gain: count * (k.usualTime - k.time) }] : [];
  });
  const turned = [...fusions].flatMap(([name, made]): Decision[] => {
    const f = Object.hasOwn(table.fusions, name) ? table.fusions[name] : undefined;
    const gain = f ? Math.abs(f.apart - f.fused) : 0;
    return f && usual.get(name) !== made ? [{ kind: "fusions", name, gain }] : [];
  });
  return [...kernels, ...turned].sort((x, y) => y.gain - x.gain);
}

/** A kernel's choice that leaves things as they are. */
const asUsual = (k: KernelChoice): KernelChoice => ({ ...k, variant: k.usual, time: k.usualTime });

/** The table with these decisions taken back. */
export function without(table: TuningTable, decisions: readonly Decision[]): TuningTable {
  const names = (kind: Decision["kind"]) => new Set(decisions.flatMap((d) => (d.kind === kind ? [d.name] : [])));
  const [kernels, fusions] = [names("kernels"), names("fusions")];
  return {
    ...table,
    kernels: Object.fromEntries(
      Object.entries(table.kernels).map(([name, k]) => [name, kernels.has(name) ? asUsual(k) : k]),
    ),
    fusions: Object.fromEntries(Object.entries(table.fusions).filter(([name]) => !fusions.has(name))),
  };
}

/** What part of a run a decision has to be worth to be looked at by itself: less cannot be seen. */
const visible = 0.0005;
/** What part of the gains of kernels one by one the whole has to gain for all of them to be kept unseen. */
const enough = 0.6;

/**
 * The decisions that make a program faster as it is run: all where they gain about what they should together, else those that
 * gain something one after the other. `load` compiles and loads the program by a table. Undefined where the device does not keep
 * its rate.
 */
export async function worthwhile(
  m: Measuring,
  table: TuningTable,
  decisions: readonly Decision[],
  load: (table: TuningTable) => Promise<Course>,
): Promise<readonly Decision[] | undefined> {
  const claimed = decisions.reduce((n, d) => n + d.gain, 0);
  const keeping = (kept: readonly Decision[]): Promise<Course> =>
    load(
      without(
        table,
        decisions.filter((d) => !kept.includes(d)),
      ),
    );
  const open: Course[] = [];
  const opened = async (course: Promise<Course>): Promise<Course> => {
    open.push(await course);
    return course;
  };
  const close = (course: Course): void => {
    open.splice(open.indexOf(course), 1);
    course.release();
  };
  try {
    let best = await opened(keeping([]));
    const all = await opened(keeping(decisions));
    const whole = await gainOf(m, [best, all]);
    if (!whole) return undefined;
    if (whole.gain >= enough * claimed || (whole.gain >= 0 && claimed < visible * whole.time)) return decisions;
    let kept: readonly Decision[] = [];
    const large = decisions.filter((d) => d.gain >= visible * whole.time);
    const small = decisions.filter((d) => !large.includes(d));
    for (const [i, some] of [...large.map((d) => [d]), small].entries()) {
      if (some.length === 0 || m.now() > m.deadline) continue;
      const course = await opened(keeping([...kept, ...some]));
      const found = await gainOf(m, [best, course]);
      // What is too small to be seen must not be seen to lose.
      const wins = found !== undefined && (i < large.length ? found.gain > 0 : found.gain >= 0);
      if (wins) kept = [...kept, ...some];
      close(wins ? best : course);
      if (wins) best = course;
    }
    const last = await gainOf(m, [best, all]);
    return last && last.gain > 0 ? decisions : kept;
  } finally {
    for (const course of open) course.release();
  }
}

/** How often two whole programs are timed, in turns. */
const turns = 12;
/** Standard errors from which on a difference is one. */
const errors = 3;

/** Microseconds that whole runs of two programs take, in turns, one compute pass each; undefined where the device does not keep its rate. */
async function timesOfBoth(
  m: Measuring,
  courses: readonly [Course, Course],
): Promise<readonly [readonly number[], readonly number[]] | undefined> {
  const samples: readonly [number[], number[]] = [[], []];
  for (let i = 0; i < turns; i++) {
    for (const j of i % 2 ? ([1, 0] as const) : ([0, 1] as const)) {
      const course = courses[j];
      course.fill(m.bench.filler);
      const rows = [{ runs: course.runs, times: 1 }];
      const times = await m.clock.time(rows, m);
      if (!times) return undefined;
      samples[j].push(times[0] as number);
    }
  }
  return samples;
}

/** Microseconds that the first program takes, as it is run, and that the second takes less; 0 where that is lost in noise. */
export async function gainOf(
  m: Measuring,
  courses: readonly [Course, Course],
): Promise<{ readonly time: number; readonly gain: number } | undefined> {
  const both = await timesOfBoth(m, courses);
  if (!both) return undefined;
  const gains = both[0].map((t, i) => t - (both[1][i] as number));
  const gain = medianOf(gains);
  // Of a median, by the median of the distances from it.
  const error = (1.86 * medianOf(gains.map((g) => Math.abs(g - gain)))) / Math.sqrt(turns);
  return { time: medianOf(both[0]), gain: Math.abs(gain) > errors * error ? gain : 0 };
}
