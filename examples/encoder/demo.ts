import { compile, type ExplainReport, openDevice } from "sinter";
import { architecture, loadWeights } from "./architecture.ts";
import { toBatch } from "./batch.ts";
import { encode, specs } from "./model.ts";
import { openReference } from "./reference.ts";
import { maxAbsDiff, rowsOf, similarities } from "./similarity.ts";
import { createTokenizer } from "./tokenizer.ts";
import { modelFolder, readGraphModel, readVocabulary } from "./weights.ts";

/** The embeddings may differ from the reference implementation's by this much. */
export const tolerance = 1e-4;

/** What the demo found out. Times are in milliseconds. */
export interface Figures {
  readonly adapter: string;
  /** Operations of the traced graph, inputs not counted. */
  readonly graph_ops: number;
  /** Distinct kernels that run every time. */
  readonly kernels: number;
  /** Dispatches and submits of one run. */
  readonly dispatches: number;
  readonly submits: number;
  /** Compiling and priming every pipeline. */
  readonly warmup_ms: number;
  /** From tracing to the first embeddings on the CPU: trace, compile, warm up, upload, run. */
  readonly cold_ms: number;
  /** Median of later runs, token ids up and embeddings down. */
  readonly warm_ms: number;
  readonly max_abs_diff: number;
  readonly similarities: readonly (readonly number[])[];
  readonly sentences: readonly string[];
}

export interface Watcher {
  /** What the compiler did, once the program is compiled for the device. */
  explained(report: ExplainReport): void;
  progress(done: number, total: number, text: string): void;
}

/** Compiles the encoder for the adapter, embeds the sentences with it and with the reference, and measures. */
export async function runDemo(sentences: readonly string[], watcher: Watcher): Promise<Figures> {
  const folder = modelFolder();
  const weights = loadWeights(readGraphModel(folder));
  const batch = toBatch(createTokenizer(readVocabulary(folder)), sentences);
  const inputs = { ids: batch.ids, lengths: batch.lengths };
  const dims = { B: batch.B, T: batch.T };
  const gpu = await openDevice();
  try {
    let warmup = 0;
    const started = performance.now();
    const program = compile(specs, encode, { weights: ["params"] });
    const explained = program.explain({ dims, capabilities: gpu.capabilities });
    watcher.explained(explained);
    const session = await program.load(gpu, {
      weights: { params: weights },
      dims,
      strict: true,
      onProgress(event) {
        warmup = event.elapsedMs;
        watcher.progress(event.completed, event.total, event.text);
      },
    });
    const embed = async (): Promise<Float32Array> => {
      const out = await session.run(inputs, { read: true });
      const data = (await out.data()) as Float32Array;
      out.dispose();
      return data;
    };
    const embeddings = await embed();
    const cold = performance.now() - started;
    const before = gpu.counters.snapshot();
    const times = [await timed(embed)];
    const after = gpu.counters.snapshot();
    while (times.length < 9 && times.reduce((s, t) => s + t) < 3000) times.push(await timed(embed));

    const rows = rowsOf(embeddings, architecture.width);
    const expected = await (await openReference())(sentences);
    const differences = rows.map((row, i) => maxAbsDiff(row, expected[i] ?? []));
    return {
      adapter: [gpu.adapterName, gpu.info?.description || gpu.info?.vendor].filter(Boolean).join(": "),
      graph_ops: explained.graphOps,
      kernels: explained.totals.kernels,
      dispatches: after.dispatches - before.dispatches,
      submits: after.submits - before.submits,
      warmup_ms: warmup,
      cold_ms: cold,
      warm_ms: median(times),
      max_abs_diff: differences.some(Number.isNaN) ? Number.NaN : Math.max(...differences),
      similarities: similarities(rows),
      sentences,
    };
  } finally {
    gpu.dispose();
  }
}

async function timed(body: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await body();
  return performance.now() - started;
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
