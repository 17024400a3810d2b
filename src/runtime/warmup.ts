import { SinterError } from "../base/diagnostic.ts";
import { checkManifest } from "../manifest/check.ts";
import type { KernelSpec, Manifest } from "../manifest/manifest.ts";
import { checkManifestSet, isManifestSet, type ManifestSet, manifestsOf } from "../manifest/set.ts";
import { thrownError } from "./errors.ts";
import { checkGpu, type Gpu } from "./gpu.ts";
import { checkOptions } from "./options.ts";
import type { Pipeline } from "./pipelines.ts";
import { checkFits, makeStorage, type Storage } from "./storage.ts";
import type { Place } from "./tensor.ts";
import { readUsage, type UsageStore, usedFirst } from "./usage-store.ts";
import { type Report, reporter, type WarmupEvent } from "./warmup-events.ts";

/** Options of a warm-up. */
export interface WarmupOptions {
  readonly onProgress?: ((event: WarmupEvent) => void) | undefined;
  /** Kernels compiled at a time. */
  readonly concurrency?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * Remembers which kernels were loaded, from one visit of a page to the next: they are warmed up first. What it holds
   * decides the order alone, so it may be empty, damaged or slow.
   */
  readonly store?: UsageStore | undefined;
}

/** @internal */
export const warmupOptions = ["onProgress", "concurrency", "signal", "store"] as const;

/** What a warm-up did. */
export interface WarmupReport {
  readonly kernels: number;
  /** How many of them the store knew, and so came first. */
  readonly used: number;
  readonly elapsedMs: number;
}

/**
 * Compiles every kernel of a program and submits each once with no workgroups, since some drivers compile at the first
 * dispatch. A program loaded afterwards finds its pipelines and its memory ready. Of a manifest of several sizes every kernel
 * is compiled once, and one size after another gets memory for it. Fails with the first error, or `aborted`; then nothing
 * is held.
 */
export async function warmup(
  gpu: Gpu,
  manifest: Manifest | ManifestSet,
  options: WarmupOptions = {},
): Promise<WarmupReport> {
  checkGpu("warmup", gpu);
  checkOptions("warmup", options, warmupOptions);
  const started = performance.now();
  const checked = isManifestSet(manifest) ? checkManifestSet(manifest) : checkManifest(manifest);
  const { storage, ...counts } = await prepareAll(gpu, manifestsOf(checked), new Map(), options, true);
  storage.release();
  return { ...counts, elapsedMs: performance.now() - started };
}

/** @internal Compile, allocate, bind and prime: everything about loading a program but its contents. */
export const prepare = (
  gpu: Gpu,
  m: Manifest,
  given: ReadonlyMap<number, Place>,
  options: WarmupOptions,
  warm: boolean,
): Promise<Prepared> => prepareAll(gpu, [m], given, options, warm);

interface Prepared {
  /** Of the last program. */
  readonly storage: Storage;
  readonly kernels: number;
  readonly used: number;
}

async function prepareAll(
  gpu: Gpu,
  programs: readonly Manifest[],
  given: ReadonlyMap<number, Place>,
  options: WarmupOptions,
  warm: boolean,
): Promise<Prepared> {
  const distinct = new Map(programs.flatMap((m) => m.kernels).map((k) => [k.key, k]));
  const report = reporter(distinct.size * 2, options.onProgress);
  let storage: Storage | undefined;
  try {
    report({ status: "start" }, `${distinct.size} kernels to prepare`);
    gpu.check();
    for (const m of programs) checkFits(gpu, m);
    const known = await gpu.wait("read which kernels were used", readUsage(options.store), options);
    const order = usedFirst(distinct.values(), known);
    const compiled = await compileAll(gpu, order, options, warm, report);
    const primed = new Set<string>();
    for (const m of byUse(programs, known)) {
      storage?.release();
      storage = undefined;
      const pipelines = m.kernels.map((k) => ({ ...compiled.get(k.key)!, kernel: k }));
      storage = await makeStorage(gpu, m, pipelines, given, options);
      const own = new Set(m.kernels.map((k) => k.key));
      for (const k of order) {
        if (!own.has(k.key) || primed.has(k.key)) continue;
        report({ status: "priming", kernel: k.label }, `priming ${k.label}`);
        await prime(gpu, k, storage, options);
        primed.add(k.key);
        report({ status: "primed", kernel: k.label }, `primed ${primed.size} of ${order.length}: ${k.label}`, 1);
      }
    }
    report({ status: "done" }, `${distinct.size} kernels ready`);
    return { storage: storage!, kernels: distinct.size, used: known.filter((k) => distinct.has(k)).length };
  } catch (e) {
    storage?.release();
    const error = e instanceof SinterError ? e : thrownError("prepare the program", e);
    const status = error.code === "aborted" ? "aborted" : "failed";
    report({ status, error }, error.diagnostic.message);
    throw error;
  }
}

/** Programs by how many of their kernels were used. */
function byUse(programs: readonly Manifest[], known: readonly string[]): readonly Manifest[] {
  const used = new Set(known);
  const share = (m: Manifest): number => m.kernels.filter((k) => used.has(k.key)).length / (m.kernels.length || 1);
  return used.size === 0 ? programs : [...programs].sort((a, b) => share(b) - share(a));
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

/** Submits the first step of a kernel with no workgroups. */
async function prime(gpu: Gpu, k: KernelSpec, storage: Storage, options: WarmupOptions): Promise<void> {
  const step = [...storage.setup, ...storage.steps].find((s) => s.pipeline.kernel.key === k.key);
  if (!step) return;
  // The workgroup counts come from a zeroed buffer: Dawn prints a warning on standard output for a direct count of 0.
  const [none] = await gpu.pool.acquire("indirect", [12], "prime the kernels", options.signal);
  try {
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
  } finally {
    none!.release();
  }
}
