import { fail } from "../base/diagnostic.ts";
import type { DispatchSpec, Manifest, Window } from "../manifest/manifest.ts";
import type { Gpu, WaitOptions } from "./gpu.ts";
import type { Pipeline } from "./pipelines.ts";
import type { Lease } from "./pool.ts";
import type { Place } from "./tensor.ts";

/** One dispatch with everything it needs made at load. */
export interface Step {
  readonly pipeline: Pipeline;
  readonly workgroups: readonly [number, number, number];
  readonly group: GPUBindGroup;
  readonly spec: DispatchSpec;
  /** Which bindings read an input that may be bound to the caller's buffer instead; empty for most steps. */
  readonly inputs: readonly { readonly binding: number; readonly buffer: number }[];
  /** Bind groups made for callers' buffers, by the buffers' numbers. */
  readonly rebound: Map<string, GPUBindGroup>;
}

/** The buffers and bind groups of one loaded program. */
export interface Storage {
  readonly places: readonly Place[];
  readonly setup: readonly Step[];
  readonly steps: readonly Step[];
  /** Indices of buffers that a run may bind to somebody else's buffer. */
  readonly rebindable: ReadonlySet<number>;
  release(): void;
}

/** Whether the device can hold and dispatch the program at all. Fails with `device-too-small`. */
export function checkFits(gpu: Gpu, m: Manifest): void {
  const { limits } = gpu.capabilities;
  const tooSmall = (what: string, needed: number, offered: number): never =>
    fail("device-too-small", `${what} needs ${needed}, and this device allows ${offered}`, {
      hint: "compile the program for this device's capabilities",
    });
  m.buffers.forEach((b, i) => {
    if (b.size > limits.maxBufferSize) tooSmall(`buffer ${i} (${b.role}, bytes)`, b.size, limits.maxBufferSize);
  });
  for (const d of [...m.setup, ...m.dispatches]) {
    const { label } = m.kernels[d.kernel]!;
    const groups = Math.max(...d.workgroups);
    if (groups > limits.maxComputeWorkgroupsPerDimension) {
      tooSmall(`the dispatch of ${label} (workgroups)`, groups, limits.maxComputeWorkgroupsPerDimension);
    }
    for (const w of d.bindings) {
      if (w.size > limits.maxStorageBufferBindingSize) {
        tooSmall(`a binding of ${label} (bytes)`, w.size, limits.maxStorageBufferBindingSize);
      }
    }
  }
}

const windowsOf = (m: Manifest): readonly Window[] =>
  [...m.inputs, ...m.weights, ...m.state, ...m.outputs, ...m.state.map((s) => ({ window: s.next }))].map(
    (p) => p.window,
  );

/**
 * Buffers that one port has to itself and no kernel writes: they can be replaced by the caller's buffer without a copy.
 */
export function replaceable(m: Manifest): ReadonlySet<number> {
  const uses = new Map<number, number>();
  for (const w of windowsOf(m)) uses.set(w.buffer, (uses.get(w.buffer) ?? 0) + 1);
  const written = new Set<number>();
  for (const d of [...m.setup, ...m.dispatches]) {
    d.bindings.forEach((w, i) => {
      if (m.kernels[d.kernel]!.bindings[i] === "read_write") written.add(w.buffer);
    });
  }
  const ports = [...m.inputs, ...m.weights].filter(
    ({ window: w }) => uses.get(w.buffer) === 1 && w.offset === 0 && !written.has(w.buffer),
  );
  return new Set(ports.map((p) => p.window.buffer));
}

/** The buffers of one program, before anything is bound to them. */
export interface Memory {
  readonly places: readonly Place[];
  /** Buffers that stand in for the program's own. */
  readonly given: ReadonlyMap<number, Place>;
  release(): void;
}

/** Allocates the buffers of a program but for those `given`. Whatever fails, nothing is held. */
export async function takeMemory(
  gpu: Gpu,
  m: Manifest,
  given: ReadonlyMap<number, Place>,
  options: WaitOptions = {},
): Promise<Memory> {
  const own = m.buffers.flatMap((_, i) => (given.has(i) ? [] : [i]));
  for (const p of given.values()) p.lease?.retain();
  let leases: Lease[] = [];
  let held = true;
  const release = (): void => {
    if (!held) return;
    held = false;
    for (const l of leases) l.release();
    for (const p of given.values()) p.lease?.release();
  };
  try {
    leases = await gpu.pool.acquire(
      "storage",
      own.map((i) => m.buffers[i]!.size),
      "load the program",
      options.signal,
    );
  } catch (e) {
    release();
    throw e;
  }
  const places: Place[] = [];
  own.forEach((i, n) => {
    places[i] = { buffer: leases[n]!.buffer, offset: 0 };
  });
  for (const [i, p] of given) places[i] = p;
  return { places, given, release };
}

/** Binds the kernels of a program to its memory, which it owns from then on. Whatever fails, nothing is held. */
export async function makeStorage(
  gpu: Gpu,
  m: Manifest,
  pipelines: readonly Pipeline[],
  memory: Memory,
  options: WaitOptions = {},
): Promise<Storage> {
  const { places, given, release } = memory;
  try {
    const inputBuffers = new Set(m.inputs.map((p) => p.window.buffer));
    const rebindable = new Set([...replaceable(m)].filter((b) => inputBuffers.has(b)));
    const groups = new Map<string, GPUBindGroup>();
    const foreign = (buffer: number): boolean => rebindable.has(buffer) || given.has(buffer);
    const reach = gpu.checkMemory ? reachOf(m, foreign) : undefined;
    const bind = (d: DispatchSpec, step: number): Step => {
      const pipeline = pipelines[d.kernel]!;
      const wide =
        reach && !pipeline.kernel.own ? d.bindings.map((w) => ({ ...w, size: w.size + reach(w, step) })) : d.bindings;
      const key = `${pipeline.kernel.bindings} ${wide.map((w) => `${w.buffer}:${w.offset}:${w.size}`)}`;
      const group = groups.get(key) ?? bindGroup(gpu, pipeline, { ...d, bindings: wide }, places);
      groups.set(key, group);
      const inputs = d.bindings.flatMap((w, binding) =>
        rebindable.has(w.buffer) ? [{ binding, buffer: w.buffer }] : [],
      );
      return { pipeline, workgroups: d.workgroups, group, spec: d, inputs, rebound: new Map() };
    };
    const [setup, steps] = await gpu.scoped(
      "bind the program's buffers",
      () => [m.setup.map(bind), m.dispatches.map((d, i) => bind(d, m.setup.length + i))] as const,
      options,
    );
    return { places, setup, steps, rebindable, release };
  } catch (e) {
    release();
    throw e;
  }
}

/**
 * How far a binding of a step may reach beyond its window where memory is checked: into the guard behind it, so that an
 * index past the end hits the guard and is not clamped.
 */
function reachOf(m: Manifest, foreign: (buffer: number) => boolean): (w: Window, step: number) => number {
  const shared = new Set(m.spans.map((s) => s.window.buffer));
  const endsWith = (s: Window, w: Window): boolean =>
    s.buffer === w.buffer && s.offset <= w.offset && s.offset + s.size === w.offset + w.size;
  return (w, step) => {
    if (!shared.has(w.buffer)) {
      const last = w.offset + w.size === m.buffers[w.buffer]!.size - m.guard;
      return last && !foreign(w.buffer) ? m.guard : 0;
    }
    const span = m.spans.find((s) => s.first <= step && step <= s.last && endsWith(s.window, w));
    return span ? guardSize(span.window.size, m) : 0;
  };
}

/** Bytes between the end of a tensor of `size` bytes and what lies behind it. */
export const guardSize = (size: number, m: Manifest): number =>
  m.guard === 0 ? 0 : Math.ceil(size / 256) * 256 - size + m.guard;

/** A bind group of a dispatch over `places`, buffer by buffer of the manifest. */
export function bindGroup(
  gpu: Gpu,
  pipeline: Pipeline,
  d: DispatchSpec,
  places: readonly Place[] | ((buffer: number) => Place),
): GPUBindGroup {
  const placeOf = typeof places === "function" ? places : (i: number) => places[i]!;
  gpu.counters.bindGroups++;
  return gpu.device.createBindGroup({
    label: pipeline.kernel.label,
    layout: pipeline.layout,
    entries: d.bindings.map((w, binding) => {
      const { buffer, offset } = placeOf(w.buffer);
      return { binding, resource: { buffer, offset: offset + w.offset, size: w.size } };
    }),
  });
}

const isEmpty = (s: Step): boolean => s.workgroups.some((n) => n === 0);

/** Encodes dispatches into a pass; `groupOf` may give other bind groups. Returns how many there were. */
export function encodeSteps(
  pass: GPUComputePassEncoder,
  steps: readonly Step[],
  groupOf: (step: Step) => GPUBindGroup = (s) => s.group,
): number {
  let current: GPUComputePipeline | undefined;
  let count = 0;
  for (const step of steps) {
    if (isEmpty(step)) continue;
    if (step.pipeline.pipeline !== current) pass.setPipeline((current = step.pipeline.pipeline));
    pass.setBindGroup(0, groupOf(step));
    pass.dispatchWorkgroups(...step.workgroups);
    count++;
  }
  return count;
}
