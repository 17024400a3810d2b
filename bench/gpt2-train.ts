import { writeFileSync } from "node:fs";
import { type Gpu, openDevice, type ProfileReport, profiles } from "sinter";
import { compileGraph } from "../src/compiler.ts";
import { passTimes } from "../src/runtime/profile.ts";
import { requireTimestamps } from "../src/runtime/timestamps.ts";
import { deliver } from "./deliver.ts";
import { jaxTrainer } from "./gpt2-jax.ts";
import { overheads, type Racer, race, relativeDifference, type StepTimes, timed } from "./gpt2-measure.ts";
import { oracleOf } from "./gpt2-model.ts";
import { type Gpt2Options, help, parseGpt2 } from "./gpt2-options.ts";
import { type Figures, figuresText, type PlanFigures, planText } from "./gpt2-report.ts";
import { makeTrainer, stepProgram } from "./gpt2-step.ts";
import { warm } from "./gpu-time.ts";
import { jaxIdle, openJax } from "./jax.ts";
import { median } from "./measure.ts";
import { command } from "./options.ts";
import { profileFigures } from "./profile-figures.ts";
import { adapterText, type Device, deviceOf } from "./saved.ts";

/** Losses in f16 may differ from those in f64 by this much, relatively. */
const mixedTolerance = 2e-2;

/** `npm run bench -- gpt2-train …`: returns the exit code, 2 for a wrong command line, 1 for a check that failed. */
export const gpt2Train = (args: readonly string[]): Promise<number> =>
  command("gpt2-train", help, parseGpt2(args), run);

async function run(options: Gpt2Options): Promise<number> {
  if (options.plan) {
    const figures = planFigures(options, options.plan);
    console.log(options.json ? JSON.stringify(figures, null, 2) : planText(figures));
    return 0;
  }
  const { figures, device, profile } = await measure(options);
  const text = [figuresText(figures), ...(profile ? [`${profile}`] : [])].join("\n\n");
  const more = profile && { profile: profileFigures(profile) };
  const wrong = [figures.check, figures.jax_js].flatMap((c) =>
    c && !(c.max_relative_difference <= c.tolerance)
      ? [
          `losses differ from ${c.reference}'s by ${c.max_relative_difference.toExponential(1)}, more than ${c.tolerance}`,
        ]
      : [],
  );
  return deliver(options, { bench: "gpt2-train", device, result: figures, more, text, wrong });
}

const programOf = ({ sizes, dtype }: Gpt2Options) => stepProgram(sizes, dtype);

function planFigures(options: Gpt2Options, profile: NonNullable<Gpt2Options["plan"]>): PlanFigures {
  const capabilities = profiles[profile];
  const started = performance.now();
  const program = programOf(options);
  const trace = performance.now() - started;
  const times: number[] = [];
  let compiled: ReturnType<typeof compileGraph> | undefined;
  for (let i = 0; i < 4; i++) {
    const began = performance.now();
    compiled = compileGraph(program.graph, capabilities);
    times.push(performance.now() - began);
  }
  const { manifest, report } = compiled as ReturnType<typeof compileGraph>;
  const memory = program.memory({ capabilities });
  if (options.memory) writeFileSync(options.memory, memory.svg());
  const [first, ...later] = times;
  const families: Record<string, number> = {};
  for (const k of report.kernels) families[k.family] = (families[k.family] ?? 0) + 1;
  return {
    bench: "gpt2-train",
    profile,
    config: options.config,
    sizes: options.sizes,
    dtype: options.dtype,
    graph_ops: report.graphOps,
    dispatches: manifest.dispatches.length,
    dispatches_by_family: families,
    setup_dispatches: manifest.setup.length,
    pipelines: manifest.kernels.length,
    planned_bytes: memory.plannedBytes,
    lower_bound_bytes: memory.lowerBoundBytes,
    trace_ms: trace,
    first_compile_ms: first as number,
    compile_ms: median(later),
  };
}

interface Measured {
  readonly figures: Figures;
  readonly device: Device;
  readonly profile: ProfileReport | undefined;
}

async function measure(options: Gpt2Options): Promise<Measured> {
  const { sizes, steps } = options;
  const gpu = await openDevice();
  try {
    if (options.profile) requireTimestamps(gpu);
    const started = performance.now();
    const program = programOf(options);
    const [memory, compileMs] = await timed(async () => program.memory({ capabilities: gpu.capabilities }));
    let warmup = 0;
    const trainer = await makeTrainer(gpu, sizes, program, (event) => {
      warmup = event.elapsedMs;
    });
    const ours = sinterRacer(gpu, trainer);
    const firstLoss = await ours.synced();
    const firstStep = performance.now() - started;
    if (options.memory) writeFileSync(options.memory, memory.svg());
    const theirs = options.vs ? await startJax(gpu, options) : undefined;

    await warm(gpu);
    const before = gpu.counters.snapshot();
    const racers = [ours, ...(theirs ? [theirs.racer] : [])];
    const times = await race(racers, [firstLoss, ...(theirs ? [theirs.firstLoss] : [])], steps);
    const after = gpu.counters.snapshot();
    const each = (name: keyof typeof after): number => Number(((after[name] - before[name]) / ours.count).toFixed(3));

    const cpu = await overheads(
      async () => (await trainer.step(false)).dispose(),
      () => gpu.idle(),
      Math.max(steps, 8),
    );
    const stamps = gpu.device.features.has("timestamp-query");
    const gpuMs = stamps ? (await passTimes(trainer.inner, trainer.inputs, { runs: steps })).map((ns) => ns / 1e6) : [];
    const own = times[0] as StepTimes;
    const profile = options.profile ? await trainer.profile(steps) : undefined;
    if (options.trace) writeFileSync(options.trace, profile?.trace() ?? "");
    const oracle = options.check ? oracleOf(sizes) : undefined;
    const figures: Figures = {
      bench: "gpt2-train",
      adapter: adapterText(gpu),
      config: options.config,
      sizes,
      dtype: options.dtype,
      steps,
      ...own,
      ...(stamps && { gpu_ms: median(gpuMs), gpu_min_ms: Math.min(...gpuMs) }),
      ...cpu,
      first_step_ms: firstStep,
      warmup_ms: warmup,
      compile_ms: compileMs,
      dispatches: each("dispatches"),
      submits: each("submits"),
      create_buffer: each("buffers"),
      create_bind_group: each("bindGroups"),
      late_pipelines: after.latePipelines,
      planned_bytes: memory.plannedBytes,
      lower_bound_bytes: memory.lowerBoundBytes,
      peak_bytes: ours.peak(),
      ...(oracle && {
        check: {
          reference: "PyTorch",
          losses: oracle.losses.slice(0, steps),
          max_relative_difference: relativeDifference(own.losses, oracle.losses),
          tolerance: options.dtype === "f16" ? mixedTolerance : oracle.tolerance,
        },
      }),
      ...(theirs && vsFigures(own, times[1] as StepTimes, theirs.firstStepMs, options)),
    };
    theirs?.dispose();
    trainer.dispose();
    return { figures, device: deviceOf(gpu), profile };
  } finally {
    gpu.dispose();
  }
}

const vsFigures = (ours: StepTimes, theirs: StepTimes, firstStepMs: number, { dtype }: Gpt2Options) => ({
  jax_js: {
    ...theirs,
    first_step_ms: firstStepMs,
    reference: "jax-js",
    max_relative_difference: relativeDifference(ours.losses, theirs.losses),
    tolerance: dtype === "f16" ? mixedTolerance : 1e-4,
  },
  ratio: theirs.median_ms / ours.median_ms,
  pipelined_ratio: theirs.pipelined_ms / ours.pipelined_ms,
});

type SinterRacer = Racer & { readonly count: number; peak(): number };

/** Counts the steps after the first, and looks at the device's memory after every step. */
function sinterRacer(gpu: Gpu, trainer: Awaited<ReturnType<typeof makeTrainer>>): SinterRacer {
  let [count, peak] = [-1, gpu.counters.bytesHeld];
  const step = async (read: boolean) => {
    const loss = await trainer.step(read);
    count++;
    peak = Math.max(peak, gpu.counters.bytesHeld);
    return loss;
  };
  return {
    async synced() {
      const loss = await step(true);
      const value = (await loss.data())[0] as number;
      loss.dispose();
      return value;
    },
    async pipelined(steps) {
      for (let i = 0; i < steps; i++) (await step(false)).dispose();
      await gpu.idle();
    },
    get count() {
      return count;
    },
    peak: () => peak,
  };
}

async function startJax(gpu: Gpu, { sizes }: Gpt2Options) {
  const jax = await openJax(gpu.adapterName);
  const started = performance.now();
  const trainer = jaxTrainer(jax, sizes);
  const read = async (): Promise<number> => (await trainer.step().data())[0] as number;
  const firstLoss = await read();
  const racer: Racer = {
    synced: read,
    async pipelined(steps) {
      for (let i = 1; i < steps; i++) trainer.step().dispose();
      const last = trainer.step();
      await last.blockUntilReady();
      await jaxIdle();
      last.dispose();
    },
  };
  return { racer, firstLoss, firstStepMs: performance.now() - started, dispose: () => trainer.dispose() };
}
