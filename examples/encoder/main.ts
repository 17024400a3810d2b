import { type ExplainReport, SinterError } from "sinter";
import { progressBar, wantsColour } from "../shared/terminal.ts";
import { help, parseOptions } from "./cli.ts";
import { type Figures, runDemo, tolerance } from "./demo.ts";
import { heatmap } from "./heatmap.ts";
import { sentences as ownSentences } from "./sentences.ts";

/** Runs the demo; returns the exit code: 0, 1 for a diagnostic or a wrong result, 2 for a wrong command line. */
async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (typeof options === "string") {
    console.error(`demo: ${options}\n\n${help}`);
    return 2;
  }
  if (options.help) {
    console.log(help);
    return 0;
  }
  const sentences = options.sentences.length ? options.sentences : ownSentences;
  const bar = progressBar(process.stderr);
  try {
    const figures = await runDemo(sentences, {
      explained: (report) => {
        if (!options.json) console.log(`Universal Sentence Encoder Lite, ${sentences.length} sentences\n`);
        if (!options.json) console.log(options.why ? report.text : kernelTable(report));
      },
      progress: bar.update,
    });
    bar.end();
    if (options.json) console.log(JSON.stringify(figures, null, 2));
    else report(figures);
    if (figures.max_abs_diff <= tolerance) return 0;
    console.error(`demo: the embeddings differ from the reference by ${figures.max_abs_diff}, more than ${tolerance}`);
    return 1;
  } catch (e) {
    bar.end();
    if (!(e instanceof SinterError)) throw e;
    console.error(e.message);
    return 1;
  }
}

/** The report without the part that says why kernels did not fuse further. */
const kernelTable = (report: ExplainReport): string => {
  const table = report.text.split("\nnot fused:")[0] as string;
  return `${table}${report.edges.length} tensors pass between kernels: --why says why they did not fuse\n`;
};

function report(f: Figures): void {
  const time = (ms: number): string =>
    ms < 1000 ? `${ms.toFixed(ms < 10 ? 2 : 0)} ms` : `${(ms / 1000).toFixed(2)} s`;
  const lines = [
    `adapter     ${f.adapter}`,
    `cold        ${time(f.cold_ms)} from tracing to the first embeddings, ${time(f.warmup_ms)} of it warming up pipelines`,
    `warm        ${time(f.warm_ms)} a run: ${count(f.dispatches, "dispatch", "dispatches")} in ${count(f.submits, "submit")}`,
    `difference  ${f.max_abs_diff.toExponential(1)} at most from @energetic-ai/embeddings (${tolerance} allowed)`,
    "",
    "similarity (cosine) of the sentences",
    ...heatmap(f.similarities, f.sentences, wantsColour(process.stdout)),
  ];
  console.log(lines.join("\n"));
}

const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

process.exitCode = await main(process.argv.slice(2));
