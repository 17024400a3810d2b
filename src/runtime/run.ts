import { fail, SinterError } from "../base/diagnostic.ts";
import { aborted, type Gpu, type WaitOptions } from "./gpu.ts";
import type { BoundInputs } from "./inputs.ts";
import type { Lease } from "./pool.ts";
import type { Session } from "./session.ts";
import { bindGroup, encodeSteps, type Step } from "./storage.ts";
import { GpuTensor, type Place } from "./tensor.ts";
import { bytesOf } from "./values.ts";

/** One run that waits to be encoded. `outputs` holds its results' places from then on. */
export interface Call {
  readonly session: Session;
  readonly bound: BoundInputs;
  /** Filled when the memory for the results is there, before the call is encoded. */
  readonly results: Lease[];
  readonly temporaries: Lease[];
  readonly staging: Lease[];
}

export const makeCall = (session: Session, bound: BoundInputs): Call => ({
  session,
  bound,
  results: [],
  temporaries: [],
  staging: [],
});

export interface StartOptions extends WaitOptions {
  readonly read?: boolean | undefined;
  /** Several runs share the submit: host data goes through slots of its own for each run. */
  readonly slots?: boolean | undefined;
}

type Results = Record<string, GpuTensor>;

/** Bytes of memory a call needs, by list of the call. */
const needs = (c: Call, read: boolean) =>
  ({
    results: c.session.manifest.outputs.map(bytesOf),
    temporaries: c.session.loaded.stateMoves.filter((s) => s.temporary).map((s) => s.port.window.size),
    staging: read ? c.session.manifest.outputs.map((p) => (p.shape.includes(0) ? 4 : bytesOf(p))) : [],
  }) as const;
const kinds = { results: "storage", temporaries: "storage", staging: "staging" } as const;
const lists = ["results", "temporaries", "staging"] as const;

/**
 * Encodes and submits runs as one command buffer, in order. With everything at hand this happens before the function
 * returns; else memory and bind groups are made first, and later calls wait their turn.
 */
export function startCalls(gpu: Gpu, calls: readonly Call[], options: StartOptions): Promise<Results[]> {
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
  const start = (): Results[] | Promise<Results[]> => {
    gpu.check();
    if (options.signal?.aborted) throw aborted("the run", options.signal);
    if (acquireNow(gpu, mine, options.read ?? false)) {
      const groups = knownGroups(mine);
      if (groups && !mine.some((c) => c.bound.foreign)) return encodeGuarded(gpu, mine, groups, options);
    }
    if (mine === calls) copy();
    return startSlowly(gpu, mine, options);
  };
  return gpu.inOrder(start).finally(done);
}

const ownBytes = (input: BoundInputs["inputs"][number]): BoundInputs["inputs"][number] =>
  input.kind === "bytes" ? { ...input, bytes: input.bytes.slice() } : input;

/** Takes the memory of all calls from the pool if it has it. */
function acquireNow(gpu: Gpu, calls: readonly Call[], read: boolean): boolean {
  for (const call of calls) {
    const sizes = needs(call, read);
    for (const list of lists) {
      for (const bytes of sizes[list]) {
        const lease = gpu.pool.tryAcquire(kinds[list], bytes);
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
  for (const c of calls) for (const list of lists) for (const l of c[list].splice(0)) l.release();
}

async function startSlowly(gpu: Gpu, calls: readonly Call[], options: StartOptions): Promise<Results[]> {
  try {
    for (const call of calls) {
      const sizes = needs(call, options.read ?? false);
      for (const list of lists) {
        if (call[list].length > 0) continue;
        call[list].push(...(await gpu.pool.acquire(kinds[list], sizes[list], "run the program", options.signal)));
      }
    }
    const groups = await gpu.scoped("bind the given buffers", () => makeGroups(gpu, calls), options);
    return await gpu.scoped("run the program", () => encode(gpu, calls, groups, options), options);
  } catch (e) {
    giveBack(calls);
    throw e;
  }
}

function encodeGuarded(gpu: Gpu, calls: readonly Call[], groups: Groups, options: StartOptions): Results[] {
  try {
    return gpu.guard("run the program", () => encode(gpu, calls, groups, options));
  } catch (e) {
    giveBack(calls);
    throw e;
  }
}

/** Bind groups of steps that read a caller's buffer, for each call. */
type Groups = readonly ReadonlyMap<Step, GPUBindGroup>[];

const bufferIds = new WeakMap<GPUBuffer, number>();
let nextBufferId = 1;
function idOf(buffer: GPUBuffer): number {
  let id = bufferIds.get(buffer);
  if (id === undefined) bufferIds.set(buffer, (id = nextBufferId++));
  return id;
}

/** How many callers' buffers a step remembers bind groups for. */
const remembered = 32;

function eachRebound(call: Call, visit: (step: Step, key: string, given: ReadonlyMap<number, Place>) => boolean): boolean {
  const given = new Map<number, Place>();
  for (const i of call.bound.inputs) {
    if (i.kind === "gpu" && i.bind) given.set(i.port.window.buffer, i.source.place);
  }
  if (given.size === 0) return true;
  for (const step of call.session.loaded.storage.steps) {
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
    // Buffers that earlier runs of a batch are still to make have no place yet.
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

function makeGroups(gpu: Gpu, calls: readonly Call[]): Groups {
  return calls.map((call) => {
    const { places } = call.session.loaded.storage;
    const groups = new Map<Step, GPUBindGroup>();
    eachRebound(call, (step, key, given) => {
      let group = step.rebound.get(key);
      if (!group) {
        group = bindGroup(gpu, step.pipeline, step.spec, (b) => given.get(b) ?? places[b]!);
        if (step.rebound.size >= remembered) step.rebound.delete(step.rebound.keys().next().value as string);
        step.rebound.set(key, group);
      }
      groups.set(step, group);
      return true;
    });
    return groups;
  });
}

function encode(gpu: Gpu, calls: readonly Call[], groups: Groups, options: StartOptions): Results[] {
  const { epoch } = gpu;
  const encoder = gpu.device.createCommandEncoder();
  calls.forEach((call, n) => {
    encodeInputs(gpu, encoder, call);
    const pass = encoder.beginComputePass();
    const { storage } = call.session.loaded;
    gpu.counters.dispatches += encodeSteps(pass, storage.steps, (s) => groups[n]!.get(s) ?? s.group);
    pass.end();
    encodeOutputs(encoder, call);
  });
  gpu.submit([encoder.finish()]);
  return calls.map((call) => resultsOf(gpu, call, epoch));
}
