import { margin } from "../fuse/measured.ts";
import type { FusionChoice, KernelChoice, TuningTable } from "../manifest/tuning.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { featuresOf, identityOf } from "./adapter.ts";
import { Filler } from "./fill.ts";
import { differenceOf, otherwise, type Trial } from "./fusions.ts";
import { compareVariants, type Job, jobsOf, type Measuring, tuneKernel } from "./kernels.ts";
import { emptyTable } from "./table.ts";
import { openTimer, type Timer } from "./timer.ts";

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
}

/** What tuning found. */
export interface Tuned {
  readonly table: TuningTable;
  /** Kernels and fusions measured this time. */
  readonly measured: number;
  /** Whether the time was over before all was measured. */
  readonly stopped: boolean;
}

/** Tunes what `compile` makes of a program with a table: its kernels, then its fusions. */
export async function runTuning(
  gpu: Gpu,
  compile: (table: TuningTable) => Trial,
  options: TuneOptions,
): Promise<Tuned> {
  const now = options.now ?? (() => performance.now());
  const own = { filler: new Filler(gpu), timer: options.timer ?? (await openTimer(gpu, options)) };
  const m: Measuring = { gpu, ...own, now, deadline: now() + 1000 * (options.budget ?? 120), signal: options.signal };
  const tuner = new Tuner(m, options);
  try {
    let trial = compile(tuner.table);
    const stopped = !(await tuner.kernels(jobsOf(trial.bound)));
    if (stopped || options.fusions === false) return { table: tuner.table, measured: tuner.measured, stopped };
    const names = [...trial.fusions.keys()].filter((n) => options.again || !Object.hasOwn(tuner.table.fusions, n));
    for (const [i, name] of names.entries()) {
      if (now() > m.deadline) return { table: tuner.table, measured: tuner.measured, stopped: true };
      const fused = trial.fusions.get(name);
      // What was decided before may have left nothing to decide.
      if (fused !== undefined && (await tuner.fusion(name, fused, trial, compile, [i + 1, names.length])))
        trial = compile(tuner.table);
    }
    return { table: tuner.table, measured: tuner.measured, stopped: now() > m.deadline };
  } finally {
    own.filler.dispose();
    if (!options.timer) own.timer.dispose();
  }
}

/** How often the kernels of a fusion made and not made are timed in turns. */
const turns = 2;

class Tuner {
  table: TuningTable;
  measured = 0;
  readonly #m: Measuring;
  readonly #options: TuneOptions;

  constructor(m: Measuring, options: TuneOptions) {
    this.#m = m;
    this.#options = options;
    this.table = options.table ?? emptyTable(identityOf(m.gpu), featuresOf(m.gpu));
  }

  /** Tunes those that the table lacks; false where the time was over before. */
  async kernels(jobs: readonly Job[], again = this.#options.again === true): Promise<boolean> {
    const missing = jobs.filter((j) => again || !Object.hasOwn(this.table.kernels, j.signature));
    for (const [i, job] of missing.entries()) {
      if (this.#m.now() > this.#m.deadline) return false;
      const choice = await tuneKernel(this.#m, job);
      if (!choice) continue;
      const { kernels } = this.table;
      this.table = { ...this.table, kernels: { ...kernels, [job.signature]: choice } };
      await this.#tell({ kind: "kernel", name: job.signature, choice, done: i + 1, of: missing.length });
    }
    return true;
  }

  /** Measures a fusion made and not made; true where the other way is taken from now on. */
  async fusion(
    name: string,
    fused: boolean,
    trial: Trial,
    compile: (table: TuningTable) => Trial,
    [done, of]: readonly [number, number],
  ): Promise<boolean> {
    const other = compile(otherwise(this.table, name, fused));
    const { gone, come } = differenceOf(trial, other);
    if (gone.length + come.length === 0 || !(await this.kernels(come, false))) return false;
    const [now, then] = await this.#compare(gone, come);
    if (this.#m.now() > this.#m.deadline) return false;
    const choice = fused ? { fused: now, apart: then } : { fused: then, apart: now };
    this.table = { ...this.table, fusions: { ...this.table.fusions, [name]: choice } };
    await this.#tell({ kind: "fusion", name, choice, done, of });
    return then < margin * now;
  }

  /** Microseconds of the ones and of the others, in turns, so that a change of the clock or of other load meets both. */
  async #compare(a: readonly Job[], b: readonly Job[]): Promise<readonly [number, number]> {
    const best = new Map<Job, number>();
    for (let round = 0; round < turns; round++) {
      for (const job of [...a, ...b]) {
        if (round > 0 && this.#m.now() > this.#m.deadline) break;
        const [timed] = await compareVariants(this.#m, job, [this.table.kernels[job.signature]?.variant]);
        const time = (timed as { readonly best: number }).best;
        best.set(job, Math.min(time, best.get(job) ?? time));
      }
    }
    const sum = (jobs: readonly Job[]): number =>
      Number(jobs.reduce((n, job) => n + job.count * (best.get(job) as number), 0).toPrecision(4));
    return [sum(a), sum(b)];
  }

  async #tell(event: Omit<TuneEvent, "table">): Promise<void> {
    this.measured++;
    await this.#options.onProgress?.({ ...event, table: this.table });
  }
}
