import { SinterError } from "../base/diagnostic.ts";
import { margin } from "../fuse/measured.ts";
import { signatureOf } from "../fuse/signature.ts";
import type { KernelChoice } from "../manifest/tuning.ts";
import type { BoundRegion } from "../plan/bind.ts";
import type { Gpu, WaitOptions } from "../runtime/gpu.ts";
import type { Kernel } from "../wgsl/kernel.ts";
import { candidatesOf, writeKernel } from "../wgsl/write.ts";
import { agrees, type Sample, toleranceOf } from "./compare.ts";
import type { Filler } from "./fill.ts";
import type { Runnable, Timer } from "./timer.ts";
import { Workbench } from "./workbench.ts";

/** What measuring takes. */
export interface Measuring extends WaitOptions {
  readonly gpu: Gpu;
  readonly filler: Filler;
  readonly timer: Timer;
  /** Milliseconds of `performance.now()`; a test has its own. */
  readonly now: () => number;
  /** When there is no more time for measurements, by `now`. */
  readonly deadline: number;
}

/** A kernel to be measured. */
export interface Job {
  readonly signature: string;
  readonly bound: BoundRegion;
  /** Dispatches of it in a run. */
  readonly count: number;
}

/** The kernels of a program, each once, those that move most bytes first. */
export function jobsOf(bound: readonly BoundRegion[]): readonly Job[] {
  const jobs = new Map<string, { signature: string; bound: BoundRegion; count: number }>();
  for (const b of bound) {
    if (b.region.family === "opaque") continue;
    const signature = signatureOf(b.region);
    const known = jobs.get(signature);
    if (known) known.count++;
    else jobs.set(signature, { signature, bound: b, count: 1 });
  }
  const weight = ({ bound: b, count }: Job): number => count * workOf(b);
  return [...jobs.values()].sort((a, b) => weight(b) - weight(a));
}

/** Bytes moved, with the multiplications of products as so many bytes as take as long on most devices. */
function workOf({ region, windows }: BoundRegion): number {
  const bytes = windows.reduce((n, w) => n + w.size, 0);
  const product = region.anchors.find((n) => n.op === "matmul");
  const depth = (product?.args[0]?.type.shape.at(-1) as number | undefined) ?? 0;
  return bytes + (depth * region.space.reduce((n, d) => n * d, 1)) / 8;
}

interface Variant {
  readonly name: string;
  readonly run: Runnable;
  times: number;
  best: number;
}

/** Batches of a variant's dispatches take about as long, in microseconds. */
const batch = { gpu: 4000, cpu: 30_000 };
const rounds = 5;

/** Variants that are compiled at the same time. */
const atOnce = 8;

/** Milliseconds of work that bring a GPU's clock up. */
const spin = 60;

/**
 * Times every variant of a kernel on random data. A variant whose results are not those of the usual one, within the
 * tolerance, is not considered. Returns the winner, or undefined where there is one variant only or the time was over.
 */
export async function tuneKernel(m: Measuring, job: Job): Promise<KernelChoice | undefined> {
  const { capabilities } = m.gpu;
  const kernels = writeAll(job.bound, m.gpu);
  const [usual, ...others] = kernels;
  if (!usual || others.length === 0) return undefined;
  const bench = await Workbench.open(m.gpu, m.filler, job.bound, m);
  try {
    const first = {
      name: usual.name,
      run: await bench.ready(usual.kernel, job.signature, m),
      times: 1,
      best: Infinity,
    };
    const tolerance = toleranceOf(job.bound.region);
    const expected = await bench.results(first.run, m);
    const variants: Variant[] = [first];
    for (let i = 0; i < others.length && m.now() < m.deadline; i += atOnce) {
      const some = others.slice(i, i + atOnce);
      const ready = await Promise.all(some.map(({ kernel }) => tryCompile(bench, kernel, job.signature, m)));
      for (const [j, run] of ready.entries()) {
        if (!run) continue;
        const results = await bench.results(run, m);
        if (!results.every((r, n) => agrees(r, expected[n] as Sample, tolerance))) continue;
        variants.push({ name: some[j]!.name, run, times: 1, best: Infinity });
      }
    }
    const each = capabilities.software ? batch.cpu : batch.gpu;
    if (!capabilities.software) await warm(m, first);
    const likely = await race(m, variants, each / 4, 2);
    const contenders = likely.filter((v, i) => i === 0 || v.best < 1.3 * (likely[0] as Variant).best);
    const last = [first, ...contenders.filter((v) => v !== first).slice(0, 5)];
    await race(m, last, each, rounds);
    const winner = last.reduce((a, b) => (b.best < a.best ? b : a));
    // The best of many had luck besides: it has to win again.
    if (winner !== first) await race(m, [first, winner], each, rounds);
    // Half a measurement is none.
    if (m.now() > m.deadline) return undefined;
    const chosen = winner.best < margin * first.best ? winner : first;
    return { variant: chosen.name, time: round(chosen.best), usual: first.name, usualTime: round(first.best) };
  } finally {
    bench.dispose();
  }
}

/** What variants of a kernel take: the best of a few batches each, in turns. */
export interface Timed {
  readonly name: string;
  /** Microseconds. */
  readonly best: number;
}

/** Times a kernel in the variants of these names; no name is the usual one, and so is one that is none of its variants. */
export async function compareVariants(
  m: Measuring,
  job: Job,
  names: readonly (string | undefined)[],
): Promise<readonly Timed[]> {
  const { gpu } = m;
  const bench = await Workbench.open(gpu, m.filler, job.bound, m);
  try {
    bench.fill();
    const variants: Variant[] = [];
    for (const name of names) {
      const kernel = writeKernel(job.bound.region, gpu.capabilities, name);
      const run = await bench.ready(kernel, job.signature, m);
      variants.push({ name: kernel.variant, run, times: 1, best: Infinity });
    }
    if (!gpu.capabilities.software) await warm(m, variants[0] as Variant);
    await race(m, variants, gpu.capabilities.software ? batch.cpu / 4 : batch.gpu, 4);
    return variants;
  } finally {
    bench.dispose();
  }
}

/** Kernels that differ, by name, the usual one first; those that the device or the writer refuses are left out. */
function writeAll({ region }: BoundRegion, { capabilities }: Gpu): readonly { name: string; kernel: Kernel }[] {
  const texts = new Set<string>();
  return candidatesOf(region, capabilities).flatMap(({ name, write }, i) => {
    try {
      const kernel = write();
      const text = `${kernel.workgroups} ${kernel.wgsl}`;
      if (texts.has(text)) return [];
      texts.add(text);
      return [{ name, kernel }];
    } catch (e) {
      if (i === 0 || !(e instanceof SinterError)) throw e;
      return [];
    }
  });
}

/** The variant, if the device takes it. */
async function tryCompile(
  bench: Workbench,
  kernel: Kernel,
  label: string,
  m: Measuring,
): Promise<Runnable | undefined> {
  try {
    return await bench.ready(kernel, label, m);
  } catch (e) {
    const refused = e instanceof SinterError && ["kernel-compile-failed", "device-too-small"].includes(e.code);
    if (refused) return undefined;
    throw e;
  }
}

/** Times variants in turns, so that a change of the clock or of other load meets all; sorts them by their best time. */
async function race(m: Measuring, variants: readonly Variant[], each: number, times: number): Promise<Variant[]> {
  for (let i = 0; i < times && (i === 0 || m.now() < m.deadline); i++) {
    // Each is the first of a round in its turn.
    const turn = variants.map((_, j) => variants[(i + j) % variants.length] as Variant);
    const now = await m.timer.time(turn, m);
    turn.forEach((v, j) => {
      const time = now[j] as number;
      v.best = Math.min(v.best, time);
      v.times = repeats(each, time);
    });
  }
  return variants.toSorted((a, b) => a.best - b.best);
}

const repeats = (each: number, time: number): number =>
  Math.max(1, Math.min(2000, Math.round(each / Math.max(time, 0.5))));

async function warm(m: Measuring, first: Variant): Promise<void> {
  let done = 0;
  let times = 1;
  while (done < spin) {
    const [time] = (await m.timer.time([{ run: first.run, times }], m)) as [number];
    done += Math.max(0.01, (time * times) / 1000);
    times = repeats(10_000, time);
  }
}

const round = (t: number): number => Number(t.toPrecision(4));
