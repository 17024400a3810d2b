import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { fail, SinterError } from "../../../src/base/diagnostic.ts";
import type { TuningTable } from "../../../src/manifest/tuning.ts";
import { openDevice } from "../../../src/node/device.ts";
import type { Gpu } from "../../../src/runtime/gpu.ts";
import { mayJoin } from "../../../src/tune/adapter.ts";
import { checkTuningTable, identityOf, type Tuned, tune, tuningTableToJson } from "../../../src/tuning.ts";
import { type CommandModule, type Context, exit, misused, textOption } from "../context.ts";
import { checkNames, ownDims } from "../explanation.ts";
import { type Target, targetsOf } from "../tune-targets.ts";
import { parseDims } from "./explain.ts";

const defaultFile = "sinter-tuning.json";
const defaultBudget = 300;

export const run: CommandModule["run"] = async (context) => {
  const { terminal, options } = context;
  const dims = parseDims(context);
  const budget = secondsOf(context);
  const file = fileOf(context);
  const targets = await targetsOf(context);
  checkNames(
    dims,
    targets.flatMap(({ program }) => [...program.dims.keys()]),
  );
  const adapter = textOption(context, "adapter");
  const gpu = await openDevice({ tuning: "off", ...(adapter ? { adapter } : {}) });
  try {
    let table = stored(file, gpu);
    const deadline = performance.now() + 1000 * budget;
    const done: { readonly name: string; readonly tuned: Tuned }[] = [];
    for (const { name, program } of targets) {
      const left = (deadline - performance.now()) / 1000;
      if (left <= 0) break;
      terminal.progress(`${name}: compiling`);
      const tuned = await tune(gpu, program, {
        ...{ table, budget: left, again: options.again === true, fusions: options.fusions !== false },
        dims: ownDims(program, dims),
        onProgress: (e) => {
          write(file, e.table);
          terminal.progress(`${name}: ${e.kind} ${e.done} of ${e.of}, ${e.name}`);
        },
      });
      ({ table } = tuned);
      done.push({ name, tuned });
      terminal.settle();
      terminal.say(`${name}: ${tuned.measured} measured${outcomeOf(tuned)}`);
    }
    const all = table ?? stored(file, gpu);
    if (all) write(file, all);
    const complete = done.length === targets.length && done.every((d) => !d.tuned.stopped);
    report(context, { file, gpu, table: all, done, complete, targets });
    return exit.ok;
  } finally {
    gpu.dispose();
  }
};

const outcomeOf = ({ withdrawn, stopped }: Tuned): string =>
  `${withdrawn ? `, ${withdrawn} taken back` : ""}${stopped ? ", out of time" : ""}`;

function secondsOf(context: Context): number {
  const text = textOption(context, "budget");
  if (text === undefined) return defaultBudget;
  const seconds = Number(text);
  if (!(seconds > 0))
    misused("bad-usage", `--budget is ${JSON.stringify(text)}`, { hint: "give seconds: --budget 60" });
  return seconds;
}

/** The file to write: no folder, and in a folder that there is. */
function fileOf(context: Context): string {
  const name = textOption(context, "out") ?? defaultFile;
  const file = resolve(context.cwd, name);
  const isFolder = (path: string): boolean => existsSync(path) && statSync(path).isDirectory();
  if (isFolder(file)) {
    misused("bad-usage", `${name} is a folder, and --out takes a file`, {
      hint: `name a file in it: --out ${relative(context.cwd, resolve(file, defaultFile))}`,
    });
  }
  const folder = dirname(file);
  if (!isFolder(folder)) {
    misused("bad-usage", `${name} cannot be written: there is no folder ${relative(context.cwd, folder)}`, {
      hint: "make it first, or choose another file with --out",
    });
  }
  return file;
}

/** The table of the file, to go on from. */
function stored(file: string, gpu: Gpu): TuningTable | undefined {
  if (!existsSync(file)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (e) {
    fail("bad-tuning-table", `${file} is no tuning table`, {
      cause: (e as Error).message,
      hint: "remove it, or choose another file with --out",
    });
  }
  const table = checkTuningTable(value);
  if (mayJoin(table, gpu)) return table;
  const { vendor, architecture } = table.adapter;
  return fail("bad-tuning-table", `${file} is of another adapter, ${vendor} ${architecture}`, {
    hint: "choose another file with --out, or the adapter with --adapter",
  });
}

/** All of the file or nothing: a table that was cut off could not be gone on from. */
function write(file: string, table: TuningTable): void {
  const staged = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(staged, tuningTableToJson(table));
    renameSync(staged, file);
  } catch (e) {
    rmSync(staged, { force: true });
    throw new SinterError(
      {
        code: "file-error",
        message: `${file} cannot be written: ${(e as Error).message}`,
        hint: "check the path given to --out",
      },
      { cause: e },
    );
  }
}

interface Outcome {
  readonly file: string;
  readonly gpu: Gpu;
  readonly table: TuningTable | undefined;
  readonly done: readonly { readonly name: string; readonly tuned: Tuned }[];
  readonly complete: boolean;
  readonly targets: readonly Target[];
}

function report({ terminal, cwd }: Context, { file, gpu, table, done, complete, targets }: Outcome): void {
  const kernels = Object.values(table?.kernels ?? {});
  const fusions = Object.values(table?.fusions ?? {});
  const better = kernels.filter((k) => k.variant !== k.usual);
  if (terminal.json) {
    terminal.out(
      JSON.stringify(
        {
          ...{ file, adapter: identityOf(gpu), complete },
          programs: done.map(({ name, tuned: { measured, stopped, withdrawn } }) => ({
            name,
            measured,
            stopped,
            withdrawn,
          })),
          ...{ kernels: kernels.length, better: better.length, fusions: fusions.length },
        },
        null,
        2,
      ),
    );
    return;
  }
  terminal.out(
    [
      `${relative(cwd, file)}: ${kernels.length} kernels, ${better.length} better than without a table; ${fusions.length} fusions`,
      ...better
        .toSorted((a, b) => b.usualTime / b.time - a.usualTime / a.time)
        .slice(0, 10)
        .map(
          (k) =>
            `  ${(k.usualTime / k.time).toFixed(2)}× ${k.variant} (${k.time} µs) for ${k.usual} (${k.usualTime} µs)`,
        ),
      ...(complete
        ? []
        : [`${targets.length - done.length || "some"} left: run it again to go on, or give more --budget`]),
    ].join("\n"),
  );
}
