import { transformSync } from "esbuild";
import { type KernelSource, readKernelSource } from "../../../codegen/read/index.ts";
import * as sinter from "../../../src/index.ts";

export type Files = Readonly<Record<string, string>>;
type Exports = Record<string, unknown>;

/** A source file in memory, beside others, as it is read. */
export const read = (files: Files | string, entry = "/k/a.kernel.ts"): Promise<KernelSource> => {
  const all: Files = typeof files === "string" ? { [entry]: files } : files;
  return readKernelSource(entry, all[entry], { read: (file) => all[file] });
};

/** The exports of a file with the bodies that a build finds; fails where there are diagnostics. */
export async function load(files: Files | string, entry = "/k/a.kernel.ts"): Promise<Exports> {
  const all: Files = typeof files === "string" ? { [entry]: files } : files;
  const texts = new Map<string, string>();
  for (const file of Object.keys(all)) {
    const { text, diagnostics } = await read(all, file);
    if (diagnostics.length > 0) throw new Error(JSON.stringify(diagnostics, null, 1));
    texts.set(file, text);
  }
  return run(texts, entry, new Map());
}

/** Runs a module of TypeScript texts; imports are of sinter or of each other. */
function run(texts: ReadonlyMap<string, string>, file: string, done: Map<string, { exports: Exports }>): Exports {
  const known = done.get(file);
  if (known) return known.exports;
  const { code } = transformSync(texts.get(file) as string, { loader: "ts", format: "cjs" });
  const module = { exports: {} as Exports };
  done.set(file, module);
  const require = (specifier: string): unknown => {
    if (specifier === "sinter") return sinter;
    return run(texts, new URL(specifier, `file://${file}`).pathname, done);
  };
  new Function("module", "exports", "require", code)(module, module.exports, require);
  return module.exports;
}
