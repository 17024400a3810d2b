import { type Diagnostic, SinterError } from "../../src/base/diagnostic.ts";
import type { Terminal } from "./terminal.ts";

/** What a command gets. */
export interface Context {
  readonly terminal: Terminal;
  readonly cwd: string;
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
}

/** A command's module, imported when the command is run. Resolves to the exit code. */
export interface CommandModule {
  run(context: Context): Promise<number>;
}

/** Exit codes: all went well; the input has errors or generated files are stale; the command line is wrong; interrupted. */
export const exit = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** A mistake on the command line: the command ends with exit code 2. */
export class UsageError extends SinterError {}

/** Several diagnostics end a command. */
export class Refused extends Error {
  readonly diagnostics: readonly Diagnostic[];
  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map((d) => d.message).join("\n"));
    this.name = "Refused";
    this.diagnostics = diagnostics;
  }
}

/** Throws a {@link UsageError}. */
export function misused(code: string, message: string, more: Omit<Diagnostic, "code" | "message"> = {}): never {
  throw new UsageError({ code, message, ...more });
}

/** Options of a command that are text, or undefined. */
export function textOption(context: Context, name: string): string | undefined {
  const value = context.options[name];
  return typeof value === "string" ? value : undefined;
}
