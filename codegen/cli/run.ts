import { type Context, exit, Refused, UsageError } from "./context.ts";
import { colorOf, parse } from "./program.ts";
import { createTerminal, type Terminal } from "./terminal.ts";

/** Runs a command line and resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const color = colorOf(args);
  let terminal = createTerminal({ color });
  try {
    const request = parse(args);
    if ("text" in request) {
      terminal.out(request.text);
      return exit.ok;
    }
    const { command, args: given, options } = request;
    terminal = createTerminal({ color, json: "json" in options, quiet: "quiet" in options });
    const context: Context = { terminal, cwd: process.cwd(), args: given, options };
    return await (await command.load()).run(context);
  } catch (e) {
    await report(e, terminal);
    return e instanceof UsageError ? exit.usage : exit.failed;
  } finally {
    terminal.settle();
  }
}

/** Prints what stopped a command. */
async function report(e: unknown, terminal: Terminal): Promise<void> {
  const { diagnosticJson, diagnosticOf, renderAll } = await import("./render.ts");
  const list = e instanceof Refused ? e.diagnostics : [diagnosticOf(e)];
  if (terminal.json) terminal.out(JSON.stringify({ ok: false, diagnostics: list.map(diagnosticJson) }, null, 2));
  else terminal.error(renderAll(list, { colors: terminal.colors }));
}
