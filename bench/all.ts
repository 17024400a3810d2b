import { parseArgs } from "node:util";
import { command, count, flag, parsed, plainOptions, resultsFolder, string } from "./options.ts";
import { savedIn } from "./saved.ts";

/** What docs/performance.md shows of a GPU, in the order in which it is worth having. */
export const measurements: readonly string[] = [
  "gpt2-train --config distil --steps 20 --check",
  "gpt2-train --config distil --dtype f16 --steps 20 --check",
  "gpt2-train --config distil --dtype f16x3 --steps 20 --check",
  "gpt2-train --config distil --batch 8 --steps 20 --check",
  "gpt2-train --config distil --batch 8 --dtype f16 --steps 20 --check",
  "gpt2-train --config distil --batch 8 --dtype f16x3 --steps 20 --check",
  "rows",
  "attention",
  "matmul",
  "decode",
  "ablations --config distil",
  "ablations --config distil --dtype f16",
  "warmup --config distil",
  "warmup --config distil --dtype f16",
  "submits --config distil",
  "pool --config distil --steps 40",
  "graph --config distil",
  "tuning",
  "compile",
  "ops",
];

const help = `usage: npm run bench -- all [options]

Runs what the tables of docs/performance.md show of a GPU, one after the other, and keeps every result at once: about ten minutes on an
H200. A run that was broken off goes on with --resume.

  --list          print the commands, numbered, and run nothing
  --first N       begin with command N
  --last N        end with command N
  --resume        leave out what was measured today
  --out DIR       where results are kept; default ${resultsFolder}
  -h, --help      print this`;

interface AllOptions {
  readonly list: boolean;
  readonly first: number;
  readonly last: number;
  readonly resume: boolean;
  readonly out: string;
  readonly help: boolean;
}

const parse = (args: readonly string[]): AllOptions | string =>
  parsed(() => {
    const { help } = plainOptions;
    const options = { list: flag, first: string, last: string, resume: flag, out: string, help };
    const { values: v } = parseArgs({ args: [...args], options });
    const most = measurements.length;
    return {
      ...{ list: v.list, resume: v.resume, help: v.help, out: v.out ?? resultsFolder },
      first: count("first", v.first ?? "1", most),
      last: count("last", v.last ?? `${most}`, most),
    };
  });

/** `run` runs a command line and gives its exit code. */
export const all = (args: readonly string[], run: (args: readonly string[]) => Promise<number>): Promise<number> =>
  command("all", help, parse(args), (options) => runAll(options, run));

async function runAll(o: AllOptions, run: (args: readonly string[]) => Promise<number>): Promise<number> {
  const today = new Date().toISOString().slice(0, 10);
  const known = new Set(savedIn(o.out).flatMap((s) => s.entries.flatMap((e) => (e.date === today ? [e.command] : []))));
  const failed: string[] = [];
  for (const [i, line] of measurements.entries()) {
    if (o.list) console.log(`${i + 1}  npm run bench -- ${line}`);
    if (o.list || i + 1 < o.first || i + 1 > o.last) continue;
    if (o.resume && known.has(`npm run bench -- ${line}`)) continue;
    const began = performance.now();
    console.log(`\n${i + 1} of ${measurements.length}: npm run bench -- ${line}`);
    const code = await run([...line.split(" "), "--out", o.out]).catch((e: unknown) => {
      console.error(e);
      return 1;
    });
    if (code !== 0) failed.push(line);
    console.log(`${((performance.now() - began) / 1000).toFixed(0)} s, exit code ${code}`);
  }
  for (const line of failed) console.error(`bench all: failed: ${line}`);
  return failed.length ? 1 : 0;
}
