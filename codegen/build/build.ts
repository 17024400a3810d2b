import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { type Diagnostic, SinterError } from "../../src/base/diagnostic.ts";
import { hasHeader, hashOf } from "../emit/index.ts";
import type { CompileCache } from "./cache.ts";
import { commit } from "./commit.ts";
import { inOrder, withSeverity } from "./diagnostics.ts";
import { findSources } from "./find.ts";
import { compareFolder, type FolderPlan, type PlannedFile, planFolder } from "./folder.ts";
import { nameClashes } from "./names.ts";
import { buildOptions, type FullOptions } from "./options.ts";
import { byText, folderProblem, posix } from "./paths.ts";
import type { SourceResult } from "./source.ts";
import { compileSources } from "./sources.ts";
import { toolVersion } from "./toolchain.ts";
import type { BuildDiagnostic, BuildOptions, BuildResult, BuiltFile, BuiltKernel } from "./types.ts";
import type { Workers } from "./workers.ts";

/** Builds all kernel files below a root. Fails with a SinterError for options and folders that cannot be built. */
export async function buildAll(
  root: string,
  given: BuildOptions,
  cache: CompileCache,
  workers: Workers,
  started: number,
): Promise<BuildResult> {
  const o = buildOptions(given);
  const found = await findSources({ ...o, root });
  const results = await withProgress(root, found.selected, o, (onFile) =>
    compileSources(found.selected, { ...o, onFile }, cache, workers),
  );
  const clashes = clashesOf(root, results, o);
  const errors = [...results.flatMap((r) => r.diagnostics), ...clashes];
  const shared = {
    built: results.filter((r) => !r.skipped).length,
    skipped: results.filter((r) => r.skipped).length,
    inputs: [...new Set(results.flatMap((r) => r.inputs))].sort(byText),
  };
  const result = (ok: boolean, diagnostics: readonly BuildDiagnostic[], rest?: Partial<BuildResult>): BuildResult => ({
    ok,
    files: [],
    kernels: [],
    diagnostics: inOrder(diagnostics),
    ...shared,
    elapsedMs: performance.now() - started,
    ...rest,
  });
  const warnings = withSeverity("warning", found.warnings);
  if (errors.length) return result(false, [...withSeverity("error", errors), ...warnings]);

  const { plans, diagnostics } = plansOf(root, found.folders, results, o);
  const compared = plans.map((plan) => ({ plan, ...compareFolder(plan) }));
  diagnostics.push(...compared.flatMap((c) => c.diagnostics));
  if (diagnostics.length) return result(false, [...withSeverity("error", diagnostics), ...warnings]);

  o.signal?.throwIfAborted();
  const writes = o.write && !o.check;
  if (writes) {
    commit(
      compared.map(({ plan, files }) => ({
        folder: plan.folder,
        write: files.flatMap((f) =>
          changes(f) && f.contents !== undefined ? [{ name: f.name, contents: f.contents }] : [],
        ),
        remove: files.flatMap((f) => (changes(f) && f.contents === undefined ? [f.name] : [])),
      })),
    );
    if (!o.only) cache.prune(found.selected);
  }
  const files = compared.flatMap(({ plan, files }) => files.map((f) => builtFile(root, plan.folder, f, writes)));
  return result(!o.check || files.every((f) => f.status === "unchanged"), warnings, {
    files: files.sort((a, b) => byText(a.path, b.path)),
    kernels: kernelsOf(root, results, plans),
  });
}

const changes = (f: PlannedFile): boolean => f.status === "missing" || f.status === "stale";

function builtFile(root: string, folder: string, f: PlannedFile, writes: boolean): BuiltFile {
  const done = f.contents === undefined ? "removed" : "written";
  return {
    path: posix(relative(root, join(folder, f.name))),
    status: writes && changes(f) ? done : f.status,
    ...(f.contents === undefined ? {} : { contents: f.contents, hash: hashOf(f.contents) }),
  };
}

/** The last event is `done` or `failed`. */
async function withProgress<T>(
  root: string,
  files: readonly string[],
  { onProgress }: FullOptions,
  body: (onFile: (file: string, done: number) => void) => Promise<T>,
): Promise<T> {
  const total = files.length;
  let done = 0;
  onProgress?.({ status: "start", done, total });
  try {
    const result = await body((file, n) => {
      done = n;
      onProgress?.({ status: "file", done, total, file: posix(relative(root, file)) });
    });
    onProgress?.({ status: "done", done, total });
    return result;
  } catch (e) {
    onProgress?.({ status: "failed", done, total });
    throw e;
  }
}

const folderOf = (file: string, o: FullOptions): string => join(dirname(file), o.outDir);

/** Kernels whose generated files would lie over each other. */
function clashesOf(root: string, results: readonly SourceResult[], o: FullOptions): Diagnostic[] {
  const byFolder = new Map<string, SourceResult[]>();
  for (const r of results) byFolder.set(folderOf(r.file, o), [...(byFolder.get(folderOf(r.file, o)) ?? []), r]);
  return [...byFolder.values()].flatMap((list) =>
    nameClashes(
      list.flatMap((r) =>
        r.kernels.map((k) => ({
          name: k.kernel.name,
          source: posix(relative(root, r.file)),
          place: k.place,
        })),
      ),
    ),
  );
}

/** A plan for each folder that has, or had, generated files. */
function plansOf(
  root: string,
  folders: readonly string[],
  results: readonly SourceResult[],
  o: FullOptions,
): { readonly plans: readonly FolderPlan[]; readonly diagnostics: Diagnostic[] } {
  const selected = new Set(results.map((r) => r.file));
  const own = new Set(results.map((r) => folderOf(r.file, o)));
  const all = [...new Set([...own, ...folders.filter(isGenerated)])].sort(byText);
  const diagnostics: Diagnostic[] = [];
  const plans = all.flatMap((folder): FolderPlan[] => {
    const problem = folderProblem(root, folder);
    if (problem) diagnostics.push(problem);
    if (problem) return [];
    const sources = results.filter((r) => folderOf(r.file, o) === folder);
    try {
      return [planFolder(folder, sources, (s) => !selected.has(s) && existsSync(s), toolVersion(), o)];
    } catch (e) {
      if (!(e instanceof SinterError)) throw e;
      diagnostics.push(e.diagnostic);
      return [];
    }
  });
  return { plans, diagnostics };
}

/** Whether a folder without kernel files is ours: others have manifests too. */
const isGenerated = (folder: string): boolean =>
  readdirSync(folder, { withFileTypes: true }).some(
    (e) => e.isFile() && /\.(?:ts|wgsl)$/.test(e.name) && hasHeader(readFileSync(join(folder, e.name), "utf8")),
  );

const kernelsOf = (root: string, results: readonly SourceResult[], plans: readonly FolderPlan[]): BuiltKernel[] =>
  results.flatMap((r) =>
    r.kernels.map((k) => {
      const plan = plans.find((p) => p.kernels.some((x) => x.kernel === k.kernel));
      const files = plan?.kernels.find((x) => x.kernel === k.kernel)?.files ?? [];
      const source = posix(relative(root, r.file));
      return { ...k, source, files: files.map((f) => posix(relative(root, join((plan as FolderPlan).folder, f)))) };
    }),
  );
