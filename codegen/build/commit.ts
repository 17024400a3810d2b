import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { SinterError } from "../../src/base/diagnostic.ts";
import { manifestName } from "../emit/index.ts";

/** What is to happen to the files of a generated folder. */
export interface FolderChange {
  readonly folder: string;
  readonly write: readonly { readonly name: string; readonly contents: string }[];
  readonly remove: readonly string[];
}

/**
 * Carries changes out. Every text is first written under another name beside its place: when that fails for one of them, as on a
 * full disk, all files are as they were. Then each takes its place in one move, manifests last. Fails with `cannot-write`.
 */
export function commit(changes: readonly FolderChange[]): void {
  const staged: { readonly from: string; readonly to: string }[] = [];
  const made: string[] = [];
  try {
    for (const { folder, write } of changes) {
      if (write.length === 0) continue;
      const first = mkdirSync(folder, { recursive: true });
      if (first !== undefined) made.push(folder);
      const manifestLast = [...write].sort((a, b) => Number(a.name === manifestName) - Number(b.name === manifestName));
      for (const { name, contents } of manifestLast) {
        const to = join(folder, name);
        const from = join(folder, `.${name}.${process.pid}.tmp`);
        writeNew(from, contents);
        staged.push({ from, to });
      }
    }
    for (const { from, to } of staged) renameSync(from, to);
  } catch (e) {
    for (const { from } of staged) rmSync(from, { force: true });
    for (const folder of made) removeIfEmpty(folder);
    throw notWritten(e);
  }
  for (const { folder, remove } of changes) {
    for (const name of remove) rmSync(join(folder, name), { force: true });
    if (remove.length) removeIfEmpty(folder);
  }
}

/** Writes a file that is not there yet, all of it or nothing. */
function writeNew(path: string, contents: string): void {
  try {
    writeFileSync(path, contents, { flag: "wx" });
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== "EEXIST") rmSync(path, { force: true, recursive: true });
    throw e;
  }
}

function removeIfEmpty(folder: string): void {
  try {
    if (readdirSync(folder).length === 0) rmdirSync(folder);
  } catch {
    // It is not empty any more, or gone already.
  }
}

function notWritten(e: unknown): SinterError {
  const { message, path } = e as NodeJS.ErrnoException;
  return new SinterError(
    {
      code: "cannot-write",
      message: `generated files cannot be written: ${message}`,
      ...(path ? { cause: `in ${dirname(path)}` } : {}),
      hint: "check the folder's permissions and the space on the disk, then build again",
    },
    { cause: e },
  );
}
