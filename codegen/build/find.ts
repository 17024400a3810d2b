import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type Diagnostic, fail } from "../../src/base/diagnostic.ts";
import { manifestName } from "../emit/index.ts";
import { shown } from "./names.ts";
import { byText, isInside } from "./paths.ts";

export interface FindOptions {
  readonly root: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly only: readonly string[] | undefined;
  readonly outDir: string;
}

export interface Found {
  /** Absolute paths of the kernel files to build, sorted. */
  readonly selected: readonly string[];
  /** Of all that there are. */
  readonly sources: readonly string[];
  /** Absolute paths of generated folders that have a manifest. */
  readonly folders: readonly string[];
  readonly warnings: readonly Diagnostic[];
}

export const defaultInclude: readonly string[] = ["**/*.kernel.{ts,mts}"];
const ignored = ["**/node_modules/**", "**/dist/**", "**/.*/**"];

/** Looks for kernel files and generated folders. Symbolic links are not followed. */
export async function findSources(o: FindOptions): Promise<Found> {
  const { glob } = await import("tinyglobby");
  const find = async (patterns: readonly string[], ignore: readonly string[]): Promise<string[]> => {
    const found = await glob([...patterns], {
      cwd: o.root,
      ignore: [...ignore],
      absolute: true,
      onlyFiles: true,
      followSymbolicLinks: false,
      expandDirectories: false,
    });
    return [...new Set(found.map((f) => resolve(f)))].sort(byText);
  };
  const own = [...ignored, `**/${o.outDir}/**`];
  const all = await find(o.include, [...own, ...o.exclude]);
  const outside = all.find((f) => !isInside(o.root, f));
  if (outside !== undefined) {
    fail("outside-root", `the kernel file ${shown(outside)} lies outside of the root`, {
      cause: `the root is ${o.root}, and generated files go beside their kernel file`,
      hint: "choose a root above it, or other globs",
    });
  }
  const selected = o.only ? await chosen(o.only, o.root, all, (glob) => find([glob], own)) : all;
  const folders = (await find([`**/${o.outDir}/${manifestName}`], ignored)).map((f) => resolve(f, ".."));
  const warnings: Diagnostic[] = [];
  if (all.length === 0) {
    warnings.push({
      code: "no-kernel-files",
      message: `no kernel file matches ${o.include.map((p) => shown(p)).join(", ")}`,
      cause: `below ${o.root}, outside of node_modules, dist and folders whose names begin with a dot`,
      hint: "name kernel files *.kernel.ts, or set include in the config",
    });
  }
  return { selected, sources: all, folders, warnings };
}

/** Those kernel files that a list names: by the path of a file or folder, or by a glob. Each must name one at least. */
async function chosen(
  only: readonly string[],
  root: string,
  all: readonly string[],
  find: (glob: string) => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const named = await Promise.all(
    only.map(async (given) => {
      const path = resolve(root, given);
      const here = existsSync(path) ? all.filter((f) => f === path || isInside(path, f)) : [];
      const matched = here.length ? here : await find(relativeGlob(root, given));
      return all.filter((f) => matched.includes(f));
    }),
  );
  const without = only.filter((_, i) => named[i]?.length === 0);
  if (without.length) {
    fail("no-kernel-files", `no kernel file matches ${without.map((p) => shown(p)).join(", ")}`, {
      cause: all.length ? `there are ${all.length} below ${root}` : `there are none below ${root}`,
      hint: "give kernel files, folders or globs; kernel files are named *.kernel.ts",
    });
  }
  return all.filter((f) => named.some((list) => list.includes(f)));
}

/** Globs match relative paths. */
const relativeGlob = (root: string, pattern: string): string =>
  pattern.startsWith(`${root}/`) ? pattern.slice(root.length + 1) : pattern.replace(/^\.\//, "");
