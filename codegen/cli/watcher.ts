import { type FSWatcher, watch } from "node:fs";
import { dirname, join } from "node:path";
import { glob } from "tinyglobby";

export interface Watcher {
  /** Also watches the folders of these files, which may lie outside of the root. */
  follow(files: readonly string[]): Promise<void>;
  close(): void;
}

/** Editors write a file in several steps. */
const quiet = 60;
const ignored = ["**/node_modules/**", "**/dist/**", "**/.*/**"];

/**
 * Calls back, once things are quiet, after a file or folder was changed, made or removed of which `matters` says so.
 * Folders are watched rather than files: that survives editors that replace a file by another.
 */
export async function watchFolders(
  root: string,
  matters: (file: string) => boolean,
  onChange: () => void,
): Promise<Watcher> {
  const watchers = new Map<string, FSWatcher>();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const note = (folder: string, name: string | null): void => {
    const file = name === null ? folder : join(folder, name);
    if (name !== null && !matters(file)) return;
    clearTimeout(timer);
    timer = setTimeout(onChange, quiet);
  };
  const add = (folder: string): void => {
    if (closed || watchers.has(folder)) return;
    try {
      const made = watch(folder, (_, name) => note(folder, name));
      made.on("error", () => drop(folder));
      watchers.set(folder, made);
    } catch {
      // It is gone already.
    }
  };
  const drop = (folder: string): void => {
    watchers.get(folder)?.close();
    watchers.delete(folder);
  };
  const follow = async (files: readonly string[]): Promise<void> => {
    const below = await glob("**", {
      cwd: root,
      onlyDirectories: true,
      absolute: true,
      ignore: ignored,
      followSymbolicLinks: false,
    });
    const folders = new Set([root, ...below.map((f) => f.replace(/[\\/]$/, "")), ...files.map((f) => dirname(f))]);
    for (const f of watchers.keys()) if (!folders.has(f)) drop(f);
    folders.forEach(add);
  };
  await follow([]);
  return {
    follow,
    close() {
      closed = true;
      clearTimeout(timer);
      for (const f of [...watchers.keys()]) drop(f);
    },
  };
}
