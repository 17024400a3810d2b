import { createRequire } from "node:module";
import type { PlainOptions } from "./options.ts";
import type { Probe } from "./probe.ts";
import { type Device, type Entry, save } from "./saved.ts";

/** What a benchmark found. */
export interface Found {
  readonly bench: string;
  readonly device: Device;
  /** What results keep, and `--json` prints. */
  readonly result: object;
  /** What `--json` prints besides. */
  readonly more?: object | undefined;
  /** The same for people. */
  readonly text: string;
  /** What is not as it must be: the exit code is 1. */
  readonly wrong?: readonly string[];
}

/** Prints what a benchmark found, writes the files that its options ask for, and gives the exit code. */
export function deliver(options: PlainOptions, found: Found, probe?: Probe): number {
  const profiles = probe?.figures() ?? [];
  const result = { ...found.result, ...found.more, ...(profiles.length && { profiles }) };
  if (options.json) console.log(JSON.stringify(result, null, 2));
  else console.log([found.text, ...(profiles.length && probe ? [probe.text()] : [])].join("\n\n"));
  const { out } = options;
  const wrong = [...(found.wrong ?? [])];
  const attempt = (what: string, body: () => void): void => {
    try {
      body();
    } catch (e) {
      wrong.push(`${what}: ${(e as Error).message}`);
    }
  };
  // A result that is wrong is not one to keep.
  if (out !== undefined && wrong.length === 0) {
    attempt("the result cannot be kept", () =>
      console.error(`kept in ${save(out, found.bench, found.device.key, entryOf(found, options))}`),
    );
  }
  attempt("the trace cannot be written", () => probe?.write());
  for (const w of wrong) console.error(`bench ${found.bench}: ${w}`);
  return wrong.length ? 1 : 0;
}

export const entryOf = (found: Found, { args }: PlainOptions): Entry => ({
  command: ["npm run bench --", found.bench, ...args].join(" "),
  date: new Date().toISOString().slice(0, 10),
  device: found.device.text,
  versions: { node: process.version, webgpu: versionOf("webgpu") },
  result: found.result as Entry["result"],
});

function versionOf(name: string): string {
  try {
    const { version } = createRequire(import.meta.url)(`${name}/package.json`) as { version: string };
    return version;
  } catch {
    return "unknown";
  }
}
