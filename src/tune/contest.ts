import { margin } from "../fuse/measured.ts";
import type { KernelChoice } from "../manifest/tuning.ts";
import type { Course } from "./course.ts";
import type { Entrant, Measuring, Variant } from "./kernels.ts";
import type { Runnable } from "./timer.ts";

/** Batches of a variant's dispatches take about as long, in microseconds. */
const batch = 30_000;
const rounds = 5;
/** How many times as long as the best a variant may take to stay in, after it was timed once, and after twice. */
const near = { once: 2, twice: 1.25 };
/** Variants beside the usual one that are timed to the end. */
const finalists = 5;
/** How often they are timed, and how often the usual one and the winner. */
const turns = { finalists: 5, last: 8 };

/**
 * Which variant of each kernel is the fastest, by signature. A winner takes less than 97 % of the usual one's time. Nothing is
 * said of kernels for which the time was too short or the device did not keep its rate.
 */
export async function contest(
  m: Measuring,
  course: Course,
  entrants: readonly Entrant[],
): Promise<ReadonlyMap<string, KernelChoice>> {
  const out = new Map<string, KernelChoice>();
  if (!m.clock.inRuns) {
    for (const e of entrants) {
      await m.clock.settle(m);
      const choice = await alone(m, course, e);
      if (choice) out.set(e.job.signature, choice);
    }
    return out;
  }
  return (await together(m, course, entrants)) ?? out;
}

const bestOf = (v: Variant): number => Math.min(...v.samples);

/** Microseconds of one sample and another, so that neither a slow one nor a lucky one counts. */
export function medianOf(list: readonly number[]): number {
  const sorted = list.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/**
 * All kernels at once, where they run in the program: each run times some variant of every kernel, so that all are measured with
 * what is in the caches there.
 */
async function together(
  m: Measuring,
  course: Course,
  entrants: readonly Entrant[],
): Promise<Map<string, KernelChoice> | undefined> {
  let left = new Map(entrants.map((e) => [e, e.variants]));
  const within = (times: number) => (e: Entrant, list: readonly Variant[]) => {
    const least = Math.min(...list.map(bestOf));
    return list.filter((v) => v === e.variants[0] || bestOf(v) <= times * least);
  };
  const keep = (choose: (e: Entrant, list: readonly Variant[]) => readonly Variant[]): void => {
    left = new Map([...left].map(([e, list]) => [e, choose(e, list)]));
  };
  if (!(await round(m, course, left, 1))) return undefined;
  keep(within(near.once));
  if (!(await round(m, course, left, 1))) return undefined;
  keep(within(near.twice));
  keep((e, list) => {
    const [usual] = e.variants as [Variant];
    const others = list.filter((v) => v !== usual).toSorted((a, b) => bestOf(a) - bestOf(b));
    return [usual, ...others.slice(0, finalists)];
  });
  if (!(await again(m, course, left, turns.finalists))) return undefined;
  keep((e, list) => {
    const winner = list.reduce((a, b) => (medianOf(b.samples) < medianOf(a.samples) ? b : a));
    return winner === e.variants[0] ? [winner] : [e.variants[0] as Variant, winner];
  });
  // The best of many had luck besides: it has to win again.
  if (!(await again(m, course, left, turns.last))) return undefined;
  return new Map([...left].map(([e, list]) => [e.job.signature, chosen(list, medianOf)]));
}

function chosen(list: readonly Variant[], of: (samples: readonly number[]) => number): KernelChoice {
  const [usual, winner = usual] = list as [Variant, Variant?];
  const [time, usualTime] = [of(winner.samples), of(usual.samples)];
  const wins = time < margin * usualTime;
  return {
    ...{ variant: (wins ? winner : usual).name, time: rounded(wins ? time : usualTime) },
    ...{ usual: usual.name, usualTime: rounded(usualTime) },
  };
}

/** Times all variants of kernels, in turns; false where the time was too short or the device did not keep its rate. */
export async function timeAll(m: Measuring, course: Course, entrants: readonly Entrant[]): Promise<boolean> {
  if (m.clock.inRuns) return again(m, course, new Map(entrants.map((e) => [e, e.variants])), turns.finalists);
  for (const { job, variants } of entrants) {
    await m.clock.settle(m);
    await race(m, course, job.at[0] as number, variants, batch / 4, 4);
  }
  return true;
}

type Left = ReadonlyMap<Entrant, readonly Variant[]>;

function again(m: Measuring, course: Course, left: Left, times: number): Promise<boolean> {
  for (const list of left.values()) for (const v of list) v.samples = [];
  return round(m, course, left, times);
}

/** Runs the program until each variant was timed as often as is asked for; false where that cannot be. */
async function round(m: Measuring, course: Course, left: Left, times: number): Promise<boolean> {
  const most = Math.max(1, ...[...left.values()].map((list) => list.length));
  course.fill(m.bench.filler);
  for (let r = 0; r < times * most; r++) {
    if (m.now() > m.deadline) return false;
    const runs: Runnable[] = [...course.runs];
    // Not the first of each kernel together, nor the second.
    const picked = [...left].map(([{ job }, list], j) => [job, list[(r + j) % list.length] as Variant] as const);
    for (const [{ at }, { pipeline, workgroups }] of picked)
      for (const i of at) runs[i] = { ...(runs[i] as Runnable), pipeline, workgroups };
    const all = await timesOf(m, runs);
    if (!all) return false;
    for (const [{ at }, v] of picked) v.samples.push(at.reduce((n, i) => n + (all[i] as number), 0) / at.length);
  }
  return true;
}

/**
 * Microseconds of each dispatch of a run, one compute pass each, less what a pass takes in which nothing is done; undefined where
 * the device does not keep its rate.
 */
export async function timesOf(m: Measuring, runs: readonly Runnable[]): Promise<readonly number[] | undefined> {
  const [first] = runs as [Runnable];
  const list = [...runs, { ...first, workgroups: [0, 0, 0] as const }].map((run) => ({ runs: [run], times: 1 }));
  const all = await m.clock.time(list, m);
  if (!all) return undefined;
  const nothing = all.at(-1) as number;
  return all.slice(0, -1).map((t) => Math.max(t / 2, t - nothing));
}

/** One kernel by itself, many dispatches in a row: where whole runs take long, or cannot be timed dispatch by dispatch. */
async function alone(m: Measuring, course: Course, { job, variants }: Entrant): Promise<KernelChoice | undefined> {
  const [first] = variants as [Variant];
  const likely = await race(m, course, job.at[0] as number, variants, batch / 4, 2);
  const contenders = likely.filter((v, i) => i === 0 || bestOf(v) < 1.3 * bestOf(likely[0] as Variant));
  const last = [first, ...contenders.filter((v) => v !== first).slice(0, finalists)];
  await race(m, course, job.at[0] as number, last, batch, rounds);
  const winner = last.reduce((a, b) => (bestOf(b) < bestOf(a) ? b : a));
  if (winner !== first) await race(m, course, job.at[0] as number, [first, winner], batch, rounds);
  // Half a measurement is none.
  if (m.now() > m.deadline) return undefined;
  return chosen(winner === first ? [first] : [first, winner], (samples) => Math.min(...samples));
}

/** Times variants in turns, so that a change of other load meets all; sorts them by their best time. */
async function race(
  m: Measuring,
  course: Course,
  at: number,
  variants: readonly Variant[],
  each: number,
  times: number,
): Promise<Variant[]> {
  const { group } = course.runs[at] as Runnable;
  for (let i = 0; i < times && (i === 0 || m.now() < m.deadline); i++) {
    // Each is the first of a round in its turn.
    const turn = variants.map((_, j) => variants[(i + j) % variants.length] as Variant);
    const now = await m.timer.time(
      turn.map(({ pipeline, workgroups, samples }) => ({
        ...{
          runs: [{ pipeline, group, workgroups }],
          times: repeats(each, samples.at(-1) ?? Number.POSITIVE_INFINITY),
        },
      })),
      m,
    );
    for (const [j, v] of turn.entries()) v.samples.push(now[j] as number);
  }
  return variants.toSorted((a, b) => bestOf(a) - bestOf(b));
}

const repeats = (each: number, time: number): number =>
  Number.isFinite(time) ? Math.max(1, Math.min(2000, Math.round(each / Math.max(time, 0.5)))) : 1;

const rounded = (t: number): number => Number(t.toPrecision(4));
