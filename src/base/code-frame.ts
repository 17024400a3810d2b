import type { Place } from "./diagnostic.ts";

/** What code frames need of Node; browsers have none of it. */
interface Host {
  readonly process?: { getBuiltinModule?(name: "node:fs"): { readFileSync(path: string, encoding: "utf8"): string } };
}

/** The text of a source file, where there are files. The file module is asked for, not imported: pages load this one too. */
function readSource(file: string): string | undefined {
  if (/^[a-z]+:\/\//i.test(file)) return undefined;
  try {
    return (globalThis as Host).process?.getBuiltinModule?.("node:fs").readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** Two lines of context above and below the place, with a caret under the column; undefined when the source cannot be read. */
export function codeFrame(place: Place): string | undefined {
  const text = readSource(place.file);
  if (text === undefined) return undefined;
  const lines = text.split("\n");
  if (place.line > lines.length) return undefined;
  const first = Math.max(1, place.line - 2);
  const last = Math.min(lines.length, place.line + 2);
  const width = String(last).length;
  const out: string[] = [];
  for (let n = first; n <= last; n++) {
    const mark = n === place.line ? ">" : " ";
    out.push(`  ${mark} ${String(n).padStart(width)} | ${lines[n - 1] ?? ""}`);
    if (n === place.line) out.push(`    ${" ".repeat(width)} | ${" ".repeat(Math.max(0, place.column - 1))}^`);
  }
  return out.join("\n");
}
