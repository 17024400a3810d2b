import { lstatSync, realpathSync, statSync } from "node:fs";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { type Diagnostic, fail } from "../../src/base/diagnostic.ts";
import { shown } from "./names.ts";

/** A path with `/`. */
export const posix = (path: string): string => (sep === "/" ? path : path.replaceAll(sep, "/"));

/** By UTF-16 units: the same order on every machine. */
export const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export const isInside = (folder: string, path: string): boolean => {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
};

/** The root as it really is, symbolic links resolved. Fails with `no-such-folder`. */
export function realRoot(root: string): string {
  const path = resolve(root);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    fail("no-such-folder", `the root ${shown(root)} is no folder`, { hint: "give the folder of the package" });
  }
  return realpathSync(path);
}

/** The name of the folder for generated files. Fails with `outside-root` for one that could lie outside of its kernel file's folder. */
export function checkOutDir(outDir: string): string {
  const parts = outDir.split(/[\\/]+/).filter((p) => p !== "" && p !== ".");
  const absolute = isAbsolute(outDir) || /^[A-Za-z]:|^[\\/]/.test(outDir);
  if (absolute || parts.includes("..")) {
    fail("outside-root", `outDir ${shown(outDir)} ${absolute ? "is an absolute path" : "leaves its folder"}`, {
      cause: "generated files lie in a folder beside each kernel file",
      hint: 'give the name of that folder, like "generated"',
    });
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no folder has one
  if (parts.length === 0 || parts.some((p) => /[\x00-\x1f:*?"<>|]/.test(p) || p.length > 100)) {
    fail("bad-option", `outDir ${shown(outDir)} names no folder`, { hint: 'give a name like "generated"' });
  }
  return parts.join("/");
}

/**
 * What is wrong with a folder that is to be written to: every part of its path that is there must be a folder, and none a
 * symbolic link out of the root.
 */
export function folderProblem(root: string, folder: string): Diagnostic | undefined {
  const parts = relative(root, folder).split(sep);
  let path = root;
  for (const part of parts) {
    path = join(path, part);
    const entry = lstatSync(path, { throwIfNoEntry: false });
    if (!entry) return undefined;
    if (entry.isSymbolicLink()) {
      const real = realpath(path);
      if (real !== undefined && (real === root || isInside(root, real))) continue;
      return {
        code: "outside-root",
        message: `${shown(posix(relative(root, path)))} is a symbolic link ${real === undefined ? "to nothing" : "out of the root"}`,
        cause: "generated files would be written there",
        hint: "replace the link by a folder, or choose another outDir",
      };
    }
    if (!entry.isDirectory()) {
      return {
        code: "foreign-file",
        message: `${shown(posix(relative(root, path)))} is a file, where generated files need a folder`,
        hint: "move it, or choose another outDir",
      };
    }
  }
  return undefined;
}

const realpath = (path: string): string | undefined => {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
};
