import { Command, CommanderError, Option } from "commander";
import { type CommandText, commands, sharedOptions } from "./commands.ts";
import { type Context, misused } from "./context.ts";
import { type ColorMode, colorModes, createTerminal, wantsColor } from "./terminal.ts";
import { packageJson } from "./version.ts";

/** What the command line asks for, or the text to print instead. */
export type Request =
  | { readonly command: CommandText; readonly args: readonly string[]; readonly options: Context["options"] }
  | { readonly text: string };

const names = commands.map((c) => c.name);
const general = [
  ["sinter init", "start"],
  ["sinter COMMAND --help", "options and examples of a command"],
] as const;

/** `--color`, before the command line is understood as a whole: its own errors are coloured too. */
export function colorOf(args: readonly string[]): ColorMode {
  const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
  const at = own.findIndex((a) => a === "--color" || a.startsWith("--color="));
  const value = own[at] === "--color" ? own[at + 1] : own[at]?.slice("--color=".length);
  return colorModes.find((m) => m === value) ?? "auto";
}

/**
 * Reads a command line.
 * @throws UsageError `bad-usage`
 */
export function parse(args: readonly string[]): Request {
  const printed: string[] = [];
  let request: Request | undefined;
  const root = styled(new Command("sinter"), args, printed)
    .description("Builds kernels ahead: WGSL and typed modules from *.kernel.ts files.")
    .version(packageJson().version, "-V, --version", "print the version")
    .addHelpText("after", examplesText(general))
    .helpCommand("help [command]", "print the help of a command");
  for (const command of commands) {
    const made = styled(root.command(command.name), args, printed)
      .summary(command.summary)
      .description(command.description)
      .addHelpText("after", examplesText(command.examples));
    if (command.args) made.argument(command.args);
    for (const [flags, about] of [...command.options, ...sharedOptions]) {
      const option = new Option(flags, about);
      made.addOption(flags.startsWith("--color") ? option.choices(colorModes) : option);
    }
    made.action((...given: unknown[]) => {
      const values = command.args ? [given[0]].flat().filter((v): v is string => typeof v === "string") : [];
      request = { command, args: values, options: made.opts() };
    });
  }
  try {
    root.parse(args, { from: "user" });
  } catch (e) {
    if (!(e instanceof CommanderError)) throw e;
    if (e.exitCode === 0) return { text: printed.join("").trimEnd() };
    if (e.code === "commander.help") {
      misused("bad-usage", "no command is given", { hint: `choose one of ${names.join(", ")}; see sinter --help` });
    }
    refuse(e.message, args);
  }
  return request as Request;
}

function styled(command: Command, args: readonly string[], printed: string[]): Command {
  const color = wantsColor(colorOf(args), process.stdout, process.env);
  const { outColors: c, width } = createTerminal({ color: color ? "always" : "never" });
  return command
    .exitOverride()
    .configureOutput({
      writeOut: (t) => printed.push(t),
      writeErr: () => undefined,
      getOutHasColors: () => color,
      getOutHelpWidth: () => width,
    })
    .configureHelp({
      styleTitle: (t) => c.bold(t),
      styleCommandText: (t) => c.cyan(t),
      styleSubcommandText: (t) => c.cyan(t),
      styleOptionText: (t) => c.cyan(t),
    })
    .helpOption("-h, --help", "print this")
    .allowExcessArguments(false);
}

function examplesText(examples: CommandText["examples"]): string {
  const width = Math.max(...examples.map(([line]) => line.length));
  return ["", "Examples:", ...examples.map(([line, about]) => `  ${line.padEnd(width)}  ${about}`)].join("\n");
}

/** Commander's message in our form: `error: unknown option '--jsn'\n(Did you mean --json?)`. */
function refuse(message: string, args: readonly string[]): never {
  const [what = "", suggestion] = message.replace(/^error: /, "").split("\n");
  const near = /\(Did you mean (.+)\?\)/i.exec(suggestion ?? "")?.[1];
  const known = commands.find((c) => args.includes(c.name));
  return misused("bad-usage", what.replaceAll("'", '"').replace(/\.$/, ""), {
    hint: near ? `did you mean ${near}?` : `see sinter ${known ? `${known.name} ` : ""}--help`,
  });
}
