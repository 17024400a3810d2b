import { compile, openDevice, warmup as warmUp } from "sinter";
import { encode, specs } from "../examples/encoder/model.ts";
import { compileGraph } from "../src/compiler.ts";
import { type Comparison, median } from "./measure.ts";
import { adapterText, type Result } from "./report.ts";

const pairs = 3;

/** Warming up the encoder's pipelines several at a time against one after the other. */
export async function warmup(): Promise<Result> {
  const program = compile(specs, encode, { weights: ["params"] });
  const times = { parallel: [] as number[], sequential: [] as number[] };
  let kernels = 0;
  let adapter = "";
  for (let i = 0; i < 2 * pairs; i++) {
    const mode = [0, 3, 4].includes(i) ? "parallel" : "sequential";
    // Drivers keep what they compiled: a new device and other sizes each time make every pipeline new to them.
    const gpu = await openDevice();
    try {
      const { manifest } = compileGraph(program.bind({ B: 12, T: 16 + 4 * i }), gpu.capabilities);
      const report = await warmUp(gpu, manifest, mode === "sequential" ? { concurrency: 1 } : {});
      times[mode].push(report.elapsedMs);
      kernels = report.kernels;
      adapter = adapterText(gpu);
    } finally {
      gpu.dispose();
    }
  }
  const [a, b] = [median(times.parallel), median(times.sequential)];
  const ratios = times.sequential.map((t, i) => t / (times.parallel[i] as number));
  const comparison: Comparison = {
    a: { label: "parallel", median_ms: a },
    b: { label: "sequential", median_ms: b },
    ratio: b / a,
    spread: [Math.min(...ratios), Math.max(...ratios)],
    pairs,
  };
  const row = { name: "encoder", shape: "12 sentences", comparison, figures: { pipelines: kernels } };
  return { bench: "warmup", adapter, rows: [row] };
}
