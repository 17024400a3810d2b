import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { codeFrameColumns } from "@babel/code-frame";
import type { Diagnostic, Place } from "../../src/base/diagnostic.ts";
import type { Colors } from "./terminal.ts";

/** A diagnostic as the build reports it: `severity` is `error` where it is left out. */
export interface Reported extends Diagnostic {
  readonly severity?: "error" | "warning";
  /** Columns that the place covers, for the code frame. */
  readonly length?: number;
}

export interface RenderOptions {
  readonly colors: Colors;
  /** Paths are shown relative to it. */
  readonly cwd?: string;
  /** Source text for the frame; by default the file's. */
  readonly read?: (file: string) => string | undefined;
}

/**
 * A diagnostic as text: headline with severity and code, place, code frame, cause as a note, next step as help.
 * Nothing of a user's text reaches the terminal as a control sequence.
 */
export function renderDiagnostic(d: Reported, options: RenderOptions): string {
  const { colors: c, cwd = process.cwd(), read = readSource } = options;
  const severity = d.severity ?? "error";
  const paint = severity === "error" ? c.red : c.yellow;
  const lines = [c.bold(`${paint(`${severity}[${d.code}]`)}: ${visible(d.message)}`)];
  if (d.place) {
    lines.push(`  ${c.cyan("-->")} ${visible(shortPath(d.place.file, cwd))}:${d.place.line}:${d.place.column}`);
    const frame = frameOf(d.place, d.length, c, read(d.place.file));
    if (frame) lines.push(indent(frame, "  "));
  }
  if (d.cause) lines.push(`  ${c.bold("note")}: ${hang(visible(d.cause), 8)}`);
  if (d.hint) lines.push(`  ${c.bold(c.green("help"))}: ${hang(visible(d.hint), 8)}`);
  return lines.join("\n");
}

/** Diagnostics one below the other, and how many there are. */
export function renderAll(list: readonly Reported[], options: RenderOptions): string {
  const each = list.map((d) => renderDiagnostic(d, options));
  return [...each, ...(list.length > 1 ? [options.colors.bold(countText(list))] : [])].join("\n\n");
}

/** The same as data, with the place's parts at the top as tools expect them. */
export function diagnosticJson(d: Reported): object {
  const { severity = "error", code, message, place, length, cause, hint } = d;
  return {
    ...{ severity, code, message },
    ...(place ? { file: place.file, line: place.line, column: place.column } : {}),
    ...(length === undefined ? {} : { length }),
    ...(cause === undefined ? {} : { note: cause }),
    ...(hint === undefined ? {} : { help: hint }),
  };
}

/** What was thrown as a diagnostic: an error of Sinter, of whichever copy, or a bug of ours with its stack. */
export function diagnosticOf(e: unknown): Reported {
  if (e instanceof Error && e.name === "SinterError" && "diagnostic" in e) return e.diagnostic as Diagnostic;
  const thrown = e instanceof Error ? e : new Error(String(e));
  return {
    code: "internal-error",
    message: thrown.message,
    cause: thrown.stack ?? "it has no stack",
    hint: "this is a bug in Sinter: please report it with the output of sinter doctor",
  };
}

/** `2 errors, 1 warning` */
export function countText(list: readonly Reported[]): string {
  const n = (severity: string): number => list.filter((d) => (d.severity ?? "error") === severity).length;
  return [plural(n("error"), "error"), plural(n("warning"), "warning")].filter((t) => !t.startsWith("0 ")).join(", ");
}

export const plural = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? "" : "s"}`;

function frameOf(at: Place, length: number | undefined, c: Colors, text: string | undefined): string | undefined {
  if (text === undefined || at.line < 1 || at.line > text.split("\n").length) return undefined;
  const start = { line: at.line, column: Math.max(1, at.column) };
  // A frame of a minified file would be pages long.
  const lines = text.split("\n").map((l) => visible(l).slice(0, 400));
  return codeFrameColumns(
    lines.join("\n"),
    { start, ...(length === undefined ? {} : { end: { line: at.line, column: start.column + length } }) },
    { highlightCode: c.isColorSupported, forceColor: c.isColorSupported, linesAbove: 2, linesBelow: 2 },
  );
}

function readSource(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** The shorter of a path and the path relative to a folder. */
function shortPath(file: string, cwd: string): string {
  const near = relative(cwd, file);
  return near !== "" && near.length < file.length ? near : file;
}

const indent = (text: string, by: string): string => text.replace(/^/gm, by);
const hang = (text: string, columns: number): string => text.replaceAll("\n", `\n${" ".repeat(columns)}`);

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Text in which control characters cannot act: escape sequences in names and sources stay text. */
const visible = (text: string): string =>
  text.replace(/\r\n/g, "\n").replace(control, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
