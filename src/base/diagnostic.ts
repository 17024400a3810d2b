/** Where in the user's source an op was called. `file` is a path or URL, `line` and `column` count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** What every error of Sinter says: a stable code, what went wrong, where, why, and what to do next. */
export interface Diagnostic {
  /** kebab-case, stable: `shape-mismatch`, `dtype-mismatch`, `unbound-dim`, … */
  readonly code: string;
  /** One sentence with the two shapes or dtypes in it. */
  readonly message: string;
  readonly cause?: string;
  /** A concrete next step. */
  readonly hint?: string;
  readonly place?: Place;
}

/** Reads source text for code frames; installed by the Node entry, absent in browsers. */
let readSource: ((file: string) => string | undefined) | undefined;
export function setSourceReader(read: (file: string) => string | undefined): void {
  readSource = read;
}

/** The only error class the library throws for bad input; `diagnostic` is its data form. */
export class SinterError extends Error {
  readonly code: string;
  readonly diagnostic: Diagnostic;
  constructor(diagnostic: Diagnostic, options?: { cause?: unknown }) {
    super(formatDiagnostic(diagnostic), options);
    this.name = "SinterError";
    this.code = diagnostic.code;
    this.diagnostic = diagnostic;
  }
}

/** Throws a {@link SinterError}. */
export function fail(code: string, message: string, more: Omit<Diagnostic, "code" | "message"> = {}): never {
  throw new SinterError({ code, message, ...more });
}

export function formatDiagnostic(d: Diagnostic): string {
  const lines = [`${d.message} [${d.code}]`];
  if (d.place) {
    lines.push(`  at ${d.place.file}:${d.place.line}:${d.place.column}`);
    const frame = codeFrame(d.place);
    if (frame) lines.push(frame);
  }
  if (d.cause) lines.push(`  cause: ${d.cause}`);
  if (d.hint) lines.push(`  next: ${d.hint}`);
  return lines.join("\n");
}

/** Two lines of context above and below the place, with a caret under the column; undefined when the source cannot be read. */
export function codeFrame(place: Place): string | undefined {
  const text = readSource?.(place.file);
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
