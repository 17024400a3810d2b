// Bundles are kept from run to run, as long as all that they were made from is as it was.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "./exports.mjs";

/** What decides a bundle besides its sources. */
const settings = [
  ...["package.json", "tsconfig.json", "node_modules/esbuild/package.json"],
  ...["scripts/bundle.mjs", "scripts/exports.mjs", "scripts/kept-bundle.mjs"],
].map((f) => join(root, f));

/** The last line of a bundle's first file says what it was made from. */
const mark = "\n//# made-from ";

/** Chunks that no bundle needs any more may still be imported by a process that runs: for a day. */
const day = 24 * 3600 * 1000;

const hashOf = (text) => createHash("sha256").update(text).digest("hex");

function hashOfFile(file) {
  try {
    return hashOf(readFileSync(file));
  } catch {
    return null;
  }
}

const withHashes = (files) => files.map((file) => [file, hashOfFile(file)]);
const stillSo = ([file, hash]) => hash !== null && hash === hashOfFile(file);
const base = (entry) => hashOf(JSON.stringify([entry, process.version, ...settings.map(hashOfFile)]));

/** Whether a file is the first of a bundle as it would be made of an entry now. */
export function isCurrent(file, entry) {
  try {
    const text = readFileSync(file, "utf8");
    const at = text.lastIndexOf(mark);
    const made = JSON.parse(text.slice(at + mark.length));
    return (
      made.base === base(entry) &&
      made.body === hashOf(text.slice(0, at)) &&
      [...made.chunks, ...made.inputs].every(stillSo)
    );
  } catch {
    return false;
  }
}

/**
 * Writes a bundle's files, each in one step, the first one last: others may be reading the one that was there.
 * @param first the file that is run; `chunks` are what it imports, of names that follow from their contents
 * @param inputs its sources
 * @param since when they began to be read: with one that changed after that, the bundle serves this run alone
 */
export function writeBundle(first, chunks, entry, inputs, since) {
  for (const { path, text } of chunks) if (hashOfFile(path) !== hashOf(text)) write(path, text);
  const paths = chunks.map((c) => c.path);
  const made = inputs.every((f) => isOlder(f, since)) && {
    ...{ base: base(entry), body: hashOf(first.text) },
    ...{ chunks: withHashes(paths), inputs: withHashes(inputs) },
  };
  write(first.path, made ? first.text + mark + JSON.stringify(made) : first.text);
  for (const folder of new Set(paths.map((p) => dirname(p)))) {
    for (const path of readdirSync(folder).map((f) => join(folder, f))) {
      if (!paths.includes(path) && isOlder(path, since - day)) rmSync(path, { force: true });
    }
  }
}

function write(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  const staged = `${path}.${process.pid}`;
  writeFileSync(staged, text);
  renameSync(staged, path);
}

function isOlder(path, time) {
  const { mtimeMs = Infinity, ctimeMs = Infinity } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return Math.max(mtimeMs, ctimeMs) < time;
}
