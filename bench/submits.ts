import { type Gpu, openDevice, Ring } from "sinter";
import { type EncodePasses, onePass } from "../src/runtime/encode.ts";
import { bindInputs } from "../src/runtime/inputs.ts";
import { makeCall, startCalls } from "../src/runtime/run.ts";
import { encodeSteps, type Step } from "../src/runtime/storage.ts";
import { deliver } from "./deliver.ts";
import { makeTrainer, stepProgram, type Trainer } from "./gpt2-step.ts";
import { median } from "./measure.ts";
import { command } from "./options.ts";
import { Probe } from "./probe.ts";
import { deviceOf } from "./saved.ts";
import { parseStep, type StepOptions, stepOptionsHelp } from "./step-options.ts";
import { tableText } from "./table.ts";

const help = `usage: npm run bench -- submits [options]

GPT-2's training step with its dispatches in 1, 2, 4, 16 and 64 submits and one submit a dispatch, in one compute pass a
submit and in one a dispatch, with 1 to 4 steps in flight; the unfused step too. Milliseconds a step. Exit code 1 where
a way does not give the loss of one submit, bit for bit.

${stepOptionsHelp(5)}

SINTER_ADAPTER=gpu|lavapipe|swiftshader chooses the adapter.`;

/** How a step reaches the device. */
interface Way {
  readonly fused: boolean;
  readonly submits: number;
  /** Compute passes a submit: one, or one for each dispatch. */
  readonly passes: "one" | "each";
}

export interface SubmitsRow extends Way {
  readonly dispatches: number;
  readonly in_flight: number;
  /** A step, median of the samples. */
  readonly ms: number;
  /** Of which the CPU encodes and submits. */
  readonly encode_ms: number;
  /** How many times faster than one submit and one pass of the same step with as many in flight. */
  readonly gain: number;
}

const submitCounts = [1, 2, 4, 16, 64];
const depths = [1, 2, 3, 4];

export const submits = (args: readonly string[]): Promise<number> => command("submits", help, parseStep(args, 5), run);

async function run(options: StepOptions): Promise<number> {
  const gpu = await openDevice();
  const probe = new Probe(options);
  try {
    probe.require(gpu);
    const parts = [await measure(gpu, options, true, probe), await measure(gpu, options, false, probe)];
    const rows = parts.flatMap((p) => p.rows);
    const { config, sizes, dtype, steps, rounds } = options;
    const device = deviceOf(gpu);
    const result = { bench: "submits", adapter: device.text, config, sizes, dtype, steps, rounds, rows };
    const wrong = parts.flatMap((p) => p.wrong);
    const found = { bench: "submits", device, result, text: `submits on ${device.text}\n${text(rows)}`, wrong };
    return deliver(options, found, probe);
  } finally {
    gpu.dispose();
  }
}

/** Divides steps into `count` parts of nearly equal length. */
export function divided<T>(steps: readonly T[], count: number): T[][] {
  const n = Math.max(1, Math.min(count, steps.length));
  const at = (i: number): number => Math.round((i * steps.length) / n);
  return Array.from({ length: n }, (_, i) => steps.slice(at(i), at(i + 1)));
}

const eachInPass: EncodePasses = (encoder, steps, groupOf) => {
  for (const step of steps) {
    const pass = encoder.beginComputePass();
    encodeSteps(pass, [step], groupOf);
    pass.end();
  }
  return steps.length;
};

/** Starts a step; gives its loss and the time it took to encode and submit. */
async function start({ inner, inputs }: Trainer, way: Way, read = false) {
  const { gpu } = inner;
  const began = performance.now();
  const call = makeCall(inner, bindInputs(gpu, "input", inner.inputs, inputs, inner.loaded.storage.rebindable));
  const started = startCalls(gpu, [call], {
    read,
    split: (steps: readonly Step[]) => divided(steps, way.submits),
    passes: way.passes === "one" ? onePass : eachInPass,
  });
  const encodeMs = performance.now() - began;
  const [results] = await started;
  const loss = read ? ((await results?.loss?.data())?.[0] as number) : Number.NaN;
  for (const t of Object.values(results ?? {})) t.dispose();
  return { encodeMs, loss };
}

async function measure(gpu: Gpu, options: StepOptions, fused: boolean, probe: Probe) {
  const { sizes, dtype, rounds, steps } = options;
  const program = stepProgram(sizes, dtype);
  const load = (): Promise<Trainer> => makeTrainer(gpu, sizes, program, undefined, fused ? {} : { fuse: "off" });
  const trainer = await load();
  const dispatches = trainer.inner.manifest.dispatches.length;
  const counts = fused ? [...submitCounts.filter((n) => n < dispatches), dispatches] : [1, dispatches];
  const ways = counts.flatMap((n) => (["one", "each"] as const).map((passes): Way => ({ fused, submits: n, passes })));
  try {
    const wrong = await check(trainer, await load(), ways);
    const samples = ways.flatMap((way) =>
      depths.map((depth) => ({ way, depth, ms: [] as number[], encode: [] as number[] })),
    );
    for (let round = 0; round < rounds; round++) {
      // In turns, to and fro: whatever slows the machine slows all.
      for (const s of round % 2 ? samples.toReversed() : samples) {
        const ring = new Ring(gpu, { size: s.depth, statistics: false });
        await gpu.idle();
        const began = performance.now();
        let encode = 0;
        for (let i = 0; i < steps; i++) encode += (await ring.run(() => start(trainer, s.way))).encodeMs;
        await ring.idle();
        s.ms.push((performance.now() - began) / steps);
        s.encode.push(encode / steps);
      }
    }
    if (probe.on) probe.add(fused ? "fused" : "unfused", await trainer.profile(5));
    const rows = samples.map(({ way, depth, ms, encode }): SubmitsRow => {
      const plain = samples.find((s) => s.way.submits === 1 && s.way.passes === "one" && s.depth === depth);
      const gain = median(plain?.ms ?? ms) / median(ms);
      return { ...way, dispatches, in_flight: depth, ms: median(ms), encode_ms: median(encode), gain };
    });
    return { rows, wrong };
  } finally {
    trainer.dispose();
  }
}

/** One step each way beside one of another session in one submit; says where the losses are not the same bits. */
async function check(trainer: Trainer, plain: Trainer, ways: readonly Way[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const way of ways) {
    const { loss } = await start(trainer, way, true);
    const wanted = await start(plain, { ...way, submits: 1, passes: "one" }, true);
    if (Object.is(loss, wanted.loss)) continue;
    wrong.push(`${way.submits} submits, ${way.passes} pass: the loss is ${loss}, and ${wanted.loss} in one submit`);
  }
  plain.dispose();
  return wrong;
}

function text(rows: readonly SubmitsRow[]): string {
  const head = ["step", "submits", "passes", "encode ms", ...depths.map((d) => `${d} in flight`), "gain at most"];
  const lines = rows
    .filter((r) => r.in_flight === 1)
    .map((r) => {
      const same = rows.filter((s) => s.fused === r.fused && s.submits === r.submits && s.passes === r.passes);
      const step = r.fused ? "fused" : "unfused";
      const passes = r.passes === "one" ? r.submits : r.dispatches;
      const gain = Math.max(...same.map((s) => s.gain));
      const encode = median(same.map((s) => s.encode_ms)).toFixed(2);
      return [step, `${r.submits}`, `${passes}`, encode, ...same.map((s) => s.ms.toFixed(2)), gain.toFixed(3)];
    });
  return tableText(head, lines, 1);
}
