import { SinterError } from "../base/diagnostic.ts";
import type { Manifest } from "../manifest/manifest.ts";
import type { FusionChoice, KernelChoice, TuningTable } from "../manifest/tuning.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { featuresOf, identityOf } from "./adapter.ts";
import { Clock } from "./clock.ts";
import { contest } from "./contest.ts";
import { Course } from "./course.ts";
import { compareSides, differenceOf, otherwise, pays, type Trial } from "./fusions.ts";
import { type Job, jobsOf, type Measuring, prepare } from "./kernels.ts";
import { emptyTable } from "./table.ts";
import { openTimer, type Timer } from "./timer.ts";
import { decisionsOf, gainOf, without, worthwhile } from "./whole.ts";
import { Workbench } from "./workbench.ts";

/** What was measured last, and what there is to measure. */
export interface TuneEvent {
  readonly kind: "kernel" | "fusion";
  readonly name: string;
  readonly choice: KernelChoice | FusionChoice;
  /** Kernels or fusions done, of how many. */
  readonly done: number;
  readonly of: number;
  /** The table so far, to be stored: tuning goes on from it. */
  readonly table: TuningTable;
}

/** Options of {@link tune}. */
export interface TuneOptions {
  /** What is known already and is kept: tuning goes on from there. */
  readonly table?: TuningTable | undefined;
  /** Measure again what the table has. */
  readonly again?: boolean | undefined;
  /** Seconds after which no further kernel is begun. Default 120. */
  readonly budget?: number | undefined;
  /** Try fusions the other way too. Default true. */
  readonly fusions?: boolean | undefined;
  /** Called after each kernel and fusion; what it returns is waited for. */
  readonly onProgress?: ((event: TuneEvent) => void | Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** @internal */
  readonly now?: (() => number) | undefined;
  /** @internal */
  readonly timer?: Timer | undefined;
  /** @internal Whether to measure as on devices whose rate changes. */
  readonly clocked?: boolean | undefined;
}

/** What tuning found. */
export interface Tuned {
  readonly table: TuningTable;
  /** Kernels and fusions measured this time. */
  readonly measured: number;
  /** Whether the time was over before all was measured. */
  readonly stopped: boolean;
  /** Choices that were taken back, because the program as a whole got no faster by them. */
  readonly withdrawn: number;
}

/** How a program is compiled by a table: each kernel a dispatch of its own, and as it is run. */
export interface Subject {
  apart(table: TuningTable): Trial;
  whole(table: TuningTable): Manifest;
}

/** Tunes a program: its kernels, then its fusions; then it must not have become slower. */
export async function runTuning(gpu: Gpu, subject: Subject, options: TuneOptions): Promise<Tuned> {
  const now = options.now ?? (() => performance.now());
  const timer = options.timer ?? (await openTimer(gpu, options));
  const clock = new Clock({ gpu, timer, now, clocked: options.clocked });
  const bench = new Workbench(gpu);
  const deadline = now() + 1000 * (options.budget ?? 120);
  const tuner = new Tuner({ gpu, bench, timer, clock, now, deadline, signal: options.signal }, subject, options);
  try {
    const stopped = !(await tuner.all());
    const { table, measured, withdrawn } = tuner;
    return { table, measured, stopped: stopped || now() > deadline, withdrawn };
  } finally {
    bench.dispose();
    clock.dispose();
    if (!options.timer) timer.dispose();
    gpu.trim();
  }
}

/** Kernels that are measured in the same runs: their variants are compiled before, and a table is stored after them. */
const together = 12;

/** A compilation that is loaded. */
interface Loaded {
  readonly trial: Trial;
  readonly course: Course;
}

class Tuner {
  table: TuningTable;
  measured = 0;
  withdrawn = 0;
  readonly #m: Measuring;
  readonly #subject: Subject;
  readonly #options: TuneOptions;

  constructor(m: Measuring, subject: Subject, options: TuneOptions) {
    this.#m = m;
    this.#subject = subject;
    this.#options = options;
    this.table = options.table ?? emptyTable(identityOf(m.gpu), featuresOf(m.gpu));
  }

  get #over(): boolean {
    return this.#m.now() > this.#m.deadline;
  }

  /** False where the time was over before. */
  async all(): Promise<boolean> {
    const trial = this.#subject.apart(this.table);
    const jobs = jobsOf(trial.bound);
    const asked = this.#options.fusions !== false;
    if (this.#missing(jobs).length > 0) {
      const done = await this.#with(trial, ({ course }) => this.#kernels(jobs, course));
      if (!done) return false;
    }
    if (asked && !(await this.#fusions())) return false;
    await this.#check();
    return true;
  }

  async #with<T>(trial: Trial, use: (loaded: Loaded) => Promise<T>): Promise<T> {
    const course = await Course.load(this.#m.gpu, trial.manifest, this.#m);
    try {
      return await use({ trial, course });
    } finally {
      course.release();
    }
  }

  #missing(jobs: readonly Job[], again = this.#options.again === true): readonly Job[] {
    return jobs.filter((j) => again || !Object.hasOwn(this.table.kernels, j.signature));
  }

  /** Tunes those that the table lacks; false where the time was over before. */
  async #kernels(jobs: readonly Job[], course: Course, again?: boolean): Promise<boolean> {
    const missing = this.#missing(jobs, again);
    const size = this.#m.clock.inRuns ? together : 1;
    for (let i = 0; i < missing.length; i += size) {
      if (this.#over) return false;
      const some = missing.slice(i, i + size);
      const entrants = await prepare(this.#m, course, some);
      const choices = entrants.length > 0 ? await contest(this.#m, course, entrants) : new Map<string, KernelChoice>();
      for (const [j, { signature }] of some.entries()) {
        const choice = choices.get(signature);
        if (!choice) continue;
        this.table = { ...this.table, kernels: { ...this.table.kernels, [signature]: choice } };
        await this.#tell({ kind: "kernel", name: signature, choice, done: i + j + 1, of: missing.length });
      }
    }
    return true;
  }

  async #fusions(): Promise<boolean> {
    let trial = this.#subject.apart(this.table);
    const names = [...trial.fusions.keys()].filter((n) => this.#options.again || !Object.hasOwn(this.table.fusions, n));
    // What was decided before may have left nothing to decide.
    for (let i = 0; i < names.length; ) {
      const turned = await this.#with(trial, async (now) => {
        for (; i < names.length; i++) {
          if (this.#over) return undefined;
          const name = names[i] as string;
          const fused = trial.fusions.get(name);
          if (fused === undefined || !(await this.#fusion(name, fused, now, [i + 1, names.length]))) continue;
          i++;
          return true;
        }
        return false;
      });
      if (turned === undefined) return false;
      if (turned) trial = this.#subject.apart(this.table);
    }
    return true;
  }

  /** Measures a fusion made and not made; true where the other way is taken from now on. */
  async #fusion(
    name: string,
    fused: boolean,
    { trial, course }: Loaded,
    [done, of]: readonly [number, number],
  ): Promise<boolean> {
    const turned = (): Trial => this.#subject.apart(otherwise(this.table, name, fused));
    const first = turned();
    const { gone, come } = differenceOf(trial, first);
    if (gone.length + come.length === 0) return false;
    const times = await this.#unlessFull(async () => {
      if (this.#missing(come, false).length > 0) {
        const known = await this.#with(first, (other) => this.#kernels(come, other.course, false));
        if (!known) return undefined;
      }
      const second = turned();
      const { gone: without, come: instead } = differenceOf(trial, second);
      const both = await this.#with(second, (other) =>
        compareSides(this.#m, [
          { course, jobs: without },
          { course: other.course, jobs: instead },
        ]),
      );
      return both && this.#m.clock.inRuns ? this.#whole(both, name, fused) : both;
    });
    if (!times || this.#over) return false;
    const [now, then] = times.map((t) => Number(t.toPrecision(4))) as [number, number];
    const choice = fused ? { fused: now, apart: then } : { fused: then, apart: now };
    this.table = { ...this.table, fusions: { ...this.table.fusions, [name]: choice } };
    await this.#tell({ kind: "fusion", name, choice, done, of });
    return pays(now, then);
  }

  /**
   * What kernels take one by one says little of what they take together: the difference is that of the programs as they are run, and
   * where there is none, both take what the slower way was found to take.
   */
  async #whole(
    both: readonly [number, number],
    name: string,
    fused: boolean,
  ): Promise<readonly [number, number] | undefined> {
    const { gpu } = this.#m;
    const usual = await Course.load(gpu, this.#subject.whole(this.table), this.#m);
    try {
      const other = await Course.load(gpu, this.#subject.whole(otherwise(this.table, name, fused)), this.#m);
      try {
        const found = await gainOf(this.#m, [usual, other]);
        const [now, least] = [Math.max(...both), Math.min(...both) / 10];
        return found && [now, Math.max(least, now - found.gain)];
      } finally {
        other.release();
      }
    } finally {
      usual.release();
    }
  }

  /** What kernels take one by one is not all: what does not make the program faster as it is run is taken back. */
  async #check(): Promise<void> {
    if (!this.#m.clock.inRuns || this.#over) return;
    const decisions = decisionsOf(this.#subject, this.table);
    if (decisions.length === 0) return;
    const load = (table: TuningTable): Promise<Course> => Course.load(this.#m.gpu, this.#subject.whole(table), this.#m);
    const kept = await this.#unlessFull(() => worthwhile(this.#m, this.table, decisions, load));
    const lost = decisions.filter((d) => kept && !kept.includes(d));
    this.withdrawn = lost.length;
    this.table = without(this.table, lost);
  }

  /** Undefined where the device has not enough memory for two compilations at a time. */
  async #unlessFull<T>(measure: () => Promise<T>): Promise<T | undefined> {
    try {
      return await measure();
    } catch (e) {
      if (e instanceof SinterError && e.code === "out-of-memory") return undefined;
      throw e;
    }
  }

  async #tell(event: Omit<TuneEvent, "table">): Promise<void> {
    this.measured++;
    await this.#options.onProgress?.({ ...event, table: this.table });
  }
}
