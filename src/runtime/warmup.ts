import { SinterError } from "../base/diagnostic.ts";
import { checkManifest } from "../manifest/check.ts";
import type { KernelSpec, Manifest } from "../manifest/manifest.ts";
import { checkManifestSet, isManifestSet, type ManifestSet, manifestsOf } from "../manifest/set.ts";
import { nextTurn } from "./after.ts";
import { compileCost } from "./compiling.ts";
import { thrownError } from "./errors.ts";
import { checkGpu, type Gpu } from "./gpu.ts";
import { checkOptions } from "./options.ts";
import { checkKernel, type Pipeline } from "./pipelines.ts";
import { primeAll } from "./priming.ts";
import { type Fault, requireSums } from "./self-test.ts";
import { checkFits, type Memory, makeStorage, type Storage, takeMemory } from "./storage.ts";
import type { Place } from "./tensor.ts";
import { readUsage, type UsageStore, usedFirst } from "./usage-store.ts";
import { type Report, reporter, type WarmupEvent } from "./warmup-events.ts";

/** Options of a warm-up. */
export interface WarmupOptions {
  readonly onProgress?: ((event: WarmupEvent) => void) | undefined;
  /**
   * Kernels compiled at a time; 8 by default. In Node on a GPU 16: where its driver has not seen them, up to 8 further devices
   * are opened to compile meanwhile. With 1 there are none.
   */
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
  const programs = manifestsOf(checked);
  const test = () => requireSums(gpu, programs);
  const { storage, kernels, used } = await prepare(gpu, programs, { ...options, warm: true, test });
  storage.release();
  return { kernels, used, elapsedMs: performance.now() - started };
}

/** @internal The same work in other kernels, and what was found wrong with the first ones. */
export interface Fallback {
  readonly programs: readonly Manifest[];
  readonly faults: readonly Fault[];
}

/** @internal */
export interface PrepareOptions extends WarmupOptions {
  /** Part of a warm-up: pipelines made now are not late. */
  readonly warm: boolean;
  /** Buffers that stand in for a program's own. */
  readonly given?: ((m: Manifest) => ReadonlyMap<number, Place>) | undefined;
  /** Tests, while the programs compile, whether the device computes them rightly; gives what to load instead if not. */
  readonly test?: (() => Promise<Fallback | undefined>) | undefined;
}

interface Prepared {
  /** Of the last program. */
  readonly storage: Storage;
  readonly programs: readonly Manifest[];
  readonly kernels: number;
  readonly used: number;
}

const distinctOf = (programs: readonly Manifest[]): ReadonlyMap<string, KernelSpec> =>
  new Map(programs.flatMap((m) => m.kernels).map((k) => [k.key, k]));

/** @internal Compile, allocate, bind and prime: everything about loading programs but their contents. */
export async function prepare(gpu: Gpu, first: readonly Manifest[], options: PrepareOptions): Promise<Prepared> {
  let programs = first;
  let distinct = distinctOf(programs);
  const report = reporter(distinct.size * 2, options.onProgress);
  let storage: Storage | undefined;
  let memory: Promise<Memory> | undefined;
  const take = (m: Manifest): Promise<Memory> => {
    const taken = takeMemory(gpu, m, options.given?.(m) ?? new Map(), options);
    // Nobody waits for it where compiling fails.
    taken.catch(() => undefined);
    return taken;
  };
  const giveBack = async (): Promise<void> => {
    const taken = memory;
    memory = undefined;
    await taken?.then(
      (m) => m.release(),
      () => undefined,
    );
  };
  try {
    report({ status: "start" }, `${distinct.size} kernels to prepare`);
    gpu.check();
    for (const m of programs) checkFits(gpu, m);
    for (const k of distinct.values()) checkKernel(gpu, k);
    const known = await gpu.wait("read which kernels were used", readUsage(options.store), options);
    const ordered = () => usedFirst(gpu.compilers ? longestFirst(distinct.values()) : distinct.values(), known);
    let order = ordered();
    const compiled = new Map<string, Pipeline>();
    // While the last are compiled: the largest buffers take a driver tens of milliseconds, in which no more can be asked for.
    const allocate = (): void => {
      memory = take(byUse(programs, known)[0]!);
    };
    const compiling = compileAll(gpu, order, compiled, options, report, allocate).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    // Making the tests takes this thread long: not before others have something to compile.
    await gpu.wait("compiling the program", nextTurn(), options);
    const test = options.test?.();
    // Where compiling fails nobody waits for the test.
    test?.catch(() => undefined);
    const failed = await compiling;
    // Another load may have found since that a feature is faulty: then the test says what to load instead.
    if (failed && !isMissingFeature(failed.error)) throw failed.error;
    const fallback = test && (await gpu.wait("testing the device", test, options));
    if (failed && !fallback) throw failed.error;
    if (fallback) {
      await giveBack();
      const before = distinct;
      programs = fallback.programs;
      distinct = distinctOf(programs);
      order = ordered();
      for (const m of programs) checkFits(gpu, m);
      const fresh = order.filter((k) => !compiled.has(k.key));
      // A kernel that is new counts twice more, one that is not needed any more once less.
      warn(fallback.faults, options, report, distinct.size + fresh.length - before.size);
      await compileAll(gpu, fresh, compiled, options, report);
    }
    const primed = new Set<string>();
    for (const m of byUse(programs, known)) {
      storage?.release();
      storage = undefined;
      memory ??= take(m);
      const pipelines = m.kernels.map((k) => ({ ...compiled.get(k.key)!, kernel: k }));
      storage = await makeStorage(gpu, m, pipelines, await memory, options);
      memory = undefined;
      const own = new Set(m.kernels.map((k) => k.key));
      const todo = order.filter((k) => own.has(k.key) && !primed.has(k.key));
      await primeAll(gpu, todo, storage, options, (status, { key, label }) => {
        if (status === "primed") primed.add(key);
        const text = status === "primed" ? `primed ${primed.size} of ${order.length}: ${label}` : `priming ${label}`;
        report({ status, kernel: label }, text, status === "primed" ? 1 : 0);
      });
    }
    // Of a loss, what WebGPU says comes after the answers that pretend that all went well.
    await gpu.wait("finishing the warm-up", nextTurn(), options);
    report({ status: "done" }, `${distinct.size} kernels ready`);
    const used = known.filter((k) => distinct.has(k)).length;
    return { storage: storage!, programs, kernels: distinct.size, used };
  } catch (e) {
    storage?.release();
    await giveBack();
    const error = e instanceof SinterError ? e : thrownError("prepare the program", e);
    const status = error.code === "aborted" ? "aborted" : "failed";
    report({ status, error }, error.diagnostic.message);
    throw error;
  }
}

const isMissingFeature = (e: unknown): boolean => e instanceof SinterError && e.code === "feature-missing";

/** Programs by how many of their kernels were used. */
function byUse(programs: readonly Manifest[], known: readonly string[]): readonly Manifest[] {
  const used = new Set(known);
  const share = (m: Manifest): number => m.kernels.filter((k) => used.has(k.key)).length / (m.kernels.length || 1);
  return used.size === 0 ? programs : [...programs].sort((a, b) => share(b) - share(a));
}

const told = new WeakSet<SinterError>();

/** Tells of features that were lost: the listener, or where there is none, once, the console. */
function warn(faults: readonly Fault[], options: WarmupOptions, report: Report, more: number): void {
  for (const [i, { variant, error }] of faults.entries()) {
    report({ status: "warning", kernel: variant, error }, error.diagnostic.message, 0, i === 0 ? more : 0);
    if (!options.onProgress && !told.has(error)) console.warn(error.message);
    told.add(error);
  }
}

async function compileAll(
  gpu: Gpu,
  kernels: readonly KernelSpec[],
  done: Map<string, Pipeline>,
  options: PrepareOptions,
  report: Report,
  /** Is called once all have been asked for and one of the last is there. */
  asked: () => void = () => undefined,
): Promise<void> {
  let told = false;
  const allAsked = (): void => {
    if (!told) asked();
    told = true;
  };
  const of = done.size + kernels.length;
  const queue = [...kernels];
  let failed = false;
  const worker = async (next: () => KernelSpec | undefined): Promise<void> => {
    for (let k = next(); k && !failed; k = next()) {
      try {
        report({ status: "compiling", kernel: k.label }, `compiling ${k.label}`);
        done.set(k.key, await gpu.pipelines.get(k, { warmup: options.warm, signal: options.signal }));
        if (queue.length === 0 && !failed) allAsked();
        report({ status: "compiled", kernel: k.label }, `compiled ${done.size} of ${of}: ${k.label}`, 1);
      } catch (e) {
        failed = true;
        throw e;
      }
    }
  };
  const most = Math.max(1, Math.min(options.concurrency ?? gpu.compilers?.concurrency ?? 8, kernels.length));
  // The shortest texts are last, and some of them are asked for among the longest.
  const short = Math.min(gpu.compilers?.short ?? 0, most >> 1);
  const workers = Array.from({ length: most }, (_, i) => worker(() => (i < short ? queue.pop() : queue.shift())));
  await Promise.all(workers);
}

const longestFirst = (kernels: Iterable<KernelSpec>): KernelSpec[] =>
  [...kernels].sort((a, b) => compileCost(b) - compileCost(a));
