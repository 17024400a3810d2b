import { compile as compileProgram, i32, openDevice, type Program } from "sinter";
import { encode, specs } from "../examples/encoder/model.ts";
import { compileGraph } from "../src/compiler.ts";
import { type GptSizes, gpt, gptSpecs } from "../test/models/gpt.ts";
import { deliver } from "./deliver.ts";
import { median } from "./measure.ts";
import { command, type PlainOptions, parsePlain, plainHelp } from "./options.ts";
import { Probe } from "./probe.ts";
import { profileStep } from "./profile-step.ts";
import { type Row, rowsFound } from "./report.ts";
import { deviceOf } from "./saved.ts";

/** What a compilation may take, in milliseconds. */
const bar = 300;

const distil: GptSizes = {
  layers: 6,
  heads: 12,
  width: 768,
  vocabulary: 50257,
  context: 1024,
  matrices: "in-out",
  tied: true,
};

const help = `usage: npm run bench -- compile [options]

Times from a traced graph to WGSL and a plan, for the adapter's capabilities. No kernel runs; a profile is of DistilGPT-2's
training step.

${plainHelp}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

export const compile = (args: readonly string[]): Promise<number> => command("compile", help, parsePlain(args), run);

async function run(options: PlainOptions): Promise<number> {
  const gpu = await openDevice();
  gpu.dispose();
  const probe = new Probe(options);
  const { layers, heads, width, vocabulary: vocab, context: positions } = distil;
  await profileStep(probe, { layers, heads, width, vocab, positions, batch: 1, seq: 512 }, "f32");
  const gpt2 = () =>
    compileProgram({ ids: i32(1, 512), params: gptSpecs(distil) }, ({ ids, params }) => gpt(params, ids, distil), {
      weights: ["params"],
    });
  const encoder = () => compileProgram(specs, encode, { weights: ["params"] });
  const rows = [
    measure("encoder", "12 sentences, 16 tokens", encoder, { B: 12, T: 16 }),
    measure("GPT-2 forward, 6 layers, d 768", "1x512", gpt2, {}),
  ];
  return deliver(options, rowsFound("compile", deviceOf(gpu), rows), probe);

  /** The first compilation meets code that the JavaScript engine has not optimised: it is told apart from the later ones. */
  function measure(
    name: string,
    shape: string,
    make: () => Pick<Program, "graph" | "bind">,
    dims: Record<string, number>,
  ): Row {
    const times: number[] = [];
    let kernels = 0;
    let ops = 0;
    for (let i = 0; i < 8; i++) {
      const program = make();
      const started = performance.now();
      const { report } = compileGraph(program.bind(dims), gpu.capabilities);
      times.push(performance.now() - started);
      kernels = report.totals.kernels;
      ops = report.graphOps;
    }
    const [first, ...later] = times;
    return {
      name,
      shape,
      figures: { graph_ops: ops, kernels, first_ms: first as number, median_ms: median(later), bar_ms: bar },
    };
  }
}
