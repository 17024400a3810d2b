import { fail, SinterError } from "../../base/diagnostic.ts";
import type { Kernel, KernelProfile } from "../../manifest/kernel-module.ts";
import { nextTurn } from "../after.ts";
import { atOnce } from "../at-once.ts";
import { describe } from "../describe.ts";
import { aborted } from "../errors.ts";
import { checkOptions } from "../options.ts";
import { readUsage, type UsageStore, usedFirst } from "../usage-store.ts";
import { type Report, reporter, type WarmupEvent } from "../warmup-events.ts";
import type { Core } from "./core.ts";
import { type Entry, entryOf, type FloatDType, profilesOf, type Ready } from "./library.ts";
import type { Text, Texts } from "./texts.ts";

/** A kernel to be warmed; the dtype is as in a run. */
export type KernelRequest = Kernel | { readonly kernel: Kernel; readonly dtype?: FloatDType | undefined };

/** Options of {@link KernelRuntime.warmup}. */
export interface KernelWarmupOptions {
  /**
   * Told of every step. A kernel counts once compiled and once primed; where a text does not suit the device, the event
   * `warning` says so and `total` grows by the texts used instead.
   */
  readonly onProgress?: ((event: WarmupEvent) => void) | undefined;
  /** Texts compiled at a time; default 8. */
  readonly concurrency?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Wait only for the texts that the store knows from earlier visits, if it knows any; the rest is compiled after them. */
  readonly onlyUsed?: boolean | undefined;
}

/** What a warm-up of kernels did. */
export interface KernelWarmupReport {
  /** Texts that are ready. */
  readonly kernels: number;
  readonly elapsedMs: number;
  /** Resolves when the texts left for later by `onlyUsed` are ready too; never rejects. */
  readonly rest: Promise<void>;
}

/** One kernel in one dtype on its way. */
interface Load {
  readonly entry: Entry;
  readonly dtype: FloatDType;
  /** Profiles to try, richest first. */
  readonly profiles: KernelProfile[];
  ready?: Ready;
}

interface WarmupParts {
  readonly core: Core;
  readonly entries: WeakMap<Kernel, Entry>;
  readonly texts: Texts;
  readonly store: UsageStore | undefined;
}

/** Loads, compiles and primes kernels: see `KernelRuntime.warmup`. */
export async function warmKernels(
  parts: WarmupParts,
  list: readonly KernelRequest[],
  options: KernelWarmupOptions,
): Promise<KernelWarmupReport> {
  const started = performance.now();
  const report = reporter(0, options.onProgress);
  try {
    checkOptions("warmup", options, ["onProgress", "concurrency", "signal", "onlyUsed"]);
    parts.core.check();
    const stop = options.signal && stopping(options.signal);
    const { kernels, rest } = await warmAll(parts, requested(parts, list), options, stop, report);
    // Of a loss, what WebGPU says comes after the answers that pretend that all went well.
    await parts.core.wait(nextTurn(), stop);
    report({ status: "done" }, `${kernels} kernels ready`);
    return { kernels, elapsedMs: performance.now() - started, rest };
  } catch (e) {
    const error = e as SinterError;
    report({ status: error.code === "aborted" ? "aborted" : "failed", error }, error.diagnostic?.message ?? String(e));
    throw e;
  }
}

/** Rejects when the signal aborts. */
function stopping(signal: AbortSignal): Promise<never> {
  const stop = new Promise<never>((_, reject) => {
    const abort = (): void => reject(aborted("the warm-up", signal));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
  stop.catch(() => undefined);
  return stop;
}

/** The distinct pairs of kernel and dtype of a list. */
function requested({ core, entries }: WarmupParts, list: readonly KernelRequest[]): Load[] {
  if (!Array.isArray(list)) {
    fail("bad-arguments", `warmup takes a list of kernels, not ${describe(list)}`, {
      hint: 'write warmup([layerNorm, { kernel: linearGelu, dtype: "f16" }])',
    });
  }
  const loads: Load[] = [];
  for (const item of list as readonly KernelRequest[]) {
    const { kernel, dtype: given } = isPair(item) ? item : { kernel: item, dtype: undefined };
    const entry = entryOf(entries, kernel);
    const dtype = given ?? entry.dtype;
    if (loads.some((l) => l.entry === entry && l.dtype === dtype)) continue;
    loads.push({ entry, dtype, profiles: profilesOf(kernel, dtype, core.features) });
  }
  return loads;
}

const isPair = (item: KernelRequest): item is Exclude<KernelRequest, Kernel> =>
  typeof item === "object" && item !== null && "kernel" in item;

async function warmAll(
  parts: WarmupParts,
  loads: readonly Load[],
  { concurrency = 8, onlyUsed }: KernelWarmupOptions,
  stop: Promise<never> | undefined,
  report: Report,
): Promise<{ readonly kernels: number; readonly rest: Promise<void> }> {
  const known = await parts.core.wait(readUsage(parts.store), stop);
  const used = new Set(known);
  const ready = new Set<Text>();
  const later = new Set<Text>();
  const counts = { compiled: 0, primed: 0, of: 0 };
  let todo = loads;
  for (let round = 0; round === 0 || todo.length > 0; round++) {
    await Promise.all(todo.map((load) => open(parts.core, load, stop, report)));
    const all = [...new Set(todo.flatMap((load) => textsOf(parts.texts, load)))];
    // What replaces a text that failed may be needed at once, so it is not left for later.
    const part = round === 0 && onlyUsed && all.some((t) => used.has(t.key));
    const now = all.filter((t) => !ready.has(t) && (!part || used.has(t.key)));
    if (part) for (const t of all) if (!used.has(t.key)) later.add(t);
    counts.of += now.length;
    if (round === 0) report({ status: "start" }, `${now.length} kernels to prepare`, 0, 2 * now.length);
    const failed = new Map<Text, SinterError>();
    await atOnce(usedFirst(now, known), concurrency, async (text) => {
      const kernel = text.label;
      let left = 2;
      try {
        report({ status: "compiling", kernel }, `compiling ${kernel}`, 0, round && 2);
        await parts.core.wait(parts.texts.compile(text), stop);
        left--;
        report({ status: "compiled", kernel }, `compiled ${++counts.compiled} of ${counts.of}: ${kernel}`, 1);
        report({ status: "priming", kernel }, `priming ${kernel}`);
        await parts.core.wait(parts.texts.prime(text), stop);
        left--;
        report({ status: "primed", kernel }, `primed ${++counts.primed} of ${counts.of}: ${kernel}`, 1);
        ready.add(text);
      } catch (e) {
        if (!(e instanceof SinterError) || e.code !== "kernel-compile-failed") throw e;
        failed.set(text, e);
        counts.of--;
        report({ status: "warning", kernel, error: e }, e.diagnostic.message, 0, -left);
      }
    });
    todo = todo.filter((load) => {
      const broken = textsOf(parts.texts, load).find((t) => failed.has(t));
      if (broken) giveUp(load, failed.get(broken)!);
      else load.entry.warm[load.dtype] = load.ready!;
      return broken;
    });
  }
  const finish = (t: Text): Promise<void> => parts.texts.compile(t).then(() => parts.texts.prime(t));
  const rest = atOnce([...later], 2, (t) => finish(t).catch(() => undefined));
  return { kernels: ready.size, rest };
}

function textsOf(texts: Texts, { entry, ready }: Load): Text[] {
  const { variants, profile } = ready!;
  return variants.flatMap((v) => v.steps.map((s) => texts.of(s, entry.kernel, profile)));
}

/** Goes on to the profile after the one that failed; throws its error where there is none. */
function giveUp(load: Load, error: SinterError): void {
  load.profiles.shift();
  if (load.profiles.length === 0) throw error;
}

/** Loads the texts of the first profile that can be loaded. */
async function open(core: Core, load: Load, stop: Promise<never> | undefined, report: Report): Promise<void> {
  const { kernel } = load.entry;
  for (;;) {
    const profile = load.profiles[0]!;
    const code = kernel.code[profile]!;
    let error: SinterError;
    try {
      const { variants } = typeof code === "function" ? (await core.wait(code(), stop)).code : code;
      const tested = profile.includes("subgroups") && import("./adds-up.ts").then((m) => m.addsUp(core.device));
      const wrong = tested && (await core.wait(tested, stop));
      if (!wrong) {
        load.ready = { profile, variants };
        return;
      }
      error = new SinterError(wrong);
    } catch (e) {
      if (e instanceof SinterError) throw e;
      error = new SinterError(
        {
          code: "kernel-load-failed",
          message: `the ${profile} texts of kernel ${kernel.name} could not be loaded`,
          cause: String((e as Error)?.message ?? e),
          hint: "see that the page serves the modules of its bundle",
        },
        { cause: e },
      );
    }
    giveUp(load, error);
    report({ status: "warning", kernel: kernel.name, error }, error.diagnostic.message);
  }
}
