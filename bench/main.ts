import { SinterError } from "sinter";
import { ablations } from "./ablations.ts";
import { against } from "./against.ts";
import { all } from "./all.ts";
import { attention } from "./attention.ts";
import { compile } from "./compile.ts";
import { decode } from "./decode.ts";
import { gpt2Train } from "./gpt2-train.ts";
import { graph } from "./graph.ts";
import { matmul } from "./matmul.ts";
import { ops } from "./ops.ts";
import { report } from "./page.ts";
import { pool } from "./pool.ts";
import { rows } from "./rows.ts";
import { submits } from "./submits.ts";
import { tuning } from "./tuning.ts";
import { warmup } from "./warmup.ts";

interface Bench {
  readonly about: string;
  /** Returns the exit code. */
  run(args: readonly string[]): Promise<number>;
}

const benches: Readonly<Record<string, Bench>> = {
  "gpt2-train": { about: "GPT-2's training step, also against PyTorch's losses and @jax-js/jax", run: gpt2Train },
  ablations: {
    about: "the training step with fusion, arenas, bundles, tuning, one submit or f32 switched off",
    run: ablations,
  },
  matmul: { about: "matrix products: TFLOP/s, and f32 over @jax-js/jax", run: matmul },
  attention: { about: "attention, forward and backward, beside its products alone", run: attention },
  rows: { about: "row kernels, column sums, AdamW, gathers and scatters beside a copy", run: rows },
  decode: {
    about: "a token at a time: GPT-2 with a cache, int4 feed-forward layers; beside their floors",
    run: decode,
  },
  ops: { about: "fused kernels over one kernel a primitive", run: ops },
  submits: { about: "the training step in one submit and in many, with 1 to 4 steps in flight", run: submits },
  pool: { about: "buffers found and created, with size classes and with exact sizes", run: pool },
  tuning: { about: "kernels as a tuning table has them over kernels without it", run: tuning },
  graph: { about: "what repeated calls of compile cost, and what they find", run: graph },
  warmup: { about: "the training step's pipelines, concurrent over sequential over none", run: warmup },
  compile: { about: "time from a graph to WGSL", run: compile },
  all: { about: "all that docs/performance.md shows of a GPU, results kept", run: (args) => all(args, main) },
  against: { about: "a benchmark of this tree and of another one, in turns", run: against },
  report: { about: "writes the tables of docs/performance.md from kept results", run: report },
};

const help = `usage: npm run bench -- NAME [options]

${Object.entries(benches)
  .map(([name, b]) => `  ${name.padEnd(10)}  ${b.about}`)
  .join("\n")}

npm run bench -- NAME --help lists the options of one: --json, --save, --profile and --trace FILE are known to all.
SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

/** Runs what the command line names; what the code refuses is printed, and the exit code is 1. */
async function main(args: readonly string[]): Promise<number> {
  const at = args.findIndex((a) => Object.hasOwn(benches, a));
  const bench = benches[args[at] ?? ""];
  if (!bench) {
    const asked = args.includes("-h") || args.includes("--help");
    const name = args.find((a) => !a.startsWith("-"));
    const wrong = name === undefined ? "name a benchmark" : `there is no benchmark named ${JSON.stringify(name)}`;
    if (asked) console.log(help);
    else console.error(`bench: ${wrong}\n\n${help}`);
    return asked ? 0 : 2;
  }
  try {
    return await bench.run(args.toSpliced(at, 1));
  } catch (e) {
    if (!(e instanceof SinterError)) throw e;
    console.error(e.message);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
