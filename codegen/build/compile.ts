import { type Diagnostic, type Place, SinterError } from "../../src/base/diagnostic.ts";
import { isBodyFunction, kernelOf } from "../../src/frontend/body-kernel.ts";
import { type FloatSpec, KernelDefinition, type KernelDType } from "../../src/frontend/define-kernel.ts";
import { f16 } from "../../src/frontend/spec.ts";
import type { SpecTree } from "../../src/frontend/trace.ts";
import { shortTexts } from "../emit/code.ts";
import type { KernelDoc } from "../emit/doc.ts";
import type { KernelSource } from "../read/index.ts";
import type { ReadText } from "../reflect/index.ts";
import { compileUniform } from "../uniform/compile.ts";
import type { Bundle } from "./bundle.ts";
import { type Evaluated, evaluate } from "./evaluate.ts";
import { checkNames } from "./names.ts";
import type { CompiledKernel, CompileOptions } from "./types.ts";

/** What a kernel file compiles to. Plain data. */
export interface Compiled {
  readonly kernels: readonly CompiledKernel[];
  /** All of them errors. */
  readonly diagnostics: readonly Diagnostic[];
}

/** A kernel file that was run, with the kernels that it exports. */
export interface Opened {
  readonly file: string;
  readonly bundle: Bundle;
  readonly ran: Evaluated;
  readonly kernels: readonly Defined[];
}

/** Runs the script of a kernel file. */
export async function openKernels(
  file: string,
  bundle: Bundle,
): Promise<{ readonly opened?: Opened; readonly diagnostics: readonly Diagnostic[] }> {
  try {
    const ran = await withWgsl(bundle, () => evaluate(bundle, file));
    const { kernels, diagnostics } = definitions(ran, bundle.source, file);
    return { opened: { file, bundle, ran, kernels }, diagnostics };
  } catch (e) {
    if (e instanceof SinterError) return { diagnostics: [e.diagnostic] };
    throw e;
  }
}

/** Compiles one of the kernels of a file. */
export async function compileKernel(
  o: Opened,
  index: number,
  { dtypes, minify }: Pick<CompileOptions, "dtypes" | "minify"> = {},
): Promise<Compiled> {
  const { exports, definition, place } = o.kernels[index] as Defined;
  try {
    const kernel = await withWgsl(o.bundle, async () => compileUniform(restricted(definition, dtypes)));
    const diagnostics = checkNames(kernel, exports, place);
    const doc = docOf(exports, o.bundle.source);
    const short = minify && { short: shortTexts(kernel) };
    return { kernels: [{ exports, kernel, ...short, ...(doc ? { doc } : {}), place }], diagnostics };
  } catch (e) {
    return { kernels: [], diagnostics: [o.ran.diagnosticOf(e, place)] };
  }
}

/** Runs what may make kernels of the user's own WGSL: its interface is read, and the text compiled where there is a compiler. */
async function withWgsl<T>(bundle: Bundle, body: () => Promise<T>): Promise<T> {
  if (!/\bwgslKernel\b/.test(bundle.code)) return body();
  const { checkWgsl, readingWgsl } = await import("../reflect/index.ts");
  const texts: ReadText[] = [];
  const result = await readingWgsl(texts, body);
  for (const { source, ...options } of texts) await checkWgsl(source, options);
  return result;
}

// Their own types would be inferred without end.
const asKernel = kernelOf as (name: string, fn: unknown) => KernelDefinition;
const isDefinition = (v: unknown): v is KernelDefinition => v instanceof KernelDefinition;

export interface Defined {
  readonly exports: readonly string[];
  readonly definition: KernelDefinition;
  readonly place: Place;
}

/** Exports that are kernels, each once under all its names. Functions of plain arithmetic become kernels of their own. */
function definitions(
  ran: Evaluated,
  source: KernelSource,
  file: string,
): { kernels: Defined[]; diagnostics: Diagnostic[] } {
  const names = new Map<unknown, string[]>();
  const diagnostics: Diagnostic[] = [];
  const order = Object.keys(ran.exports).sort(
    (a, b) => Number(a === "default") - Number(b === "default") || (a < b ? -1 : 1),
  );
  for (const name of order) {
    const value = ran.exports[name];
    if (isDefinition(value) || isBodyFunction(value)) names.set(value, [...(names.get(value) ?? []), name]);
  }
  const kernels = [...names].flatMap(([value, exports]): Defined[] => {
    const [name] = exports as [string];
    const { line, column } = source.exports.find((e) => exports.includes(e.name)) ?? { line: 1, column: 1 };
    const at = { file, line, column };
    try {
      const definition = isDefinition(value) ? value : asKernel(name, value);
      return [{ exports, definition, place: ran.placeOf(definition.place) ?? at }];
    } catch (e) {
      diagnostics.push(ran.diagnosticOf(e, at));
      return [];
    }
  });
  return { kernels, diagnostics };
}

/** The definition for fewer dtypes; as it is where it offers none of them. */
function restricted(definition: KernelDefinition, dtypes: readonly KernelDType[] | undefined): KernelDefinition {
  const wanted = definition.dtypes.filter((d) => dtypes?.includes(d) ?? true);
  if (wanted.length === definition.dtypes.length || wanted.length === 0) return definition;
  return new KernelDefinition<SpecTree>(
    {
      name: definition.name,
      inputs: (float: FloatSpec): SpecTree => definition.inputs(float === f16 ? "f16" : "f32"),
      dtypes: wanted,
      donate: definition.donate,
      ...(definition.variants ? { variants: definition.variants } : {}),
    },
    definition.body as never,
    definition.place,
  );
}

function docOf(exports: readonly string[], source: KernelSource): KernelDoc | undefined {
  const found = exports.flatMap((name) => source.exports.filter((e) => e.name === name));
  const text = found.find((e) => e.doc)?.doc;
  const inputs = found.find((e) => e.inputs)?.inputs;
  return text || inputs ? { ...(text ? { text } : {}), ...(inputs ? { inputs } : {}) } : undefined;
}
