import { fail } from "../../src/base/diagnostic.ts";
import { oneOf, readOptions } from "../../src/frontend/options.ts";
import { defaultInclude } from "./find.ts";
import { checkOutDir } from "./paths.ts";
import type { BuildOptions } from "./types.ts";

/** The options of a build with defaults filled in. */
export interface FullOptions extends BuildOptions {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly only: readonly string[] | undefined;
  readonly outDir: string;
  readonly check: boolean;
  readonly write: boolean;
}

/** Fails with `unknown-option`, `bad-option` or `outside-root`. */
export function buildOptions(given: BuildOptions): FullOptions {
  const { signal, onProgress, root: _root, cache: _cache, ...rest } = given;
  const o = readOptions("build", rest as Omit<BuildOptions, "signal" | "onProgress" | "root" | "cache">, {
    dtypes: undefined,
    minify: false,
    importExtension: ".js",
    include: undefined,
    exclude: undefined,
    only: undefined,
    outDir: "generated",
    check: false,
    write: true,
    force: false,
  });
  oneOf("build", "importExtension", o.importExtension as string, [".js", ".ts"]);
  for (const d of o.dtypes ?? []) oneOf("build", "dtypes", d, ["f32", "f16"]);
  return {
    ...(o as BuildOptions),
    signal,
    onProgress,
    include: globs("include", o.include) ?? defaultInclude,
    exclude: globs("exclude", o.exclude) ?? [],
    only: globs("only", o.only),
    outDir: checkOutDir(o.outDir as string),
    check: o.check as boolean,
    write: o.write as boolean,
  };
}

function globs(name: string, given: string | readonly string[] | undefined): readonly string[] | undefined {
  if (given === undefined) return undefined;
  const list = typeof given === "string" ? [given] : given;
  if (!Array.isArray(list) || list.some((g) => typeof g !== "string" || g === "")) {
    fail("bad-option", `build: ${name} is ${JSON.stringify(given)?.slice(0, 60)}`, {
      hint: "give a glob or a list of globs",
    });
  }
  return list;
}
