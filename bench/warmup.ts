import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Gpu, openDevice, warmup as warmUp } from "sinter";
import type { Manifest } from "../src/manifest/manifest.ts";
import { loadManifest } from "../src/runtime/session.ts";
import { deliver } from "./deliver.ts";
import { timed } from "./gpt2-measure.ts";
import { batchOf, configs, elements, type Gpt2Sizes, hashWeights } from "./gpt2-model.ts";
import { stepProgram } from "./gpt2-step.ts";
import { median } from "./measure.ts";
import { command } from "./options.ts";
import { Probe } from "./probe.ts";
import { profileStep } from "./profile-step.ts";
import { adapterText, type Device, deviceOf } from "./saved.ts";
import { lazyFirstStep } from "./warmup-lazy.ts";
import { bounds, help, parseWarmup, type WarmupBenchOptions } from "./warmup-options.ts";
import { salts, unseenTexts } from "./warmup-texts.ts";

const modes = ["concurrent", "sequential", "lazy"] as const;
const steadySteps = 5;

/** Medians; times in milliseconds. */
interface WarmupFigures {
  readonly bench: "warmup";
  readonly adapter: string;
  readonly software: boolean;
  readonly config: string;
  readonly batch: number;
  readonly dtype: string;
  /** What keeps drivers from knowing the kernels already. */
  readonly caches: string;
  readonly rounds: number;
  readonly pipelines: number;
  /** Compiling, allocating and priming, several pipelines at a time and one after the other. */
  readonly concurrent_ms: number;
  readonly sequential_ms: number;
  readonly ratio: number;
  /** The compiling alone. */
  readonly concurrent_compile_ms: number;
  readonly sequential_compile_ms: number;
  /** A first step that makes its pipelines as it goes. */
  readonly lazy_first_step_ms: number;
  /** After a warm-up: the first step, with its loss read back, and later ones. */
  readonly first_step_ms: number;
  readonly steady_ms: number;
  readonly first_over_steady: number;
}

/** `npm run bench -- warmup …`: returns the exit code, 2 for a wrong command line, 1 for a check that failed. */
export const warmup = (args: readonly string[]): Promise<number> => command("warmup", help, parseWarmup(args), run);

async function run(options: WarmupBenchOptions): Promise<number> {
  const cache = mkdtempSync(join(tmpdir(), "sinter-bench-"));
  // Drivers look at these when they start.
  Object.assign(process.env, { MESA_SHADER_CACHE_DIR: cache, __GL_SHADER_DISK_CACHE_PATH: cache });
  const probe = new Probe(options);
  const { figures, device } = await measure(options, probe).finally(() =>
    rmSync(cache, { recursive: true, force: true, maxRetries: 3 }),
  );
  const wrong = options.check ? missed(figures, options.warm) : [];
  return deliver(options, { bench: "warmup", device, result: figures, text: figuresText(figures), wrong }, probe);
}

function missed({ ratio, software, first_over_steady: first, concurrent_ms }: WarmupFigures, warm: boolean): string[] {
  const most = warm ? bounds.warmMs : bounds.coldMs;
  return [
    ...(!software && concurrent_ms > most
      ? [`the warm-up takes ${concurrent_ms.toFixed(0)} ms, more than ${most}`]
      : []),
    ...(!software && !warm && ratio > bounds.ratio
      ? [`the concurrent warm-up takes ${ratio.toFixed(2)} of the sequential one, more than ${bounds.ratio}`]
      : []),
    ...(first > bounds.firstOverSteady
      ? [`the first step takes ${first.toFixed(2)} later ones, more than ${bounds.firstOverSteady}`]
      : []),
  ];
}

interface Measured {
  readonly figures: WarmupFigures;
  readonly device: Device;
}

async function measure(options: WarmupBenchOptions, probe: Probe): Promise<Measured> {
  const { config, dtype, rounds, concurrency, warm } = options;
  const sizes = { ...configs[config], ...(options.batch && { batch: options.batch }) };
  const program = stepProgram(sizes, dtype);
  const dataFor = values(sizes);
  const times = { concurrent: [], sequential: [], lazy: [], compile: [], compileSequential: [], first: [], steady: [] };
  const add = (name: keyof typeof times, ms: number): unknown => (times[name] as number[]).push(ms);
  const nextSalt = salts();
  let about = { adapter: "", software: false, pipelines: 0 };
  let device: Device = { key: "", text: "" };
  // With `warm` one more comes first, which fills the driver's cache.
  for (let i = warm ? -1 : 0; i < rounds * modes.length; i++) {
    // Every mode is each of the three in turn: whatever slows the machine for a while slows all.
    const mode = modes[(i + Math.floor(i / modes.length)) % modes.length] ?? "concurrent";
    const gpu = await openDevice();
    device = deviceOf(gpu);
    try {
      probe.require(gpu);
      const { manifest } = program.compiled({}, gpu.capabilities);
      const m = warm ? manifest : unseenTexts(manifest, nextSalt());
      if (i < 0) {
        await warmUp(gpu, m, { concurrency });
        continue;
      }
      about = { adapter: adapterText(gpu), software: gpu.capabilities.software, pipelines: m.kernels.length };
      if (mode === "lazy") {
        add("lazy", await lazyFirstStep(gpu, m, (name) => dataFor(name, m)));
        continue;
      }
      const [compiled, all] = await timeWarmup(gpu, m, mode === "sequential" ? 1 : concurrency);
      add(mode, all);
      add(mode === "sequential" ? "compileSequential" : "compile", compiled);
      if (mode === "sequential") continue;
      const steps = await timeSteps(gpu, m, (name) => dataFor(name, m));
      add("first", steps[0] as number);
      add("steady", median(steps.slice(1)));
    } finally {
      gpu.dispose();
    }
  }
  const of = (name: keyof typeof times): number => median(times[name]);
  await profileStep(probe, sizes, dtype);
  const figures: WarmupFigures = {
    bench: "warmup",
    adapter: about.adapter,
    software: about.software,
    config,
    batch: sizes.batch,
    dtype,
    caches: warm
      ? "the driver's own, filled by a warm-up before"
      : "the driver's own, empty at the start; texts of their own for each measurement",
    rounds,
    pipelines: about.pipelines,
    concurrent_ms: of("concurrent"),
    sequential_ms: of("sequential"),
    ratio: of("concurrent") / of("sequential"),
    concurrent_compile_ms: of("compile"),
    sequential_compile_ms: of("compileSequential"),
    lazy_first_step_ms: of("lazy"),
    first_step_ms: of("first"),
    steady_ms: of("steady"),
    first_over_steady: of("first") / of("steady"),
  };
  return { figures, device };
}

/** Until the last pipeline is compiled, and until all are primed. */
async function timeWarmup(gpu: Gpu, m: Manifest, concurrency: number | undefined): Promise<[number, number]> {
  let compiled = 0;
  const { elapsedMs } = await warmUp(gpu, m, {
    concurrency,
    onProgress: (e) => {
      if (e.status === "compiled") compiled = e.elapsedMs;
    },
  });
  return [compiled, elapsedMs];
}

/** Steps with their loss read back, the first one after a warm-up first. */
async function timeSteps(gpu: Gpu, m: Manifest, dataFor: (name: string) => ArrayBufferView): Promise<number[]> {
  const given = (ports: Manifest["state"] | Manifest["inputs"]) =>
    Object.fromEntries(ports.map((p) => [p.name, dataFor(p.name) as Float32Array]));
  using session = await loadManifest(gpu, m, { state: given(m.state), strict: true });
  const inputs = given(m.inputs);
  await gpu.idle();
  const steps: number[] = [];
  for (let i = 0; i <= steadySteps; i++) {
    const [results, ms] = await timed(async () => {
      const out = await session.run(inputs, { read: true });
      await out.loss?.data();
      return out;
    });
    for (const r of Object.values(results)) r.dispose();
    steps.push(ms);
  }
  return steps;
}

/** The oracle's weights and batch by the names of a manifest's ports, and zeros for moments. */
function values(sizes: Gpt2Sizes): (name: string, m: Manifest) => ArrayBufferView {
  const weights = hashWeights(sizes);
  const batch = batchOf(sizes) as unknown as Record<string, ArrayBufferView>;
  const zeros = new Map<string, ArrayBufferView>();
  return (name, m) => {
    const known = batch[name] ?? weights[name.slice("params.".length)];
    if (known && (batch[name] || name.startsWith("params."))) return known;
    const port = [...m.state, ...m.inputs].find((p) => p.name === name)!;
    const made = zeros.get(name) ?? zerosOf(port.dtype, elements(port.shape));
    zeros.set(name, made);
    return made;
  };
}

const zerosOf = (dtype: string, count: number): ArrayBufferView =>
  dtype === "f32" ? new Float32Array(count) : dtype === "u32" ? new Uint32Array(count) : new Int32Array(count);

function figuresText(f: WarmupFigures): string {
  const ms = (t: number): string => `${t >= 100 ? t.toFixed(0) : t.toPrecision(3)} ms`;
  return [
    `warmup of the ${f.config} training step (${f.dtype}, batch ${f.batch}, ${f.pipelines} pipelines) on ${f.adapter}, medians of ${f.rounds}`,
    `  concurrent  ${ms(f.concurrent_ms)}, of it compiling ${ms(f.concurrent_compile_ms)}`,
    `  sequential  ${ms(f.sequential_ms)}, of it compiling ${ms(f.sequential_compile_ms)}; concurrent takes ${f.ratio.toFixed(2)} of it`,
    `  lazy        ${ms(f.lazy_first_step_ms)} for the first step`,
    `  first step  ${ms(f.first_step_ms)} after a warm-up, later ones ${ms(f.steady_ms)}: ${f.first_over_steady.toFixed(2)} times`,
    `  caches      ${f.caches}`,
  ].join("\n");
}
