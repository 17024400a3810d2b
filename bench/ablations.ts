import { type Gpu, openDevice } from "sinter";
import { bindInputs } from "../src/runtime/inputs.ts";
import { passTimes } from "../src/runtime/profile.ts";
import { makeCall, startCalls } from "../src/runtime/run.ts";
import type { Step } from "../src/runtime/storage.ts";
import { deliver } from "./deliver.ts";
import { relativeDifference } from "./gpt2-measure.ts";
import { oracleOf } from "./gpt2-model.ts";
import { type Compiled, makeTrainer, stepProgram, type Trainer } from "./gpt2-step.ts";
import { warm } from "./gpu-time.ts";
import { median } from "./measure.ts";
import { command } from "./options.ts";
import { Probe } from "./probe.ts";
import { deviceOf } from "./saved.ts";
import { parseStep, type StepOptions, stepOptionsHelp } from "./step-options.ts";
import { tableText } from "./table.ts";

const help = `usage: npm run bench -- ablations [options]

GPT-2's training step as it is, and with one part of the compiler or the runtime switched off: what each is worth. All ways are loaded
at once and take turns, so that whatever slows the machine slows all. Milliseconds a step with several submitted at a time. Exit code
1 where a way's losses are not those of the step as it is, by more than 1e-4 (2e-2 in halves).

${stepOptionsHelp(10)}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

interface Way {
  readonly name: string;
  readonly compiled?: Compiled;
  readonly dtype?: StepOptions["dtype"];
  /** A submit for each dispatch. */
  readonly apart?: boolean;
  /** Where the way is another one. */
  on?(gpu: Gpu): boolean;
}

const ways = (dtype: StepOptions["dtype"]): readonly Way[] => [
  { name: "as it is" },
  { name: "fusion off", compiled: { fuse: "off" } },
  { name: "arenas off", compiled: { arenas: false } },
  { name: "bundles off", compiled: { bundles: false }, on: (gpu) => !gpu.capabilities.software },
  { name: "tuning off", compiled: { tuning: "off" } },
  { name: "one submit off", apart: true },
  { name: "f16", dtype: "f16", on: () => dtype !== "f16" },
  { name: "f16 off", dtype: "f32", on: () => dtype === "f16" },
  { name: "f16x3", dtype: "f16x3", on: (gpu) => dtype === "f32" && gpu.capabilities.features.subgroupMatrix === true },
];

/** One way. Times are milliseconds a step; ratios are over the step as it is. */
export interface AblationRow {
  readonly name: string;
  readonly dtype: string;
  readonly dispatches: number;
  readonly submits: number;
  readonly bytes_held: number;
  readonly ms: number;
  readonly min_ms: number;
  readonly ratio: number;
  /** In one compute pass, where the device has timestamps and the way is one submit. */
  readonly gpu_ms?: number;
  readonly gpu_ratio?: number;
  /** Of the first losses from those of the step as it is, relatively. */
  readonly difference: number;
  /** From PyTorch's, where those are known. */
  readonly oracle_difference?: number;
}

export const ablations = (args: readonly string[]): Promise<number> =>
  command("ablations", help, parseStep(args, 10), run);

interface Runner {
  readonly way: Way;
  readonly trainer: Trainer;
  readonly bytes: number;
  readonly losses: number[];
  readonly ms: number[];
}

const lossesCompared = 4;

async function run(options: StepOptions): Promise<number> {
  const gpu = await openDevice();
  const probe = new Probe(options);
  const runners: Runner[] = [];
  try {
    probe.require(gpu);
    for (const way of ways(options.dtype).filter((w) => w.on?.(gpu) ?? true)) {
      const before = gpu.counters.bytesHeld;
      const program = stepProgram(options.sizes, way.dtype ?? options.dtype);
      const trainer = await makeTrainer(gpu, options.sizes, program, undefined, way.compiled);
      runners.push({ way, trainer, bytes: gpu.counters.bytesHeld - before, losses: [], ms: [] });
    }
    for (const r of runners) for (let i = 0; i < lossesCompared; i++) r.losses.push(await step(gpu, r, true));
    await warm(gpu);
    for (let round = 0; round < options.rounds; round++) {
      for (const r of round % 2 ? runners.toReversed() : runners) {
        await gpu.idle();
        const began = performance.now();
        for (let i = 0; i < options.steps; i++) await step(gpu, r, false);
        await gpu.idle();
        r.ms.push((performance.now() - began) / options.steps);
      }
    }
    const gpuMs = new Map<Runner, number>();
    if (gpu.device.features.has("timestamp-query")) {
      for (const r of runners.filter((r) => !r.way.apart)) {
        const times = await passTimes(r.trainer.inner, r.trainer.inputs, { runs: options.steps });
        gpuMs.set(r, median(times) / 1e6);
      }
    }
    for (const r of probe.on ? runners.filter((r) => !r.way.apart) : [])
      probe.add(r.way.name, await r.trainer.profile(5));
    const rows = runners.map((r) => rowOf(r, runners[0] as Runner, gpuMs, options));
    const device = deviceOf(gpu);
    const { config, sizes, dtype, steps, rounds } = options;
    const result = { bench: "ablations", adapter: device.text, config, sizes, dtype, steps, rounds, rows };
    const wrong = rows
      .filter((r) => !(r.difference <= (r.dtype === "f16" || dtype === "f16" ? 2e-2 : 1e-4)))
      .map((r) => `${r.name}: losses differ by ${r.difference.toExponential(1)}, relatively`);
    const text = `ablations of ${config}, ${sizes.batch}x${sizes.seq}, ${dtype} on ${device.text}\n${rowsText(rows)}`;
    return deliver(options, { bench: "ablations", device, result, text, wrong }, probe);
  } finally {
    for (const r of runners) r.trainer.dispose();
    gpu.dispose();
  }
}

/** One dispatch a submit, or all in one. */
async function step(gpu: Gpu, { trainer, way }: Runner, read: boolean): Promise<number> {
  const { inner, inputs } = trainer;
  const call = makeCall(inner, bindInputs(gpu, "input", inner.inputs, inputs, inner.loaded.storage.rebindable));
  const split = way.apart && { split: (steps: readonly Step[]) => steps.map((s) => [s]) };
  const [results] = await startCalls(gpu, [call], { read, ...split });
  const loss = read ? ((await results?.loss?.data())?.[0] as number) : Number.NaN;
  for (const t of Object.values(results ?? {})) t.dispose();
  return loss;
}

function rowOf(r: Runner, plain: Runner, gpuMs: ReadonlyMap<Runner, number>, options: StepOptions): AblationRow {
  const dispatches = r.trainer.inner.manifest.dispatches.length;
  const oracle = oracleOf(options.sizes);
  const [own, usual] = [gpuMs.get(r), gpuMs.get(plain)];
  return {
    name: r.way.name,
    dtype: r.way.dtype ?? options.dtype,
    ...{ dispatches, submits: r.way.apart ? dispatches : 1, bytes_held: r.bytes },
    ...{ ms: median(r.ms), min_ms: Math.min(...r.ms), ratio: median(r.ms) / median(plain.ms) },
    ...(own !== undefined && usual !== undefined && { gpu_ms: own, gpu_ratio: own / usual }),
    difference: relativeDifference(r.losses, plain.losses),
    ...(oracle && { oracle_difference: relativeDifference(r.losses, oracle.losses) }),
  };
}

function rowsText(rows: readonly AblationRow[]): string {
  const head = ["way", "ms", "least", "times", "GPU ms", "times", "dispatches", "MiB", "losses off by"];
  const lines = rows.map((r) => [
    ...[r.name, r.ms.toFixed(2), r.min_ms.toFixed(2), r.ratio.toFixed(3), r.gpu_ms?.toFixed(2) ?? ""],
    ...[
      r.gpu_ratio?.toFixed(3) ?? "",
      `${r.dispatches}`,
      (r.bytes_held / 2 ** 20).toFixed(0),
      r.difference.toExponential(0),
    ],
  ]);
  return tableText(head, lines, 1);
}
