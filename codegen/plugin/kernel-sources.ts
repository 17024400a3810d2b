import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import type { Place } from "../../src/base/diagnostic.ts";
import type { BuildDiagnostic, Builder, BuiltSource, CompiledKernel } from "../build/types.ts";
import type { SinterPluginOptions } from "./options.ts";
import { withSourceMap } from "./source-map.ts";

/** Files that the plugins look into, by path without a query. */
export const kernelFile = /\.kernel\.[cm]?[jt]sx?$/;

/** What a file has that defines kernels; others of such a name are none of our business. */
const mentions = /\bsinter\b|\b(?:defineKernel|elementwise|reduction|wgslKernel)\b/;

/** A kernel file as TypeScript modules with source maps. */
export interface KernelModules {
  /** Exports the kernels, from `parts`. */
  readonly main: string;
  /** A module for each kernel and each richer profile of it, by name. */
  readonly parts: ReadonlyMap<string, string>;
  readonly diagnostics: readonly BuildDiagnostic[];
  /** Absolute paths of the files that it was made from. */
  readonly inputs: readonly string[];
}

export interface KernelSources {
  /** The file as it is now; undefined when it is no kernel file. @param file absolute path */
  load(file: string): Promise<KernelModules | undefined>;
  /** As it was last loaded. */
  latest(file: string): Promise<KernelModules | undefined>;
  /** Forgets the kernel files that were made from a file, and says which they are. */
  changed(input: string): readonly string[];
  dispose(): Promise<void>;
}

export interface KernelSourcesOptions extends SinterPluginOptions {
  readonly root: string;
  /** How modules import a part of a file: text that nobody else's imports look like, so that a plugin is asked for no others. */
  specifier(file: string, part: string): string;
}

/** Builds kernel files in memory. The compiler is loaded with the first of them. */
export function kernelSources(options: KernelSourcesOptions): KernelSources {
  const { root, cache, dtypes, minify = false, specifier } = options;
  const loaded = new Map<string, Promise<KernelModules | undefined>>();
  const inputs = new Map<string, ReadonlySet<string>>();
  let builder: Promise<Builder> | undefined;

  const build = async (file: string): Promise<KernelModules | undefined> => {
    const text = await readFile(file, "utf8");
    if (!mentions.test(text)) return undefined;
    builder ??= import("../build/index.ts").then(({ createBuilder }) => createBuilder({ root, cache }));
    const built = await (await builder).buildFile(file, { dtypes, minify, importExtension: ".ts" });
    inputs.set(file, new Set([file, ...built.inputs]));
    return modulesOf(file, text, built, (part) => specifier(file, part));
  };
  const load = (file: string): Promise<KernelModules | undefined> => {
    const modules = build(file);
    loaded.set(file, modules);
    return modules;
  };
  return {
    load,
    latest: (file) => loaded.get(file) ?? load(file),
    changed(input) {
      const files = [...inputs].flatMap(([file, from]) => (from.has(input) ? [file] : []));
      for (const file of files) loaded.delete(file);
      return files;
    },
    async dispose() {
      const ending = builder;
      builder = undefined;
      await (await ending)?.dispose();
    },
  };
}

const imported = /(\bfrom |\bimport\()"\.\/([^"]+)"/g;

function modulesOf(file: string, text: string, built: BuiltSource, specifier: (part: string) => string): KernelModules {
  // A URL leads to the same file wherever a bundler thinks that the module lies.
  const source = { file: pathToFileURL(file).href, text };
  const here = (place: Place | undefined): Place | undefined => (place?.file === file ? place : undefined);
  const byName = new Map(built.kernels.map((k) => [k.kernel.name, k]));
  const kernelOf = (part: string): CompiledKernel | undefined => byName.get(part.slice(0, part.indexOf(".")));
  const names = new Set(built.modules.map((m) => m.name));
  const linked = (contents: string): string =>
    contents.replace(imported, (whole, before: string, name: string) =>
      names.has(name) ? `${before}${JSON.stringify(specifier(name))}` : whole,
    );
  const parts = built.modules.map(({ name, contents }) => {
    const place = here(kernelOf(name)?.place);
    return [name, withSourceMap(linked(contents), source, () => place)] as const;
  });
  const lines = built.main.contents.split("\n");
  const exporting = (i: number): Place | undefined =>
    here(kernelOf(/\bfrom "\.\/([^"]+)"/.exec(lines[i] ?? "")?.[1] ?? "")?.place);
  return {
    main: withSourceMap(linked(built.main.contents), source, exporting),
    parts: new Map(parts),
    diagnostics: built.diagnostics,
    inputs: [...new Set([file, ...built.inputs])],
  };
}
