import { readFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { dirname, join, resolve } from "node:path";
import type { BuildFailure, Message, Plugin } from "esbuild";
import type { Diagnostic } from "../../src/base/diagnostic.ts";
import type { KernelSource } from "../read/index.ts";

/** A kernel file as one script. */
export interface Bundle {
  /** CommonJS that requires nothing but modules of Sinter. */
  readonly code: string;
  readonly map: string;
  /** The folder that paths in the map are relative to. */
  readonly folder: string;
  /** What it requires. */
  readonly modules: readonly string[];
  /** Absolute paths of the files that went into it, the kernel file first. */
  readonly inputs: readonly string[];
  /** Of the kernel file itself. */
  readonly source: KernelSource;
}

export type BundleResult =
  | { readonly bundle: Bundle }
  | { readonly diagnostics: readonly Diagnostic[]; readonly inputs: readonly string[] };

/** Calls whose source the build reads. */
const bodies = /\b(?:elementwise|reduction|wgslKernel)\b/;
const loaders = { ts: "ts", mts: "ts", cts: "ts", tsx: "tsx", js: "js", mjs: "js", cjs: "js", jsx: "jsx" } as const;

/**
 * Bundles a kernel file with all that it imports but Sinter. The bodies of `elementwise` and `reduction` are read on the way,
 * there and in files that it imports.
 */
export async function bundleKernels(file: string, text?: string): Promise<BundleResult> {
  const [esbuild, { readKernelSource }] = await Promise.all([import("esbuild"), import("../read/index.ts")]);
  const folder = dirname(file);
  const found: Diagnostic[] = [];
  const read = new Set<string>([file]);
  const source = await readKernelSource(file, text);
  found.push(...source.diagnostics);
  for (const f of source.imports) read.add(f);
  if (found.length) return { diagnostics: found, inputs: [...read] };

  const reader: Plugin = {
    name: "sinter-bodies",
    setup(b) {
      b.onResolve({ filter: /^sinter(?:\/|$)/ }, ({ path }) => ({ path, external: true }));
      b.onResolve({ filter: /./ }, ({ path, importer, kind }) => {
        if (kind === "entry-point" || !isBuiltin(path)) return undefined;
        return {
          errors: [
            { text: `${path} is a module of Node`, detail: builtinError, notes: [{ text: `imported by ${importer}` }] },
          ],
        };
      });
      b.onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ path }) => {
        if (path === file) return { contents: source.text, loader: loaderOf(path) };
        if (/[\\/]node_modules[\\/]/.test(path)) return undefined;
        read.add(path);
        const contents = await readFile(path, "utf8");
        if (!bodies.test(contents)) return { contents, loader: loaderOf(path) };
        const other = await readKernelSource(path, contents);
        found.push(...other.diagnostics);
        for (const f of other.imports) read.add(f);
        return { contents: other.text, loader: loaderOf(path) };
      });
    },
  };
  try {
    const built = await esbuild.build({
      entryPoints: [file],
      absWorkingDir: folder,
      outfile: join(folder, "bundle.cjs"),
      bundle: true,
      write: false,
      metafile: true,
      format: "cjs",
      platform: "neutral",
      mainFields: ["module", "main"],
      conditions: ["import"],
      target: "node20",
      sourcemap: "external",
      sourcesContent: false,
      logLevel: "silent",
      plugins: [reader],
    });
    for (const f of Object.keys(built.metafile.inputs)) if (!/^[\w-]{2,}:/.test(f)) read.add(resolve(folder, f));
    const inputs = [...read].sort((a, b) => (a === file ? -1 : b === file ? 1 : a < b ? -1 : 1));
    if (found.length) return { diagnostics: found, inputs };
    const code = built.outputFiles.find((o) => o.path.endsWith(".cjs"));
    const map = built.outputFiles.find((o) => o.path.endsWith(".map"));
    const [output] = Object.values(built.metafile.outputs).filter((o) => o.entryPoint !== undefined);
    const modules = [...new Set((output?.imports ?? []).filter((i) => i.external).map((i) => i.path))].sort();
    return { bundle: { code: code?.text ?? "", map: map?.text ?? "", folder, modules, inputs, source } };
  } catch (e) {
    const { errors } = e as BuildFailure;
    if (!Array.isArray(errors)) throw e;
    return { diagnostics: found.length ? found : errors.map((m) => bundlingError(m, file, folder)), inputs: [...read] };
  }
}

const loaderOf = (path: string) => loaders[path.slice(path.lastIndexOf(".") + 1) as keyof typeof loaders] ?? "ts";

const builtinError = Symbol("a module of Node");

function bundlingError(m: Message, file: string, folder: string): Diagnostic {
  const at = m.location;
  const place = at
    ? { file: resolve(folder, at.file), line: at.line, column: at.column + 1 }
    : { file, line: 1, column: 1 };
  const message = m.text.charAt(0).toLowerCase() + m.text.slice(1);
  if (m.detail === builtinError) {
    return {
      code: "kernel-import",
      message,
      place,
      cause:
        "what a kernel file gives must follow from the files that it imports: its output is the same on every machine",
      hint: "import the data as a module or as JSON",
    };
  }
  const unresolved = /^could not resolve/i.test(m.text);
  return {
    code: unresolved ? "kernel-import" : "syntax-error",
    message,
    place,
    ...(m.notes[0] ? { cause: m.notes[0].text } : {}),
    hint: at?.suggestion
      ? `write ${at.suggestion}`
      : unresolved
        ? "check the path, or install the package"
        : "correct this line",
  };
}
