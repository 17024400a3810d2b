import { SinterError } from "../base/diagnostic.ts";
import { regionKey } from "../fuse/region-key.ts";
import { signatureOf } from "../fuse/signature.ts";
import { kernelKey } from "../manifest/key.ts";
import type { KernelSpec } from "../manifest/manifest.ts";
import type { BoundRegion } from "../plan/bind.ts";
import type { Gpu, WaitOptions } from "../runtime/gpu.ts";
import type { Kernel } from "../wgsl/kernel.ts";
import { candidatesOf } from "../wgsl/write.ts";
import type { Clock } from "./clock.ts";
import type { Course } from "./course.ts";
import { promising } from "./estimate.ts";
import type { Timer } from "./timer.ts";
import type { Workbench } from "./workbench.ts";

/** What measuring takes. */
export interface Measuring extends WaitOptions {
  readonly gpu: Gpu;
  readonly bench: Workbench;
  readonly timer: Timer;
  readonly clock: Clock;
  /** Milliseconds of `performance.now()`; a test has its own. */
  readonly now: () => number;
  /** When there is no more time for measurements, by `now`. */
  readonly deadline: number;
}

/** A kernel to be measured. */
export interface Job {
  readonly signature: string;
  readonly bound: BoundRegion;
  /** The steps of a run that are this kernel in one text: others bind what they read in another way. */
  readonly at: readonly number[];
  /** Dispatches in a run, in whichever text. */
  readonly count: number;
}

/** The kernels of a program, each once, those that move most bytes first. */
export function jobsOf(bound: readonly BoundRegion[]): readonly Job[] {
  const jobs = new Map<string, Map<string, number[]>>();
  for (const [i, { region }] of bound.entries()) {
    if (region.family === "opaque") continue;
    const signature = signatureOf(region);
    const texts = jobs.get(signature) ?? new Map<string, number[]>();
    jobs.set(signature, texts);
    const key = regionKey(region);
    texts.set(key, [...(texts.get(key) ?? []), i]);
  }
  const list = [...jobs].map(([signature, texts]): Job => {
    const [at = [], ...others] = [...texts.values()].sort((a, b) => b.length - a.length);
    const count = others.reduce((n, o) => n + o.length, at.length);
    return { signature, bound: bound[at[0] as number] as BoundRegion, at, count };
  });
  const weight = ({ bound: b, count }: Job): number => count * workOf(b);
  return list.sort((a, b) => weight(b) - weight(a));
}

/** Bytes moved, with the multiplications of products as so many bytes as take as long on most devices. */
function workOf({ region, windows }: BoundRegion): number {
  const bytes = windows.reduce((n, w) => n + w.size, 0);
  const product = region.anchors.find((n) => n.op === "matmul");
  const depth = (product?.args[0]?.type.shape.at(-1) as number | undefined) ?? 0;
  return bytes + (depth * region.space.reduce((n, d) => n * d, 1)) / 8;
}

/** A way to run a kernel. */
export interface Variant {
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly workgroups: readonly [number, number, number];
  /** Microseconds. */
  samples: number[];
}

/** A kernel with those of its variants that compute the same numbers, the usual one first. */
export interface Entrant {
  readonly job: Job;
  readonly variants: readonly Variant[];
}

interface Written {
  readonly name: string;
  readonly spec: KernelSpec;
  readonly workgroups: readonly [number, number, number];
}

/**
 * Compiles the variants of kernels, all at once, and leaves out those that the device refuses or whose results are not those of
 * the usual one. Kernels of one variant are left out, and so is what the time is too short for. With `names` the usual variants and those
 * of these names are all there are.
 */
export async function prepare(
  m: Measuring,
  course: Course,
  jobs: readonly Job[],
  names?: (job: Job) => readonly (string | undefined)[],
): Promise<readonly Entrant[]> {
  const written = jobs.map((job) => ({ job, variants: writeAll(m.gpu, job, names?.(job)) }));
  const several = written.filter(({ variants }) => names || variants.length > 1);
  const compiled = await Promise.all(
    several.map(({ variants }) => Promise.all(variants.map((v, i) => compiledAs(m, v, i === 0)))),
  );
  const out: Entrant[] = [];
  for (const [i, { job }] of several.entries()) {
    if (m.now() > m.deadline) break;
    const variants = (compiled[i] as (Variant | undefined)[]).filter((v) => v !== undefined);
    const [at] = job.at as [number];
    const { group } = course.steps[at] as (typeof course.steps)[number];
    const agree = await m.bench.agreeing(
      job.bound,
      course.rangesOf(at),
      variants.map(({ pipeline, workgroups }) => ({ pipeline, group, workgroups })),
      m,
    );
    out.push({ job, variants: variants.filter((_, j) => agree[j]) });
  }
  return out;
}

/** Kernels that differ, by name, the usual one first; those that the writer refuses are left out. */
function writeAll(gpu: Gpu, job: Job, names?: readonly (string | undefined)[]): readonly Written[] {
  const { region } = job.bound;
  const all = candidatesOf(region, gpu.capabilities);
  const [usual] = all;
  const likely = promising(
    region,
    gpu.capabilities,
    all.map((c) => c.name),
  );
  const chosen = all.filter((c) => (names ? c === usual || names.includes(c.name) : likely(c.name)));
  const texts = new Set<string>();
  return chosen.flatMap(({ name, write }, i) => {
    try {
      const kernel = write();
      const text = `${kernel.workgroups} ${kernel.wgsl}`;
      if (texts.has(text)) return [];
      texts.add(text);
      return [{ name, spec: specOf(kernel, job.signature), workgroups: kernel.workgroups }];
    } catch (e) {
      if (i === 0 || !(e instanceof SinterError)) throw e;
      return [];
    }
  });
}

function specOf({ wgsl, bindings, workgroupSize, requires }: Kernel, label: string): KernelSpec {
  const spec: Omit<KernelSpec, "key"> = { label, wgsl, entryPoint: "main", bindings, workgroupSize, requires };
  return { key: kernelKey(spec), ...spec };
}

/** The variant, if the device takes it; the usual one it has to take. */
async function compiledAs(
  m: Measuring,
  { name, spec, workgroups }: Written,
  usual: boolean,
): Promise<Variant | undefined> {
  try {
    const { pipeline } = await m.gpu.pipelines.get(spec, { warmup: true, signal: m.signal });
    return { name, pipeline, workgroups, samples: [] };
  } catch (e) {
    const refused = e instanceof SinterError && ["kernel-compile-failed", "device-too-small"].includes(e.code);
    if (refused && !usual) return undefined;
    throw e;
  }
}
