import { SinterError } from "../../src/base/diagnostic.ts";
import { isBodyFunction, kernelOf } from "../../src/frontend/body-kernel.ts";
import { KernelDefinition } from "../../src/frontend/define-kernel.ts";
import type { Program } from "../../src/program.ts";
import { bundleKernels } from "../build/bundle.ts";
import { evaluate } from "../build/evaluate.ts";
import { importModule } from "../modules/import-module.ts";
import { sharedSinter } from "../modules/shared-sinter.ts";
import { Refused } from "./context.ts";

/** Exports that can be explained, by name, in the module's order. */
export interface Explainable {
  readonly exports: ReadonlyMap<string, KernelDefinition | Program>;
  /** Runs what the exports are asked for: errors get their places in the sources. */
  placed<T>(body: () => T): T;
}

/** Kernels and programs that a module exports. */
export const loadExports = (file: string): Promise<Explainable> =>
  /\.kernel\.[cm]?[jt]sx?$/.test(file) ? kernelFile(file) : programFile(file);

/** A kernel file goes the way of a build: the bodies of its functions are read from the source. */
async function kernelFile(file: string): Promise<Explainable> {
  const made = await bundleKernels(file);
  if ("diagnostics" in made) throw new Refused(made.diagnostics);
  const ran = await evaluate(made.bundle, file);
  const placed = <T>(body: () => T): T => {
    try {
      return body();
    } catch (e) {
      throw e instanceof SinterError ? new SinterError(ran.diagnosticOf(e), { cause: e }) : e;
    }
  };
  const values = Object.entries(ran.exports).flatMap(([name, v]): Entry[] => {
    const made: unknown = isBodyFunction(v) ? placed((): unknown => kernelOf(name, v as never)) : v;
    return isExplainable(made) ? [[name, made]] : [];
  });
  return { exports: new Map(values), placed };
}

async function programFile(file: string): Promise<Explainable> {
  const { exports } = await importModule(file, "module-error", { plugins: [sharedSinter], places: true });
  const values = Object.entries(exports).flatMap(([name, v]): Entry[] => (isExplainable(v) ? [[name, v]] : []));
  return { exports: new Map(values), placed: (body) => body() };
}

type Entry = [name: string, what: KernelDefinition | Program];

/** Programs also of another copy of Sinter: a program brings its own compiler. */
const isExplainable = (v: unknown): v is KernelDefinition | Program =>
  v instanceof KernelDefinition ||
  (typeof v === "object" &&
    v !== null &&
    ["explain", "memory", "bind"].every((m) => typeof (v as never)[m] === "function"));
