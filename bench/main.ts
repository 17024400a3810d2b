import { parseArgs } from "node:util";
import { SinterError } from "sinter";
import { compile } from "./compile.ts";
import { gpt2Train } from "./gpt2-train.ts";
import { graph } from "./graph.ts";
import { matmul } from "./matmul.ts";
import { ops } from "./ops.ts";
import { pool } from "./pool.ts";
import { type Result, resultText } from "./report.ts";
import { submits } from "./submits.ts";
import { warmup } from "./warmup.ts";

interface Bench {
  readonly about: string;
  run(): Promise<Result>;
}

const benches: Readonly<Record<string, Bench>> = {
  ops: { about: "fused kernels over one kernel a primitive", run: ops },
  matmul: { about: "f32 matrix products over @jax-js/jax", run: matmul },
  compile: { about: "time from a graph to WGSL", run: compile },
};

/** Benchmarks with options of their own, run alone; they return the exit code. */
const commands: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  "gpt2-train": gpt2Train,
  warmup,
  submits,
  pool,
  graph,
};

const help = `usage: npm run bench -- [--json] NAME ...
       npm run bench -- gpt2-train|submits|pool|graph|warmup [options]

${Object.entries(benches)
  .map(([name, b]) => `  ${name.padEnd(10)}  ${b.about}`)
  .join("\n")}
  gpt2-train  GPT-2's training step, also against PyTorch's losses and @jax-js/jax: see gpt2-train --help
  submits     that step in one submit and in many, with 1 to 4 steps in flight: see submits --help
  pool        buffers found and created, with size classes and with exact sizes: see pool --help
  graph       what repeated calls of compile cost, and what they find: see graph --help
  warmup      that step's pipelines, concurrent over sequential over none: see warmup --help

  --json      print one JSON object, or a list when several benchmarks are named
  -h, --help  print this

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter. Medians; a ratio says how many times faster the first is.`;

/** The command line's options, or what is wrong with it. */
function parse(args: readonly string[]): { json: boolean; help: boolean; names: string[] } | string {
  try {
    const { values, positionals: names } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { json: { type: "boolean", default: false }, help: { type: "boolean", short: "h", default: false } },
    });
    const unknown = names.find((n) => !Object.hasOwn(benches, n));
    if (unknown !== undefined) return `there is no benchmark named ${JSON.stringify(unknown)}`;
    return values.help || names.length ? { ...values, names } : "name a benchmark";
  } catch (e) {
    return (e as Error).message.split(". ")[0] as string;
  }
}

/** Runs what the command line names; what the code refuses is printed, and the exit code is 1. */
async function main(args: readonly string[]): Promise<number> {
  const at = args.findIndex((a) => Object.hasOwn(commands, a));
  const command = commands[args[at] ?? ""];
  try {
    return command ? await command(args.toSpliced(at, 1)) : await run(args);
  } catch (e) {
    if (!(e instanceof SinterError)) throw e;
    console.error(e.message);
    return 1;
  }
}

async function run(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (typeof options === "string") {
    console.error(`bench: ${options}\n\n${help}`);
    return 2;
  }
  if (options.help) {
    console.log(help);
    return 0;
  }
  const results: Result[] = [];
  for (const name of options.names) {
    const result = await (benches[name] as Bench).run();
    results.push(result);
    if (!options.json) console.log(resultText(result));
  }
  if (options.json) console.log(JSON.stringify(results.length === 1 ? results[0] : results, null, 2));
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
