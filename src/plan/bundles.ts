import { columnSumsOf } from "../fuse/columns.ts";
import { riddenStates } from "../fuse/in-place.ts";
import { bytesOf } from "../fuse/pull.ts";
import { recomputes } from "../fuse/recomputed.ts";
import type { Bundle, Family, Region } from "../fuse/region.ts";
import { flopsOf } from "../fuse/work.ts";
import type { Graph, Node } from "../ir/graph.ts";
import type { Capabilities, Window } from "../manifest/manifest.ts";
import { mayCover, sharesOf } from "../wgsl/bundle.ts";
import type { Kernel } from "../wgsl/kernel.ts";
import { costOf, mergeTasks, type Task, tasksOf, topological } from "./order.ts";
import { rootsOf } from "./tensors.ts";

/** A region, and the kernel that computes it when it has a dispatch to itself. */
export interface Alone {
  readonly region: Region;
  readonly kernel: Kernel;
  readonly windows: readonly Window[];
}

/**
 * A large GPU, for estimates: what keeps it busy, invocations that move data or workgroups of tiles; operations (f32, and by
 * subgroup matrices) and bytes a second that it then does; seconds that a dispatch costs; multiprocessors, and the workgroup
 * memory of each in units of what one workgroup may have.
 */
const device = {
  ...{ invocations: 2 ** 16, tiles: 2 ** 8, flops: 4e13, matrixFlops: 1.5e14, bytes: 3e12, dispatch: 4e-6 },
  ...{ multiprocessors: 128, memory: 4 },
};
/**
 * What is bundled must save this part of the time that its parts take; more where they are slow to compile, since what the
 * estimate finds below that was not there when it was measured.
 */
const leastGain = { slow: 0.1, quick: 0.02 };
/** Texts in a bundle, and those of them that are slow to compile: drivers take longer for a text than for its parts. */
const mostTexts = { all: 4, slow: 2 };
/** Bytes that bundles may take where `bytes` are enough without: what small programs have alive at a time is of no account. */
export const allowed = (bytes: number): number => 1.02 * bytes + 2 ** 20;
/**
 * Families whose kernels take long to compile. They go with what reads the same: the layers of a model then have equal bundles,
 * each of one text.
 */
const slowToCompile: ReadonlySet<Family> = new Set(["contraction", "attention"]);

interface Part extends Alone {
  /** Seconds that it takes, and that it would take of a device that it keeps busy. */
  readonly time: number;
  readonly work: number;
}

interface Item {
  readonly parts: readonly Part[];
  readonly time: number;
  readonly work: number;
  readonly reads: ReadonlySet<Node>;
  /** Of the checkpoints that it computes again. */
  readonly again: string;
  readonly slow: boolean;
}

interface Pair {
  readonly a: Item;
  readonly b: Item;
  readonly joined: Item;
  readonly gain: number;
}

/**
 * Which regions, of a list in execution order, share a dispatch: those that do not depend on each other, where together they
 * fill a device that they would leave partly idle one by one, and where hardly more memory is needed for it at a time. Of all pairs the one that saves most by the estimate is joined first, of equal ones the one that is nearest.
 */
export function chooseBundles(list: readonly Alone[], graph: Graph, capabilities: Capabilities): readonly Bundle[] {
  let tasks = tasksOf(
    list.map((x) => [x.region]),
    graph,
  );
  const peakOf = (t: readonly Task[]): number => costOf(t, topological(t)).peak;
  const most = allowed(peakOf(tasks));
  const paths = new Paths(tasks);
  // What is joined is in the place of its last region.
  const place = new Map(list.map((x, i) => [itemOf(x), i]));
  const placeOf = (x: Item): number => place.get(x) as number;
  const pairOf = (a: Item, b: Item): Pair | undefined => {
    // What is computed again is computed late, or a program would remember what it was to forget.
    if (a.again !== b.again) return undefined;
    if ((a.slow || b.slow) && ![...a.reads].some((n) => b.reads.has(n))) return undefined;
    if (paths.between(placeOf(a), placeOf(b))) return undefined;
    const joined = join(a, b, capabilities);
    const gain = a.time + b.time + device.dispatch - joined.time;
    const least = joined.slow ? leastGain.slow : leastGain.quick;
    return gain > least * (a.time + b.time) && goTogether(joined, capabilities) ? { a, b, joined, gain } : undefined;
  };
  const far = ({ a, b }: Pair): number => Math.abs(placeOf(a) - placeOf(b));
  const better = (p: Pair, q: Pair): boolean => (Math.abs(p.gain - q.gain) > 1e-9 ? p.gain > q.gain : far(p) < far(q));
  const items = [...place.keys()];
  let pairs = items.flatMap((a, i) => items.slice(i + 1).flatMap((b) => pairOf(a, b) ?? []));
  while (pairs.length > 0) {
    const best = pairs.reduce((p, q) => (better(q, p) ? q : p));
    pairs = pairs.filter((p) => p !== best);
    const { a, b, joined } = best;
    const [first, last] = [placeOf(a), placeOf(b)].sort((x, y) => x - y) as [number, number];
    if (paths.between(first, last)) continue;
    const trial = mergeTasks(tasks, first, last);
    if (peakOf(trial) > most) continue;
    tasks = trial;
    paths.merge(first, last);
    for (const x of [a, b]) place.delete(x);
    pairs = pairs.filter((p) => place.has(p.a) && place.has(p.b));
    const others = [...place.keys()];
    place.set(joined, last);
    pairs.push(...others.flatMap((x) => pairOf(x, joined) ?? []));
  }
  const bundles = [...place].sort(([, i], [, j]) => i - j);
  return bundles.map(([x]) => x.parts.map((p) => p.region));
}

function itemOf(x: Alone): Item {
  const { region, kernel } = x;
  const bytes = [...region.inputs, ...region.outputs].reduce((n, t) => n + bytesOf(t), 0);
  const flops = kernel.requires.subgroupMatrix ? device.matrixFlops : device.flops;
  const work = flopsOf(region) / flops + bytes / device.bytes;
  const slow = slowToCompile.has(region.family);
  // Kernels of tiles, or of sums along columns beside rows, hold much in the registers of few invocations.
  const holds = slow || columnSumsOf(region).length > 0;
  const fill = Math.max(
    (kernel.groups * kernel.workgroupSize[0]) / device.invocations,
    holds ? kernel.groups / device.tiles : 0,
  );
  const time = work / Math.min(1, fill);
  const reads = new Set(region.inputs);
  return {
    parts: [{ ...x, time, work }],
    time,
    work,
    slow,
    reads,
    again: recomputes(region.members, (n) => reads.has(n)),
  };
}

/** The two in one dispatch: it ends with the last of its parts, and not before the device has done the work of all. */
function join(a: Item, b: Item, { limits }: Capabilities): Item {
  // What takes longest begins first, so that the end is filled by what is short.
  const groupTime = (p: Part): number => p.work / Math.max(1, p.kernel.groups);
  const parts = [...a.parts, ...b.parts].sort((x, y) => groupTime(y) - groupTime(x));
  const work = a.work + b.work;
  // Each workgroup holds the workgroup memory of the part that needs most.
  const held = Math.max(1, ...parts.map((p) => p.kernel.requires.workgroupBytes));
  const atOnce = Math.floor((device.memory * limits.maxComputeWorkgroupStorageSize) / held);
  const room = Math.min(1, (device.multiprocessors * atOnce * sizeOf(parts)) / device.invocations);
  return {
    parts,
    work,
    time: Math.max(a.time, b.time, work / room),
    reads: new Set([...a.reads, ...b.reads]),
    slow: a.slow || b.slow,
    again: a.again,
  };
}

const sizeOf = (parts: readonly Part[]): number => Math.max(...parts.map((p) => p.kernel.workgroupSize[0]));

/** May these be one kernel? Whether their windows allow it is known when memory is laid out. */
function goTogether({ parts }: Item, { limits }: Capabilities): boolean {
  const texts = new Map(parts.map((p) => [p.kernel.wgsl, slowToCompile.has(p.region.family)]));
  const slow = [...texts.values()].filter((s) => s).length;
  if (texts.size > mostTexts.all || slow > mostTexts.slow) return false;
  if (parts.some((p) => sharesOf(p.kernel, sizeOf(parts)) === undefined)) return false;
  if (readApart(parts) || replacesReads(parts)) return false;
  const most = limits.maxStorageBuffersPerShaderStage;
  const tensors = new Set(parts.flatMap((p) => [...p.region.inputs, ...p.region.outputs]));
  if (tensors.size <= most) return true;
  const arrays = parts.flatMap(({ kernel: { bindings, pieces }, windows }) =>
    windows.map((w, i) => `${w.buffer} ${bindings[i]} ${pieces?.types[i]}`),
  );
  return mayCover(parts) && new Set(arrays).size <= most;
}

/** Does one write over a state, as it must, that another reads? */
function replacesReads(parts: readonly Part[]): boolean {
  const reads = (p: Part): Node[] => p.region.inputs.flatMap(rootsOf);
  return parts.some((p) => {
    const states = [...riddenStates(p.region).values()].flatMap(rootsOf);
    return parts.some((q) => q !== p && reads(q).some((n) => states.includes(n)));
  });
}

/** Do they read the same memory through different nodes? Where it is bound for writing, that cannot be. */
function readApart(parts: readonly Part[]): boolean {
  const seen = new Set<Node>();
  for (const n of new Set(parts.flatMap((p) => p.region.inputs))) {
    for (const root of rootsOf(n)) {
      if (seen.has(root)) return true;
      seen.add(root);
    }
  }
  return false;
}

/** Which tasks depend on which, directly or not. */
class Paths {
  /** For each task, itself and those that depend on it: a bit for each number. */
  private readonly after: bigint[];

  constructor(tasks: readonly Task[]) {
    this.after = tasks.map((_, i) => bit(i));
    for (const i of topological(tasks).toReversed()) {
      for (const n of (tasks[i] as Task).needs) this.after[n] = this.of(n) | this.of(i);
    }
  }

  private of(i: number): bigint {
    return this.after[i] as bigint;
  }

  between(i: number, j: number): boolean {
    return (this.of(i) & bit(j)) !== 0n || (this.of(j) & bit(i)) !== 0n;
  }

  /** Two tasks become one: what depends on one depends on both, and both wait for what either waits for. */
  merge(i: number, j: number): void {
    const both = this.of(i) | this.of(j);
    this.after.forEach((x, k) => {
      if ((x & (bit(i) | bit(j))) !== 0n) this.after[k] = x | both;
    });
  }
}

const bit = (i: number): bigint => 1n << BigInt(i);
