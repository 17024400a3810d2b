import { SinterError } from "../base/diagnostic.ts";
import { checkManifest } from "../manifest/check.ts";
import type { KernelSpec, Manifest } from "../manifest/manifest.ts";
import { thrownError } from "./errors.ts";
import { checkGpu, type Gpu } from "./gpu.ts";
import { checkOptions } from "./options.ts";
import type { Pipeline } from "./pipelines.ts";
import { checkFits, makeStorage, type Step, type Storage } from "./storage.ts";
import type { Place } from "./tensor.ts";

interface WarmupProgress {
  /** Steps done; a kernel counts once compiled and once primed. */
  readonly completed: number;
  readonly total: number;
  /** The event in words, ready to show. */
  readonly text: string;
  readonly elapsedMs: number;
}

/** What a warm-up reports. The last event is `done`, `failed` or `aborted`, always. */
export type WarmupEvent = WarmupProgress &
  (
    | { readonly status: "start" | "done" }
    | { readonly status: "compiling" | "compiled" | "priming" | "primed"; readonly kernel: string }
    | { readonly status: "failed" | "aborted"; readonly error: SinterError }
  );

export interface WarmupOptions {
  readonly onProgress?: ((event: WarmupEvent) => void) | undefined;
  /** Kernels compiled at a time. */
  readonly concurrency?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface WarmupReport {
  readonly kernels: number;
  readonly elapsedMs: number;
}

/**
 * Compiles every kernel of a program and submits each once with no workgroups, since some drivers compile at the first
 * dispatch. A program loaded afterwards finds its pipelines and its memory ready. Fails with the first error, or
 * `aborted`; then nothing is held.
 */
export async function warmup(gpu: Gpu, manifest: Manifest, options: WarmupOptions = {}): Promise<WarmupReport> {
  checkGpu("warmup", gpu);
  checkOptions("warmup", options, ["onProgress", "concurrency", "signal"]);
  const started = performance.now();
  const { storage, kernels } = await prepare(gpu, checkManifest(manifest), new Map(), options, true);
  storage.release();
  return { kernels, elapsedMs: performance.now() - started };
}

/** @internal Compile, allocate, bind and prime: everything about loading a program but its contents. */
export async function prepare(
  gpu: Gpu,
  m: Manifest,
  given: ReadonlyMap<number, Place>,
  options: WarmupOptions,
  warm: boolean,
): Promise<{ readonly storage: Storage; readonly kernels: number }> {
  const distinct = new Map(m.kernels.map((k) => [k.key, k]));
  const report = reporter(distinct.size * 2, options.onProgress);
  let storage: Storage | undefined;
  try {
    report({ status: "start" }, `${distinct.size} kernels to prepare`);
    gpu.check();
    checkFits(gpu, m);
    const compiled = await compileAll(gpu, [...distinct.values()], options, warm, report);
    const pipelines = m.kernels.map((k) => ({ ...compiled.get(k.key)!, kernel: k }));
    storage = await makeStorage(gpu, m, pipelines, given, options);
    await prime(gpu, [...distinct.values()], storage, options, report);
    report({ status: "done" }, `${distinct.size} kernels ready`);
    return { storage, kernels: distinct.size };
  } catch (e) {
    storage?.release();
    const error = e instanceof SinterError ? e : thrownError("prepare the program", e);
    const status = error.code === "aborted" ? "aborted" : "failed";
    report({ status, error }, error.diagnostic.message);
    throw error;
  }
}

type EventHead = WarmupEvent extends infer E ? (E extends WarmupEvent ? Omit<E, keyof WarmupProgress> : never) : never;
type Report = (event: EventHead, text: string, step?: number) => void;

const last: ReadonlySet<string> = new Set(["done", "failed", "aborted"]);

function reporter(total: number, listener: WarmupOptions["onProgress"]): Report {
  const started = performance.now();
  let completed = 0;
  let listening = listener;
  return (event, text, step = 0) => {
    completed += step;
    const progress = { completed, total, text, elapsedMs: performance.now() - started };
    const listen = listening;
    // Compilations still under way when one fails report nothing after the last event.
    if (last.has(event.status)) listening = undefined;
    try {
      listen?.({ ...event, ...progress } as WarmupEvent);
    } catch (e) {
      listening = undefined;
      throw new SinterError(
        {
          code: "bad-option",
          message: "the function given as onProgress threw",
          cause: String((e as Error)?.message ?? e),
          hint: "catch what it may throw inside it",
        },
        { cause: e },
      );
    }
  };
}

async function compileAll(
  gpu: Gpu,
  kernels: readonly KernelSpec[],
  options: WarmupOptions,
  warm: boolean,
  report: Report,
): Promise<Map<string, Pipeline>> {
  const done = new Map<string, Pipeline>();
  const queue = [...kernels];
  let failed = false;
  const worker = async (): Promise<void> => {
    for (let k = queue.shift(); k && !failed; k = queue.shift()) {
      try {
        report({ status: "compiling", kernel: k.label }, `compiling ${k.label}`);
        done.set(k.key, await gpu.pipelines.get(k, { warmup: warm, signal: options.signal }));
        report({ status: "compiled", kernel: k.label }, `compiled ${done.size} of ${kernels.length}: ${k.label}`, 1);
      } catch (e) {
        failed = true;
        throw e;
      }
    }
  };
  const workers = Math.max(1, Math.min(options.concurrency ?? 8, kernels.length));
  await Promise.all(Array.from({ length: workers }, worker));
  return done;
}

async function prime(
  gpu: Gpu,
  kernels: readonly KernelSpec[],
  storage: Storage,
  options: WarmupOptions,
  report: Report,
): Promise<void> {
  const first = new Map<string, Step>();
  for (const s of [...storage.setup, ...storage.steps]) {
    if (!first.has(s.pipeline.kernel.key)) first.set(s.pipeline.kernel.key, s);
  }
  // The workgroup counts come from a zeroed buffer: Dawn prints a warning on standard output for a direct count of 0.
  const [none] = await gpu.pool.acquire("indirect", [12], "prime the kernels", options.signal);
  try {
    let primed = 0;
    for (const k of kernels) {
      const step = first.get(k.key);
      report({ status: "priming", kernel: k.label }, `priming ${k.label}`);
      if (step) {
        const submitPrimer = (): void => {
          const encoder = gpu.device.createCommandEncoder();
          const pass = encoder.beginComputePass();
          pass.setPipeline(step.pipeline.pipeline);
          pass.setBindGroup(0, step.group);
          pass.dispatchWorkgroupsIndirect(none!.buffer, 0);
          pass.end();
          gpu.submit([encoder.finish()]);
        };
        await gpu.scoped(`prime ${k.label}`, submitPrimer, options);
        await gpu.wait(`priming ${k.label}`, gpu.device.queue.onSubmittedWorkDone(), options);
      }
      primed++;
      report({ status: "primed", kernel: k.label }, `primed ${primed} of ${kernels.length}: ${k.label}`, 1);
    }
  } finally {
    none!.release();
  }
}
