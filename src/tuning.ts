/** Tuning: which variants of kernels, and which fusions, are fastest on an adapter. */
import { fail } from "./base/diagnostic.ts";
import { compileGraph } from "./compiler.ts";
import { checkDims, type Dims } from "./frontend/dims.ts";
import { readOptions } from "./frontend/options.ts";
import type { Program } from "./program.ts";
import { describe } from "./runtime/describe.ts";
import { checkGpu, type Gpu } from "./runtime/gpu.ts";
import { checkOptions } from "./runtime/options.ts";
import { trialOf } from "./trial.ts";
import { mayJoin } from "./tune/adapter.ts";
import { type TuneOptions as RunOptions, runTuning, type Tuned } from "./tune/run.ts";
import { checkTuningTable } from "./tune/table.ts";

export type { AdapterIdentity, FusionChoice, KernelChoice, TuningTable } from "./manifest/tuning.ts";
export { identityOf, sameAdapter } from "./tune/adapter.ts";
export type { Tuned, TuneEvent } from "./tune/run.ts";
export { shippedTable } from "./tune/shipped.ts";
export { checkTuningTable, tuningTableToJson } from "./tune/table.ts";

/** Options of {@link tune}. */
export interface TuneOptions extends RunOptions {
  /** Sizes of named dims; one that is left out has its hint's size. */
  readonly dims?: Dims | undefined;
}

/**
 * Measures the variants of every kernel of a program on a device, and its fusions: the table says which are fastest there.
 * Everything runs on random data of its real shapes: on GPUs kernels are timed within runs of the program, elsewhere one by one.
 * A variant whose numbers are not those of the usual one is never chosen, nor one that wins by less than 3 %, nor what makes
 * the program as a whole slower. Works in browsers too.
 * @throws SinterError `bad-tuning-table`, also for the table of another adapter, and as {@link Program.load}
 */
export function tune(gpu: Gpu, program: Pick<Program, "bind" | "dims">, options: TuneOptions = {}): Promise<Tuned> {
  const { dims, ...o } = readOptions("tune", options, {
    ...{ dims: undefined, table: undefined, again: false, budget: 120, fusions: true },
    ...{ onProgress: undefined, signal: undefined, now: undefined, timer: undefined, clocked: undefined },
  });
  checkGpu("tune", gpu);
  if (!(typeof program === "object" && program !== null && "bind" in program)) {
    fail("bad-arguments", `tune takes a program, not ${describe(program)}`, {
      hint: "give what compile returned: tune(gpu, program)",
    });
  }
  checkOptions("tune", { signal: o.signal, onProgress: o.onProgress }, ["signal", "onProgress"]);
  if (!(o.budget > 0))
    fail("bad-option", `tune: budget cannot be ${o.budget}`, { hint: "give a number of seconds above 0" });
  if (o.table) {
    const { adapter } = checkTuningTable(o.table);
    if (!mayJoin(o.table, gpu)) {
      fail("bad-tuning-table", `tune: the table is of another adapter, ${adapter.vendor} ${adapter.architecture}`, {
        hint: "leave it out: a new one is begun",
      });
    }
  }
  const sizes = { ...Object.fromEntries(program.dims), ...checkDims(dims ?? {}, program.dims.keys()) };
  const graph = program.bind(sizes);
  return runTuning(
    gpu,
    {
      apart: (table) => trialOf(graph, gpu.capabilities, table),
      whole: (tuning) => compileGraph(graph, gpu.capabilities, { tuning }).manifest,
    },
    o,
  );
}
