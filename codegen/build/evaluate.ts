import { SourceMap } from "node:module";
import { resolve } from "node:path";
import { Script } from "node:vm";
import { type Diagnostic, type Place, SinterError } from "../../src/base/diagnostic.ts";
import { parseFrame } from "../../src/frontend/place.ts";
import type { Bundle } from "./bundle.ts";

/** What kernel files may import of Sinter: the modules that are running, so that what they export can be compiled here. */
const modules: Readonly<Record<string, () => Promise<object>>> = {
  sinter: () => import("../../src/node/index.ts"),
  "sinter/nn": () => import("../../src/nn/index.ts"),
};

/** A kernel file that was run. */
export interface Evaluated {
  readonly exports: Readonly<Record<string, unknown>>;
  /** A place in the script as one in the sources; undefined for places elsewhere and for none. */
  placeOf(place: Place | undefined): Place | undefined;
  /** An error of Sinter, or what else the sources threw, with its place in them. */
  diagnosticOf(thrown: unknown, otherwise?: Place): Diagnostic;
}

let scripts = 0;

/** Runs the script of a kernel file. Fails with a SinterError that has its place in the sources. */
export async function evaluate(bundle: Bundle, file: string): Promise<Evaluated> {
  // Its own name, so that frames of stacks can be told: the file's may hold anything.
  const name = `/sinter-kernels-${scripts++}.cjs`;
  let map: SourceMap | undefined;
  const placeOf = (place: Place | undefined): Place | undefined => {
    if (!place || place.line < 1) return undefined;
    if (place.file !== name) return bundle.inputs.includes(place.file) ? pick(place) : undefined;
    map ??= new SourceMap(JSON.parse(bundle.map));
    const entry = map.findEntry(place.line - 1, place.column - 1);
    if (!("originalSource" in entry)) return undefined;
    const source = resolve(bundle.folder, entry.originalSource.replace(/^file:\/\//, ""));
    return { file: source, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
  };
  const diagnosticOf = (thrown: unknown, otherwise: Place = { file, line: 1, column: 1 }): Diagnostic => {
    if (thrown instanceof SinterError) {
      const { place, ...rest } = thrown.diagnostic;
      return { ...rest, place: placeOf(place) ?? otherwise };
    }
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const frames = (error.stack ?? "").split("\n").flatMap((l) => parseFrame(l) ?? []);
    const frame = frames.find((f) => f.file === name);
    if (!frame && thrown instanceof Error) return internalError(error, otherwise);
    return {
      code: "kernel-threw",
      message: `the kernel file threw ${error.name}: ${error.message}`.slice(0, 2000),
      place: placeOf(frame) ?? otherwise,
      cause: "it is run once when it is built",
      hint: "a kernel file must run without a device, a page or files",
    };
  };
  const given = new Map<string, object>();
  for (const m of bundle.modules) given.set(m, await moduleOf(m, file));
  const module = { exports: {} as Record<string, unknown> };
  try {
    const run = new Script(`(function (module, exports, require, process) {${bundle.code}\n})`, { filename: name });
    // Neither what the machine's environment says nor the end of this process is a kernel file's.
    run.runInThisContext()(module, module.exports, (m: string) => given.get(m), { env: {} });
  } catch (e) {
    throw new SinterError(diagnosticOf(e), { cause: e });
  }
  return { exports: module.exports, placeOf, diagnosticOf };
}

/** Nothing of the kernel file's was running. */
const internalError = (error: Error, place: Place): Diagnostic => ({
  code: "internal-error",
  message: `${error.name}: ${error.message}`.slice(0, 2000),
  place,
  cause: (error.stack ?? "").split("\n").slice(1, 4).join("\n").trim() || "it has no stack",
  hint: "this is a bug in Sinter: please report it with this kernel",
});

/** Places may be worked out when they are read. */
const pick = ({ file, line, column }: Place): Place => ({ file, line, column });

async function moduleOf(name: string, file: string): Promise<object> {
  const load = Object.hasOwn(modules, name) ? modules[name] : undefined;
  if (load) return load();
  throw new SinterError({
    code: "kernel-import",
    message: `a kernel file cannot import ${JSON.stringify(name)}`,
    place: { file, line: 1, column: 1 },
    cause: "it is run at build time and describes kernels; it runs none",
    hint: `of Sinter it may import ${Object.keys(modules).join(" and ")}; move the rest to another file`,
  });
}
