import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { type Diagnostic, SinterError } from "../../src/base/diagnostic.ts";
import {
  type BuildManifest,
  type EmittedFile,
  hasHeader,
  hashOf,
  kernelModules,
  type ManifestFile,
  type ManifestKernel,
  manifestName,
  manifestText,
  readManifest,
  wgslFiles,
  withoutTexts,
} from "../emit/index.ts";
import { nameClashes } from "./names.ts";
import { byText, posix } from "./paths.ts";
import type { BuiltKernel, CompiledKernel, CompileOptions, FileStatus } from "./types.ts";

/** A kernel file that compiled. */
export interface CompiledSource {
  /** Absolute path. */
  readonly file: string;
  readonly kernels: readonly CompiledKernel[];
  /** Absolute paths, itself first. */
  readonly inputs: readonly string[];
}

/** The files of one kernel: its modules, the one that exports it first, and its WGSL. */
function kernelFiles(k: CompiledKernel, source: string, version: string, o: CompileOptions): EmittedFile[] {
  const origin = { source, version };
  return [
    ...kernelModules(k.kernel, {
      ...origin,
      exports: k.exports,
      importExtension: o.importExtension ?? ".js",
      ...(k.short ? { short: k.short } : {}),
      ...(k.doc ? { doc: k.doc } : {}),
    }),
    ...wgslFiles(k.kernel, origin),
  ];
}

/** What a generated folder is to hold. */
export interface FolderPlan {
  /** Absolute path. */
  readonly folder: string;
  /** Whole contents by name, the manifest among them. Empty when the folder is to go. */
  readonly files: ReadonlyMap<string, string>;
  /** Files of kernels that this build does not look at: left as they are. */
  readonly kept: ReadonlySet<string>;
  /** The manifest as it was. */
  readonly before: BuildManifest | undefined;
  readonly kernels: readonly Omit<BuiltKernel, "source">[];
}

/**
 * @param sources compiled kernel files whose generated files go here
 * @param keeps whether the kernels of another source, an absolute path, stay as they are
 */
export function planFolder(
  folder: string,
  sources: readonly CompiledSource[],
  keeps: (source: string) => boolean,
  version: string,
  o: CompileOptions,
): FolderPlan {
  const before = manifestOf(folder);
  const hashes = new Map<string, string>();
  const files = new Map<string, string>();
  const made = sources.flatMap(({ file, kernels, inputs }) => {
    const source = posix(relative(folder, file));
    return kernels.map((k) => {
      const emitted = kernelFiles(k, source, version, o);
      for (const f of emitted) files.set(f.name, f.contents);
      const names = emitted.map((f) => f.name);
      const entry: ManifestKernel = {
        name: k.kernel.name,
        exports: k.exports,
        source,
        inputs: inputs.map((f) => inputOf(folder, f, hashes)).sort((a, b) => byText(a.name, b.name)),
        files: [...names].sort(byText),
        kernel: withoutTexts(k.kernel),
      };
      return { entry, kernel: { ...k, files: names } };
    });
  });
  const listed = new Map((before?.files ?? []).map((f) => [f.name, f.sha256]));
  const others = (before?.kernels ?? []).filter((k) => keeps(join(folder, k.source)));
  const [clash] = nameClashes([
    ...others.map((k) => ({ name: k.name, source: posix(join(folder, k.source)) })),
    ...made.map(({ entry, kernel }) => ({ name: entry.name, source: kernel.place.file, place: kernel.place })),
  ]);
  if (clash) throw new SinterError(clash);
  const kept = new Set(others.flatMap((k) => k.files).filter((f) => !files.has(f)));
  const all = [
    ...[...files].map(([name, contents]): ManifestFile => ({ name, sha256: hashOf(contents) })),
    ...[...kept].map((name): ManifestFile => ({ name, sha256: listed.get(name) ?? "" })),
  ];
  const kernels = [...made.map((m) => m.entry), ...others].sort((a, b) => byText(a.name, b.name));
  if (kernels.length) {
    const manifest = { sinter: version, files: all.sort((a, b) => byText(a.name, b.name)), kernels };
    files.set(manifestName, manifestText(manifest));
  }
  return { folder, files, kept, before, kernels: made.map((m) => m.kernel) };
}

/** A file that a kernel was made from. What a package manager placed is named by its package. */
function inputOf(folder: string, file: string, hashes: Map<string, string>): ManifestFile {
  let sha256 = hashes.get(file);
  if (sha256 === undefined) hashes.set(file, (sha256 = hashOf(readFileSync(file))));
  const path = posix(file);
  const at = path.lastIndexOf("/node_modules/");
  return { name: at < 0 ? posix(relative(folder, file)) : path.slice(at + 1), sha256 };
}

function manifestOf(folder: string): BuildManifest | undefined {
  const file = join(folder, manifestName);
  const entry = lstatSync(file, { throwIfNoEntry: false });
  return entry ? readManifest(readFileSync(file, "utf8"), file) : undefined;
}

/** A file of a generated folder, and what is to be done about it. */
export interface PlannedFile {
  readonly name: string;
  /** As a check says it. */
  readonly status: Exclude<FileStatus, "written" | "removed">;
  /** What is to be there; absent for files that go or stay as they are. */
  readonly contents?: string;
}

/**
 * Compares a plan with the folder. Files of ours may be replaced and removed: those that the manifest lists, and those that say so
 * in their header. A listed file that was edited and that no kernel makes any more stays.
 */
export function compareFolder(plan: FolderPlan): { readonly files: PlannedFile[]; readonly diagnostics: Diagnostic[] } {
  const { folder, files, kept, before } = plan;
  const listed = new Map((before?.files ?? []).map((f) => [f.name, f.sha256]));
  const entries = new Map(entriesOf(folder).map((e) => [e.name, e]));
  const out: PlannedFile[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const [name, contents] of files) {
    const entry = entries.get(name);
    if (!entry) {
      out.push({ name, status: "missing", contents });
      continue;
    }
    const path = join(folder, name);
    const found = entry.isFile ? readFileSync(path, "utf8") : undefined;
    if (found === contents) out.push({ name, status: "unchanged", contents });
    else if (found !== undefined && (name === manifestName || listed.has(name) || hasHeader(found))) {
      out.push({ name, status: "stale", contents });
    } else {
      out.push({ name, status: "foreign" });
      diagnostics.push({
        code: "foreign-file",
        message: `${posix(join(basename(dirname(folder)), basename(folder), name))} was not written by Sinter, and a kernel needs its name`,
        hint: "move it, or rename the kernel",
        place: { file: path, line: 1, column: 1 },
      });
    }
  }
  for (const [name, { isFile }] of entries) {
    if (files.has(name)) continue;
    const hash = listed.get(name);
    const gone = name === manifestName || (hash !== undefined && !kept.has(name));
    const ours = isFile && gone && (name === manifestName || hashOf(readFileSync(join(folder, name))) === hash);
    if (kept.has(name)) out.push({ name, status: "unchanged" });
    else if (ours) out.push({ name, status: "stale" });
    else if (!name.startsWith(".")) out.push({ name, status: "foreign" });
  }
  return { files: out.sort((a, b) => byText(a.name, b.name)), diagnostics };
}

function entriesOf(folder: string): { readonly name: string; readonly isFile: boolean }[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).map((e) => ({ name: e.name, isFile: e.isFile() }));
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new SinterError(
      {
        code: "cannot-read",
        message: `the folder ${folder} cannot be read: ${(e as Error).message}`,
        hint: "check its permissions",
      },
      { cause: e },
    );
  }
}
