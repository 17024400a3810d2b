import { readFileSync } from "node:fs";
import { isAbsolute, relative } from "node:path";
import type { Location, PartialMessage } from "esbuild";
import { type Diagnostic, formatDiagnostic, type Place } from "../../src/base/diagnostic.ts";

/** The line of a place, without its end; empty where it cannot be read. */
function lineAt({ file, line }: Place): string {
  try {
    return readFileSync(file, "utf8").split(/\r\n|[\n\r]/)[line - 1] ?? "";
  } catch {
    return "";
  }
}

const headline = (d: Diagnostic): string => `${d.message} [${d.code}]`;

/** A diagnostic as esbuild prints its own. Paths are shown relative to `cwd`. */
export function esbuildMessage(d: Diagnostic, cwd: string): PartialMessage {
  const notes = [...(d.cause ? [{ text: d.cause }] : []), ...(d.hint ? [{ text: `next: ${d.hint}` }] : [])];
  return { text: headline(d), location: d.place ? location(d.place, cwd) : null, notes, detail: d };
}

function location(place: Place, cwd: string): Partial<Location> {
  const lineText = lineAt(place);
  const before = lineText.slice(0, place.column - 1);
  const word = /^[\w$]+/.exec(lineText.slice(place.column - 1))?.[0] ?? "";
  const near = relative(cwd, place.file);
  return {
    file: isAbsolute(near) || near.startsWith("..") ? place.file : near,
    line: place.line,
    // esbuild counts bytes.
    column: Buffer.byteLength(before),
    length: Buffer.byteLength(word),
    lineText,
  };
}

/** A diagnostic as Rollup, Rolldown and Vite take it. */
export interface RollupMessage {
  readonly message: string;
  /** `SINTER_` and the code. */
  readonly pluginCode: string;
  readonly id?: string;
  readonly loc?: { readonly file: string; readonly line: number; readonly column: number };
  readonly frame?: string;
}

export function rollupMessage(d: Diagnostic): RollupMessage {
  const { place: _, ...text } = d;
  const message = formatDiagnostic(text);
  const pluginCode = `SINTER_${d.code.toUpperCase().replaceAll("-", "_")}`;
  if (!d.place) return { message, pluginCode };
  const { file, line, column } = d.place;
  return { message, pluginCode, id: file, loc: { file, line, column: column - 1 }, frame: frame(d.place) };
}

/** Two lines around a place, as Rollup draws them. */
function frame(place: Place): string {
  let lines: readonly string[];
  try {
    lines = readFileSync(place.file, "utf8").split(/\r\n|[\n\r]/);
  } catch {
    return "";
  }
  const first = Math.max(1, place.line - 2);
  const last = Math.min(lines.length, place.line + 2);
  const width = String(last).length;
  const out: string[] = [];
  for (let n = first; n <= last; n++) {
    // A frame of a minified file would be pages long.
    out.push(`${String(n).padStart(width)}: ${(lines[n - 1] ?? "").slice(0, 400)}`);
    if (n === place.line) out.push(`${" ".repeat(width + 1 + place.column)}^`);
  }
  return out.join("\n");
}

/** A page, or a module of another build, asks for a kernel that a file no longer has. */
export const noSuchPart = (file: string, name = ""): Diagnostic => ({
  code: "no-such-kernel",
  message: `the kernel file has no ${name.replace(/\.ts$/, "")}`,
  place: { file, line: 1, column: 1 },
  hint: "load the page again, or build again what imports it",
});
