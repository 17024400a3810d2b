import { checkSession } from "./check-session.ts";
import { copySpeed } from "./copy-speed.ts";
import type { WaitOptions } from "./gpu.ts";
import { bindInputs, type InputValue } from "./inputs.ts";
import { makeCall, startCalls } from "./run.ts";
import type { Session } from "./session.ts";
import type { Step } from "./storage.ts";
import { type Stamp, Stopwatch } from "./timestamps.ts";
import { bytesOf } from "./values.ts";

/** GPU time of one dispatch. */
export interface DispatchTime {
  readonly kernel: string;
  readonly place: string | undefined;
  readonly workgroups: readonly [number, number, number];
  /** Median over the runs. */
  readonly microseconds: number;
}

/** Options of {@link profile}. */
export interface ProfileOptions extends WaitOptions {
  /** How often the program runs, state and all. Default 5. */
  readonly runs?: number | undefined;
}

/** @internal When the parts of one run took place, in milliseconds of `performance.now()`. */
export interface RunTimes {
  readonly began: number;
  /** Encoded and submitted. */
  readonly submitted: number;
  /** The device is done with it, as far as the CPU knows. */
  readonly done: number;
  /** Its timestamps are on the CPU, and small results. */
  readonly read: number;
  /** One for each pass; GPU clock. */
  readonly stamps: readonly Stamp[];
}

/** @internal */
export interface Profiled {
  /** By dispatch of the manifest, nanoseconds of each run; undefined for dispatches without workgroups. */
  readonly times: readonly (readonly number[] | undefined)[];
  /** Nanoseconds of whole runs, all dispatches in one pass. */
  readonly whole: readonly number[];
  readonly runs: readonly RunTimes[];
  /** Bytes a second that a copy reads and writes. */
  readonly copySpeed: number;
}

/**
 * GPU time of every dispatch of a program, by timestamps around one compute pass each: passes of their own cost some
 * time between dispatches, which is not counted. Fails with `no-timestamps` where the device cannot.
 */
export async function profile(
  session: Session,
  inputs: Readonly<Record<string, InputValue>> = {},
  options: ProfileOptions = {},
): Promise<DispatchTime[]> {
  checkSession("profile", session, "loaded");
  const steps = session.loaded.storage.steps.filter(hasWork);
  const watch = await Stopwatch.open(session.gpu, steps.length, options);
  try {
    if (steps.length === 0) return [];
    const runs = await repeat(countOf(options), () => timeRun(session, inputs, watch, each(steps), options));
    return steps.map((s, i) => ({
      kernel: s.pipeline.kernel.label,
      place: s.pipeline.kernel.place,
      workgroups: s.workgroups,
      microseconds: middle(runs.map((r) => lasted(r.stamps[i] as Stamp))) / 1000,
    }));
  } finally {
    watch.dispose();
  }
}

/** @internal All that a report needs: runs with a pass for each dispatch, runs in one pass, and the speed of a copy. */
export async function profileRuns(
  session: Session,
  inputs: Readonly<Record<string, InputValue>>,
  options: ProfileOptions,
): Promise<Profiled> {
  const { steps } = session.loaded.storage;
  const busy = steps.filter(hasWork);
  const watch = await Stopwatch.open(session.gpu, busy.length, options);
  try {
    const speed = await copySpeed(session.gpu, options);
    // The first run of each kind may meet caches that are cold.
    await timeRun(session, inputs, watch, each(busy), options);
    const runs = await repeat(countOf(options), () => timeRun(session, inputs, watch, each(busy), options));
    const whole = await repeat(countOf(options), () => timeRun(session, inputs, watch, [busy], options));
    const index = new Map(busy.map((s, i) => [s, i]));
    return {
      times: steps.map((s) => {
        const i = index.get(s);
        return i === undefined ? undefined : runs.map((r) => lasted(r.stamps[i] as Stamp));
      }),
      whole: whole.map((r) => lasted(r.stamps[0] as Stamp)),
      runs,
      copySpeed: speed,
    };
  } finally {
    watch.dispose();
  }
}

/** @internal GPU time of whole runs in nanoseconds, each in one pass; the first run is not counted. */
export async function passTimes(
  session: Session,
  inputs: Readonly<Record<string, InputValue>>,
  options: ProfileOptions,
): Promise<number[]> {
  const watch = await Stopwatch.open(session.gpu, 1, options);
  try {
    const run = () => timeRun(session, inputs, watch, [session.loaded.storage.steps], options);
    const [, ...runs] = await repeat(countOf(options) + 1, run);
    return runs.map((r) => lasted(r.stamps[0] as Stamp));
  } finally {
    watch.dispose();
  }
}

const hasWork = (s: Step): boolean => !s.workgroups.includes(0);
const each = (steps: readonly Step[]): Step[][] => steps.map((s) => [s]);
const lasted = (s: Stamp): number => s.end - s.begin;
const countOf = ({ runs }: ProfileOptions): number => Math.max(1, runs ?? 5);

/** The median; the upper one of two. */
function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

async function repeat<T>(count: number, body: () => Promise<T>): Promise<T[]> {
  const out: T[] = [];
  for (let i = 0; i < count; i++) out.push(await body());
  return out;
}

/** Bytes of results that a timed run reads back: a loss, not a table of logits. */
const mostRead = 2 ** 16;

/** One run with a timed pass for each group of dispatches. */
async function timeRun(
  session: Session,
  inputs: Readonly<Record<string, InputValue>>,
  watch: Stopwatch,
  groups: readonly (readonly Step[])[],
  options: WaitOptions,
): Promise<RunTimes> {
  const { gpu } = session;
  const { epoch } = gpu;
  const { rebindable } = session.loaded.storage;
  const began = performance.now();
  const call = makeCall(session, bindInputs(gpu, "input", session.inputs, inputs, rebindable));
  const read = session.outputs.reduce((n, port) => n + bytesOf(port), 0) <= mostRead;
  const [results] = await startCalls(gpu, [call], { signal: options.signal, read, passes: watch.passes(groups) });
  const submitted = performance.now();
  await gpu.idle({ signal: options.signal });
  const done = performance.now();
  const stamps = await watch.read(options);
  for (const tensor of Object.values(results!)) {
    if (read) await tensor.data({ signal: options.signal });
    tensor.dispose();
  }
  const error = gpu.errorSince(epoch);
  if (error) throw error;
  return { began, submitted, done, read: performance.now(), stamps };
}
