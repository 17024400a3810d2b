/** What is wrong with a command line. */
export class Wrong extends Error {}

/** Forms of options, for `parseArgs`. */
export const string = { type: "string" } as const;
export const flag = { type: "boolean", default: false } as const;
export const plainOptions = { json: flag, help: { ...flag, short: "h" } } as const;
export const sizeOptions = {
  ...{ layers: string, width: string, heads: string, vocab: string, batch: string, seq: string },
} as const;

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
  return run(options);
}
