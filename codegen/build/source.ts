import type { Diagnostic } from "../../src/base/diagnostic.ts";
import type { KernelDType } from "../../src/frontend/define-kernel.ts";
import type { CompileCache } from "./cache.ts";
import type { Compiled, Opened } from "./compile.ts";

/** A kernel file, compiled or with what is wrong with it. */
export interface SourceResult extends Compiled {
  /** Absolute path. */
  readonly file: string;
  /** Absolute paths of what it was made from, itself first. */
  readonly inputs: readonly string[];
  /** It had not changed since it was compiled. */
  readonly skipped: boolean;
}

export interface SourceOptions {
  readonly dtypes?: readonly KernelDType[] | undefined;
  readonly minify?: boolean | undefined;
  /** Compile again what has not changed. */
  readonly force?: boolean | undefined;
  /** The file's text, if not what is on disk. */
  readonly text?: string | undefined;
}

/** The cache's name for options: two lists of the same dtypes are one. */
const optionsKey = ({ dtypes, minify = false }: SourceOptions): string =>
  JSON.stringify([dtypes ? [...new Set(dtypes)].sort() : null, minify]);

/** What is kept of a kernel file, if that still holds. */
export function unchanged(file: string, o: SourceOptions, cache: CompileCache): SourceResult | undefined {
  if (o.force || o.text !== undefined) return undefined;
  const kept = cache.get(file, optionsKey(o));
  return kept && { file, inputs: kept.inputs, ...kept.compiled, skipped: true };
}

/** A kernel file that is ready to be compiled, or what is wrong with it. */
export type Ready =
  | {
      readonly file: string;
      readonly opened: Opened;
      readonly diagnostics: readonly Diagnostic[];
      readonly since: number;
    }
  | { readonly result: SourceResult };

/** Reads, bundles and runs a kernel file. What is wrong with it is in the result. */
export async function readSource(file: string, o: SourceOptions): Promise<Ready> {
  const since = Date.now();
  const [{ bundleKernels }, { openKernels }] = await Promise.all([import("./bundle.ts"), import("./compile.ts")]);
  const bundled = await bundleKernels(file, o.text);
  if ("diagnostics" in bundled) return { result: failed(file, bundled.inputs, bundled.diagnostics) };
  const { opened, diagnostics } = await openKernels(file, bundled.bundle);
  if (!opened) return { result: failed(file, bundled.bundle.inputs, diagnostics) };
  return { file, opened, diagnostics, since };
}

/** Puts together what the kernels of a file compiled to, and keeps it if nothing is wrong. */
export function finishSource(
  r: Exclude<Ready, { readonly result: SourceResult }>,
  compiled: readonly Compiled[],
  o: SourceOptions,
  cache: CompileCache,
): SourceResult {
  const { inputs } = r.opened.bundle;
  const diagnostics = [...r.diagnostics, ...compiled.flatMap((c) => c.diagnostics)];
  if (diagnostics.length) return failed(r.file, inputs, diagnostics);
  const whole = { kernels: compiled.flatMap((c) => c.kernels), diagnostics };
  if (o.text === undefined) cache.set(r.file, optionsKey(o), { inputs, compiled: whole }, r.since);
  return { file: r.file, inputs, ...whole, skipped: false };
}

const failed = (file: string, inputs: readonly string[], diagnostics: readonly Diagnostic[]): SourceResult => ({
  file,
  inputs,
  kernels: [],
  diagnostics,
  skipped: false,
});
