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

/** Shows the source around a place; absent where nothing notes places, so that pages that only run kernels do without. */
let frameOf: ((place: Place) => string | undefined) | undefined;
export function showFrames(frame: (place: Place) => string | undefined): void {
  frameOf = frame;
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
    const frame = frameOf?.(d.place);
    if (frame) lines.push(frame);
  }
  if (d.cause) lines.push(`  cause: ${d.cause}`);
  if (d.hint) lines.push(`  next: ${d.hint}`);
  return lines.join("\n");
}
