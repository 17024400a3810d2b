import { resolve } from "node:path";
import type { BuildDiagnostic, BuildProgress, BuildResult, BuiltFile, FileStatus } from "../build/types.ts";
import { countText, diagnosticJson, plural, renderAll } from "./render.ts";
import type { Colors, Terminal } from "./terminal.ts";

/** Statuses in the order in which files are listed; unchanged ones are not. */
const listed: readonly FileStatus[] = ["foreign", "missing", "stale", "written", "removed"];

const paints: Readonly<Record<FileStatus, (c: Colors) => (text: string) => string>> = {
  written: (c) => c.green,
  removed: (c) => c.red,
  stale: (c) => c.yellow,
  missing: (c) => c.yellow,
  foreign: (c) => c.magenta,
  unchanged: (c) => c.dim,
};

/**
 * Prints a build's result: files that differ as data, diagnostics beside it.
 * @param indent of the JSON; 0 puts it on one line
 */
export function reportBuild(result: BuildResult, terminal: Terminal, root: string, indent = 2): void {
  if (terminal.json) {
    terminal.out(JSON.stringify(buildJson(result, root), null, indent));
    return;
  }
  const { outColors: c } = terminal;
  const files = changed(result);
  const width = Math.max(0, ...files.map((f) => f.status.length));
  const lines = (files.length > most ? grouped(files) : files).map(
    ({ status, path }) => `${paints[status](c)(status.padEnd(width))}  ${path}`,
  );
  if (lines.length) terminal.out(lines.join("\n"));
  if (result.diagnostics.length)
    terminal.error(
      renderAll(
        result.diagnostics.map((d) => placed(d, root)),
        { colors: terminal.colors },
      ),
    );
}

/** Files that are listed one by one; more are summed up by kernel. */
const most = 24;

type Line = Pick<BuiltFile, "path" | "status">;

/** Files written or removed for one kernel in one line. What a check finds is listed whole. */
function grouped(files: readonly Line[]): readonly Line[] {
  const groups = new Map<string, Line[]>();
  for (const f of files) {
    const sum = f.status === "written" || f.status === "removed";
    const key = `${f.status} ${sum ? stemOf(f.path) : f.path}`;
    groups.set(key, [...(groups.get(key) ?? []), f]);
  }
  return [...groups.values()].flatMap((list): Line[] => {
    const [{ status, path }] = list as [Line];
    return list.length === 1 ? list : [{ status, path: `${stemOf(path)}.* (${list.length} files)` }];
  });
}

/** A path without everything after the first dot of the file's name. */
function stemOf(path: string): string {
  const dot = path.indexOf(".", path.lastIndexOf("/") + 1);
  return dot < 0 ? path : path.slice(0, dot);
}

export const changed = (result: BuildResult): BuiltFile[] =>
  listed.flatMap((status) => result.files.filter((f) => f.status === status));

/** `12 kernels of 4 files (1 compiled, 3 unchanged); 5 files written, 43 unchanged; 812 ms` */
export function summary(result: BuildResult): string {
  const { kernels, built, skipped, files, elapsedMs } = result;
  const counts = [...listed, "unchanged" as const].flatMap((status) => {
    const n = files.filter((f) => f.status === status).length;
    return n ? [`${n} ${status}`] : [];
  });
  const sources = `${plural(kernels.length, "kernel")} of ${plural(built + skipped, "file")} (${built} compiled, ${skipped} unchanged)`;
  const errors = countText(result.diagnostics);
  return [
    ...(errors ? [errors] : []),
    sources,
    `generated files: ${counts.join(", ") || "none"}`,
    timeText(elapsedMs),
  ].join("; ");
}

const timeText = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

export const progressText = ({ done, total, file }: BuildProgress): string => `[${done}/${total}] ${file ?? ""}`;

/** Everything but the files' contents and the kernels' texts. */
function buildJson(result: BuildResult, root: string): object {
  const { ok, files, kernels, diagnostics, built, skipped, elapsedMs } = result;
  return {
    ...{ ok, built, skipped, elapsedMs: Math.round(elapsedMs) },
    files: files.map(({ path, status, hash }) => ({ path, status, ...(hash === undefined ? {} : { hash }) })),
    kernels: kernels.map(({ kernel, source, files, place }) => ({
      name: kernel.name,
      source,
      ...(place ? { line: place.line } : {}),
      files,
    })),
    diagnostics: diagnostics.map((d) => diagnosticJson(placed(d, root))),
  };
}

/** Places are relative to the root; frames and people need them from here. */
const placed = (d: BuildDiagnostic, root: string): BuildDiagnostic =>
  d.place ? { ...d, place: { ...d.place, file: resolve(root, d.place.file) } } : d;
