import { type EncodeOptions, encode, type Groups } from "./encode.ts";
import { aborted, aboutBuffers } from "./errors.ts";
import type { Gpu, WaitOptions } from "./gpu.ts";
import type { BoundInputs } from "./inputs.ts";
import type { Lease } from "./pool.ts";
import type { Session } from "./session.ts";
import { learn, slices } from "./slices.ts";
import { bindGroup, type Step } from "./storage.ts";
import { GpuTensor, type Place } from "./tensor.ts";
import { bytesOf } from "./values.ts";

/** One run that waits to be encoded, with the memory taken for it. */
export interface Call {
  readonly session: Session;
  readonly bound: BoundInputs;
  /** For each output; empty until the memory is there. */
  readonly results: Lease[];
  /** For states that pass through temporary memory. */
  readonly temporaries: Lease[];
  /** For each output, when results are read back in the same submit. */
  readonly staging: Lease[];
  /** For each input from host data, when several runs share a submit. */
  readonly slots: Lease[];
}

export const makeCall = (session: Session, bound: BoundInputs): Call => ({
  session,
  bound,
  results: [],
  temporaries: [],
  staging: [],
  slots: [],
});

export interface StartOptions extends WaitOptions, Omit<EncodeOptions, "checks"> {
  readonly read?: boolean | undefined;
  /** Longest time that one submit should take, in milliseconds: the run is divided, and the device idle in between. */
  readonly maxSubmitMs?: number | undefined;
}

type CheckedOptions = StartOptions & EncodeOptions;

type Results = Record<string, GpuTensor>;

const lists = { results: "storage", temporaries: "storage", staging: "staging", slots: "storage" } as const;
const listNames = Object.keys(lists) as (keyof typeof lists)[];

/** Bytes of memory a call needs, by list of the call. */
function needs(c: Call, options: StartOptions): Record<keyof typeof lists, number[]> {
  const { results, stateMoves } = c.session.loaded;
  return {
    results: results.map(bytesOf),
    temporaries: stateMoves.filter((s) => s.temporary).map((s) => s.port.window.size),
    staging: options.read ? results.map(bytesOf) : [],
    slots: options.slots ? c.bound.inputs.flatMap((i) => (i.kind === "bytes" ? [i.bytes.length] : [])) : [],
  };
}

/**
 * Encodes and submits runs as one command buffer, in order. With everything at hand this happens before the function
 * returns; else memory and bind groups are made first, and later calls wait their turn.
 */
export async function startCalls(gpu: Gpu, calls: readonly Call[], options: StartOptions): Promise<Results[]> {
  if (!gpu.checkMemory || options.passes) return start(gpu, calls, options);
  const checks = calls.map((c) => c.session.loaded.checks?.run());
  const results = await start(gpu, calls, { ...options, checks: checks.map((c) => c?.passes) });
  // What is submitted goes on to its end here too, whatever the signal says.
  for (const c of checks) await c?.verify({});
  return results;
}

function start(gpu: Gpu, calls: readonly Call[], options: CheckedOptions): Promise<Results[]> {
  // The caller may change its arrays as soon as this function has returned.
  let mine = calls;
  const copy = (): void => {
    mine = calls.map((c) => ({ ...c, bound: { ...c.bound, inputs: c.bound.inputs.map(ownBytes) } }));
  };
  if (gpu.busy) copy();
  const held: Lease[] = [];
  for (const c of calls) {
    for (const i of c.bound.inputs) {
      const lease = i.kind === "gpu" && i.source instanceof GpuTensor ? i.source.place.lease : undefined;
      if (lease) held.push(lease.retain());
    }
  }
  const done = (): void => {
    for (const l of held.splice(0)) l.release();
  };
  const go = (): Results[] | Promise<Results[]> => {
    gpu.check();
    if (options.signal?.aborted) throw aborted("the run", options.signal);
    if (acquireNow(gpu, mine, options)) {
      const groups = knownGroups(mine);
      if (groups && !mine.some((c) => c.bound.foreign.length > 0)) {
        if (!sliced(options)) return encodeGuarded(gpu, mine, groups, options);
        if (mine === calls) copy();
        return encodeSliced(gpu, mine, groups, options);
      }
    }
    if (mine === calls) copy();
    return startSlowly(gpu, mine, options);
  };
  return gpu.inOrder(go).finally(done);
}

const ownBytes = (input: BoundInputs["inputs"][number]): BoundInputs["inputs"][number] =>
  input.kind === "bytes" ? { ...input, bytes: input.bytes.slice() } : input;

/** Takes the memory of all calls from the pool if it has it. */
function acquireNow(gpu: Gpu, calls: readonly Call[], options: StartOptions): boolean {
  for (const call of calls) {
    const sizes = needs(call, options);
    for (const list of listNames) {
      for (const bytes of sizes[list]) {
        const lease = gpu.pool.tryAcquire(lists[list], bytes);
        if (!lease) {
          giveBack(calls);
          return false;
        }
        call[list].push(lease);
      }
    }
  }
  return true;
}

function giveBack(calls: readonly Call[]): void {
  for (const c of calls) for (const list of listNames) for (const l of c[list].splice(0)) l.release();
}

async function startSlowly(gpu: Gpu, calls: readonly Call[], options: CheckedOptions): Promise<Results[]> {
  try {
    for (const call of calls) {
      const sizes = needs(call, options);
      for (const list of listNames) {
        if (call[list].length > 0) continue;
        call[list].push(...(await gpu.pool.acquire(lists[list], sizes[list], "run the program", options.signal)));
      }
    }
    const groups = await makeGroups(gpu, calls, options);
    const { epoch } = gpu;
    if (sliced(options)) return await encodeSliced(gpu, calls, groups, options);
    await gpu.scoped("run the program", () => submitAll(gpu, calls, groups, options), options);
    return finish(gpu, calls, epoch);
  } catch (e) {
    giveBack(calls);
    throw aboutBuffers(
      e,
      calls.flatMap((c) => c.bound.foreign),
    );
  }
}

function encodeGuarded(gpu: Gpu, calls: readonly Call[], groups: Groups, options: CheckedOptions): Results[] {
  try {
    const { epoch } = gpu;
    gpu.guard("run the program", () => submitAll(gpu, calls, groups, options));
    return finish(gpu, calls, epoch);
  } catch (e) {
    giveBack(calls);
    throw e;
  }
}

function submitAll(gpu: Gpu, calls: readonly Call[], groups: Groups, options: CheckedOptions): void {
  for (const _ of encode(gpu, calls, groups, options));
}

const sliced = (options: CheckedOptions): boolean => options.maxSubmitMs != null && !options.checks;

/**
 * A submit after the other, each once the device is done with the one before. What has begun goes on to its end, whatever the
 * signal says: half a run would leave its state neither old nor new.
 */
async function encodeSliced(
  gpu: Gpu,
  calls: readonly Call[],
  groups: Groups,
  options: CheckedOptions,
): Promise<Results[]> {
  try {
    const { epoch } = gpu;
    const split = (steps: readonly Step[]) => slices(steps, options.maxSubmitMs!);
    const work = encode(gpu, calls, groups, { ...options, split });
    for (;;) {
      const began = performance.now();
      const next = gpu.guard("run the program", () => work.next());
      if (next.done) return finish(gpu, calls, epoch);
      await gpu.wait("finishing a part of a run", gpu.done());
      learn(next.value, performance.now() - began);
      // Memory of a session that was disposed meanwhile is somebody else's.
      for (const c of calls) c.session.loaded;
    }
  } catch (e) {
    giveBack(calls);
    throw e;
  }
}

const bufferIds = new WeakMap<GPUBuffer, number>();
let nextBufferId = 1;
function idOf(buffer: GPUBuffer): number {
  let id = bufferIds.get(buffer);
  if (id === undefined) bufferIds.set(buffer, (id = nextBufferId++));
  return id;
}

/** How many callers' buffers a step remembers bind groups for. */
const remembered = 32;

function eachRebound(
  call: Call,
  visit: (step: Step, key: string, given: ReadonlyMap<number, Place>) => boolean,
): boolean {
  const given = new Map<number, Place>();
  for (const i of call.bound.inputs) {
    if (i.kind === "gpu" && i.bind) given.set(i.port.window.buffer, i.source.place);
  }
  if (given.size === 0) return true;
  for (const step of call.session.loaded.storage.steps) {
    if (step.inputs.length === 0) continue;
    const places = step.inputs.flatMap((i) => given.get(i.buffer) ?? []);
    if (places.length === 0) continue;
    const key = step.inputs
      .map(({ buffer }) => {
        const p = given.get(buffer);
        return p ? `${idOf(p.buffer)}+${p.offset}` : "";
      })
      .join();
    if (!visit(step, key, given)) return false;
  }
  return true;
}

function knownGroups(calls: readonly Call[]): Groups | undefined {
  const all: Map<Step, GPUBindGroup>[] = [];
  for (const call of calls) {
    const groups = new Map<Step, GPUBindGroup>();
    const complete = eachRebound(call, (step, key) => {
      const group = step.rebound.get(key);
      if (group) groups.set(step, group);
      return group !== undefined;
    });
    if (!complete) return undefined;
    all.push(groups);
  }
  return all;
}

async function makeGroups(gpu: Gpu, calls: readonly Call[], options: WaitOptions): Promise<Groups> {
  const made: { readonly step: Step; readonly key: string }[] = [];
  const makeAll = (): Groups =>
    calls.map((call) => {
      const { places } = call.session.loaded.storage;
      const groups = new Map<Step, GPUBindGroup>();
      eachRebound(call, (step, key, given) => {
        let group = step.rebound.get(key);
        if (!group) {
          group = bindGroup(gpu, step.pipeline, step.spec, (b) => given.get(b) ?? places[b]!);
          if (step.rebound.size >= remembered) step.rebound.delete(step.rebound.keys().next().value as string);
          step.rebound.set(key, group);
          made.push({ step, key });
        }
        groups.set(step, group);
        return true;
      });
      return groups;
    });
  try {
    return await gpu.scoped("bind the given buffers", makeAll, options);
  } catch (e) {
    for (const { step, key } of made) step.rebound.delete(key);
    throw e;
  }
}

/** Hands the results over; the rest goes back: the queue keeps later users of the same memory behind this submit. */
function finish(gpu: Gpu, calls: readonly Call[], epoch: number): Results[] {
  const results = calls.map((call) => {
    const leases = call.results.splice(0);
    const staged = call.staging.splice(0);
    return Object.fromEntries(
      call.session.outputs.map((port, i) => {
        const lease = leases[i]!;
        const staging = staged[i];
        const place: Place = { buffer: lease.buffer, offset: 0, lease };
        return [
          port.name,
          new GpuTensor(gpu, port, place, { epoch, ...(staging && { prefetch: { staging, epoch } }) }),
        ];
      }),
    );
  });
  giveBack(calls);
  return results;
}
