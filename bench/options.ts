import { parseArgs } from "node:util";

/** What is wrong with a command line, or with a file that it names. */
export class Wrong extends Error {}

/** Forms of options, for `parseArgs`. */
export const string = { type: "string" } as const;
export const flag = { type: "boolean", default: false } as const;
export const plainOptions = {
  ...{ json: flag, save: flag, out: string, profile: flag, trace: string },
  help: { ...flag, short: "h" },
} as const;
export const sizeOptions = {
  ...{ layers: string, width: string, heads: string, vocab: string, batch: string, seq: string },
} as const;

/** Options of every benchmark. */
export interface PlainOptions {
  readonly json: boolean;
  readonly help: boolean;
  /** Time every kernel. */
  readonly profile: boolean;
  /** File for the profile's timeline. */
  readonly trace: string | undefined;
  /** Folder for the result. */
  readonly out: string | undefined;
  /** What the command line says besides: what was measured. */
  readonly args: readonly string[];
}

/** Where results are kept. */
export const resultsFolder = "bench/results";

export const plainHelp = `  --save          keep the result under ${resultsFolder}, where \`bench -- report\` makes the tables of docs/performance.md from it
  --out DIR       the same, in another folder
  --profile       after that, GPU time of every kernel by phase, one compute pass a dispatch; exit code 1 where the adapter has
                  no timestamp queries
  --trace FILE    the same, and write when what happened (Chrome's trace format, opens in ui.perfetto.dev)
  --json          stdout holds one JSON object alone
  -h, --help      print this`;

interface PlainValues {
  readonly json: boolean;
  readonly help: boolean;
  readonly save: boolean;
  readonly profile: boolean;
  readonly out?: string | undefined;
  readonly trace?: string | undefined;
}

export const plain = (v: PlainValues, args: readonly string[]): PlainOptions => ({
  json: v.json,
  help: v.help,
  profile: v.profile || v.trace !== undefined,
  trace: v.trace,
  out: v.out ?? (v.save ? resultsFolder : undefined),
  args: measured(args),
});

/** Arguments without those that only say what becomes of the result. */
function measured(args: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const [name, value] = (args[i] as string).split("=", 2);
    if (name === "--out" || name === "--trace") i += value === undefined ? 1 : 0;
    else if (!["--json", "--save", "--profile"].includes(args[i] as string)) out.push(args[i] as string);
  }
  return out;
}

/** The command line of a benchmark that has no options of its own, or what is wrong with it. */
export const parsePlain = (args: readonly string[]): PlainOptions | string =>
  parsed(() => plain(parseArgs({ args: [...args], options: plainOptions }).values, args));

export function choice<const T extends string>(name: string, value: string, known: readonly T[]): T {
  if ((known as readonly string[]).includes(value)) return value as T;
  throw new Wrong(`--${name} is ${JSON.stringify(value)}, but must be one of ${known.join(", ")}`);
}

/** A whole number from 1 to `most`, which is named only where it is a choice of the benchmark's. */
export function count(name: string, text: string, most?: number): number {
  const n = /^\d+$/.test(text) ? Number(text) : 0;
  if (n >= 1 && n <= (most ?? 2 ** 24)) return n;
  throw new Wrong(
    `--${name} is ${JSON.stringify(text)}, but must be a whole number from 1 ${most ? `to ${most}` : "on"}`,
  );
}

/** What `read` makes of a command line, or what is wrong with it. */
export function parsed<T>(read: () => T): T | string {
  try {
    return read();
  } catch (e) {
    return (e as Error).message.split(/\. |\n/)[0] as string;
  }
}

/** What `body` gives; where it fails, `what` and why. */
export function tried<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (e) {
    throw new Wrong(`${what}: ${(e as Error).message}`);
  }
}

/** Runs a benchmark with options of its own: the exit code is 2 for a wrong command line, and 0 where it only asked for help. */
export async function command<O extends { readonly help: boolean }>(
  name: string,
  help: string,
  options: O | string,
  run: (options: O) => Promise<number>,
): Promise<number> {
  if (typeof options === "string") {
    console.error(`bench ${name}: ${options}\n\n${help}`);
    return 2;
  }
  if (options.help) {
    console.log(help);
    return 0;
  }
  try {
    return await run(options);
  } catch (e) {
    if (!(e instanceof Wrong)) throw e;
    console.error(`bench ${name}: ${e.message}`);
    return 1;
  }
}
