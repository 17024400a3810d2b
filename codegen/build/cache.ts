import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { hashOf } from "../emit/header.ts";
import type { Compiled } from "./compile.ts";
import { toolchainHash } from "./toolchain.ts";

/** What was compiled from some files, as long as these have the same contents and the compiler is the same. */
export interface Kept {
  /** Absolute paths, the kernel file first. */
  readonly inputs: readonly string[];
  readonly compiled: Compiled;
}

interface Entry extends Kept {
  readonly key: string;
}

/** Compiled kernel files: in memory, and in a folder that outlives the process. Only what compiled without an error. */
export interface CompileCache {
  get(file: string, options: string): Kept | undefined;
  /** @param since when the first file was read, as `Date.now()`: what has been written after that is not what was compiled */
  set(file: string, options: string, kept: Kept, since: number): void;
  /** Forgets all files but these. */
  prune(files: readonly string[]): void;
}

/**
 * @param folder where to keep what is compiled; undefined for memory only
 * @param root paths in the folder are relative to it
 */
export function compileCache(folder: string | undefined, root: string): CompileCache {
  const own = folder && join(folder, hashOf(root).slice(0, 16));
  const memory = new Map<string, Entry>();
  const idOf = (file: string): string => hashOf(relative(root, file)).slice(0, 32);

  const keyOf = (inputs: readonly string[], options: string): string | undefined => {
    const hashes: string[] = [];
    for (const f of inputs) {
      const contents = contentsOf(f);
      if (contents === undefined) return undefined;
      hashes.push(relative(root, f), hashOf(contents));
    }
    return hashOf(JSON.stringify([toolchainHash(), options, ...hashes]));
  };

  return {
    get(file, options) {
      const id = idOf(file);
      const entry = memory.get(id) ?? (own ? readEntry(join(own, `${id}.json`), root) : undefined);
      if (!entry || entry.inputs[0] !== file || keyOf(entry.inputs, options) !== entry.key) return undefined;
      memory.set(id, entry);
      return entry;
    },
    set(file, options, kept, since) {
      if (kept.inputs.some((f) => (statSync(f, { throwIfNoEntry: false })?.mtimeMs ?? since + 1) > since)) return;
      const key = keyOf(kept.inputs, options);
      if (key === undefined) return;
      const entry = { ...kept, key };
      memory.set(idOf(file), entry);
      if (own) writeEntry(join(own, `${idOf(file)}.json`), entry, root);
    },
    prune(files) {
      const ids = new Set(files.map(idOf));
      for (const id of memory.keys()) if (!ids.has(id)) memory.delete(id);
      if (!own || !existsSync(own)) return;
      for (const f of readdirSync(own)) if (!ids.has(f.slice(0, 32))) rmSync(join(own, f), { force: true });
    },
  };
}

function contentsOf(file: string): Uint8Array | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}

/** An entry with its hash before it: one that is damaged counts for nothing. */
function readEntry(path: string, root: string): Entry | undefined {
  try {
    const text = readFileSync(path, "utf8");
    const body = text.slice(65);
    if (hashOf(body) !== text.slice(0, 64)) return undefined;
    const entry = JSON.parse(body) as Entry;
    return { ...entry, inputs: entry.inputs.map((f) => resolve(root, f)) };
  } catch {
    return undefined;
  }
}

/** A cache that cannot be written is no error: the next build compiles again. */
function writeEntry(path: string, entry: Entry, root: string): void {
  const body = JSON.stringify({ ...entry, inputs: entry.inputs.map((f) => relative(root, f)) });
  const staged = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(staged, `${hashOf(body)}\n${body}`);
    renameSync(staged, path);
  } catch {
    rmSync(staged, { force: true });
  }
}

/** `node_modules/.cache/sinter` of the nearest folder with `node_modules`, from the root upwards. */
export function defaultCacheFolder(root: string): string | undefined {
  for (let folder = root; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "node_modules"))) return join(folder, "node_modules", ".cache", "sinter");
    if (folder === dirname(folder)) return undefined;
  }
}
