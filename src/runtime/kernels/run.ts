import type { Kernel, KernelStep, KernelVariant, Sizes } from "../../manifest/kernel-module.ts";
import { checkOptions } from "../options.ts";
import { usage } from "../usage.ts";
import { addUsage, type UsageStore } from "../usage-store.ts";
import type { Core } from "./core.ts";
import type { Bound, Groups, Layout } from "./groups.ts";
import { baseOf, type Entry, entryOf, type FloatDType, notWarmed, type Ready } from "./library.ts";
import { type KernelTensors, makeReader, type Operand } from "./operands.ts";
import * as refuse from "./refuse.ts";
import type { ArgumentSlots } from "./slots.ts";
import type { Text, Texts } from "./texts.ts";

/** Options of {@link KernelRuntime.run}. */
export interface KernelRunOptions {
  /** What the tensors of floating point hold; default f32, or f16 of a kernel that has nothing else. */
  readonly dtype?: FloatDType | undefined;
  /** Records a pass of its own into this encoder, which the caller submits. */
  readonly encoder?: GPUCommandEncoder | undefined;
  /** Records into this pass; its pipeline and bind group 0 are replaced. */
  readonly pass?: GPUComputePassEncoder | undefined;
}

interface RunParts {
  readonly core: Core;
  readonly entries: WeakMap<Kernel, Entry>;
  readonly texts: Texts;
  readonly groups: Groups;
  readonly slots: ArgumentSlots;
  readonly store: UsageStore | undefined;
  /** Texts that no warm-up compiled are refused. */
  readonly strict: boolean;
}

const optionNames = ["dtype", "encoder", "pass"];
const none: KernelRunOptions = {};

/** One dispatch, ready to be recorded. */
interface Dispatch {
  text: Text;
  group: GPUBindGroup;
  slot: number;
  x: number;
  y: number;
  z: number;
}

interface Runner {
  run(kernel: Kernel, tensors: KernelTensors, sizes: Sizes, options?: KernelRunOptions): void;
  dispose(): void;
}

/**
 * Runs kernels. A call is checked and prepared as a whole before any of it is recorded. Its lists are kept from call to
 * call, so that a call that repeats an earlier one makes nothing but, where none is given, an encoder and a pass.
 */
export function makeRunner({ core, entries, texts, groups, slots, store, strict }: RunParts): Runner {
  const { device, features, counters } = core;
  const { maxComputeWorkgroupsPerDimension: mostGroups, maxStorageBufferBindingSize, maxBufferSize } = device.limits;
  const operands: Operand[] = [];
  const readTensors = makeReader(core, operands);
  /** Of the variant that was picked last. */
  const picked: Text[] = [];
  const dispatches: Dispatch[] = [];
  const bound: Bound = { buffers: [], offsets: [], sizes: [] };
  const rests: number[] = [];
  const dynamic = new Uint32Array(1);
  const scratch: GPUBuffer[] = [];
  const newlyUsed: string[] = [];

  const suits = ({ tensors }: Kernel, { when, align = 1 }: KernelVariant, sizes: Sizes): boolean => {
    for (let t = 0; t < tensors.length; t++) if (operands[t]!.rest % align !== 0) return false;
    return !when || when(sizes);
  };

  const pick = (kernel: Kernel, { variants, profile }: Ready, sizes: Sizes): KernelVariant => {
    let v = 0;
    while (v < variants.length - 1 && !suits(kernel, variants[v]!, sizes)) v++;
    const { when } = variants[v]!;
    if (when && !when(sizes)) refuse.sizes(kernel, when, sizes);
    const { steps } = variants[v]!;
    picked.length = steps.length;
    for (let s = 0; s < steps.length; s++) picked[s] = texts.of(steps[s]!, kernel, profile);
    return variants[v]!;
  };

  /** The variant to run, compiled: of warmed texts where they are ready, else of those at hand. */
  const compiled = (entry: Entry, dtype: FloatDType, sizes: Sizes): KernelVariant => {
    const { kernel, warm } = entry;
    const ready = warm[dtype];
    let variant = ready && pick(kernel, ready, sizes);
    if (!variant || (picked.some(isLate) && typeof kernel.code[dtype] !== "function")) {
      variant = pick(kernel, baseOf(entry, dtype, features), sizes);
    }
    for (const text of picked) {
      if (!isLate(text)) continue;
      if (strict) notWarmed("late-pipeline", kernel, dtype, "a strict runtime compiles in warm-ups only");
      texts.compileNow(text);
    }
    return variant;
  };

  /** Commands already recorded keep a smaller buffer that is replaced; it goes with them. */
  const growScratch = (kernel: Kernel, i: number, bytes: number): void => {
    const held = scratch[i]?.size ?? 0;
    if (held && held >= bytes) return;
    const most = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    if (!(bytes <= most)) refuse.tooLarge(kernel, "an intermediate result", bytes, most);
    const size = Math.min(Math.max(bytes, 1.5 * held, 256), most);
    scratch[i] = core.buffer("scratch", size - (size % 4), usage.storage);
  };

  const bind = (
    kernel: Kernel,
    { bindings, writes, grid }: KernelStep,
    layout: Layout,
    bytes: readonly number[],
  ): GPUBindGroup => {
    const { buffers, offsets, sizes } = bound;
    for (let b = 0; b < bindings.length; b++) {
      const at = bindings[b]!;
      rests[b] = offsets[b] = sizes[b] = 0;
      if (at < 0) {
        buffers[b] = scratch[-1 - at]!;
        if (grid) sizes[b] = bytes[-1 - at]!;
        continue;
      }
      const { buffer, rest, aligned, end, shared } = operands[at]!;
      if (buffer) {
        buffers[b] = buffer;
        rests[b] = rest;
        offsets[b] = aligned;
        if (grid && rest) refuse.unaligned(kernel, at);
        if (shared || grid) sizes[b] = end - aligned;
      } else {
        const write = (writes >> b) & 1;
        buffers[b] = write ? groups.sink : groups.zeros;
        offsets[b] = write * 256 * b;
        sizes[b] = 256;
      }
    }
    return groups.find(layout, bindings.length, bound);
  };

  /** Fills `dispatches` and returns how many there are. */
  const prepare = (kernel: Kernel, variant: KernelVariant, sizes: Sizes): number => {
    const bytes = variant.scratch?.(sizes) ?? [];
    for (let i = 0; i < bytes.length; i++) growScratch(kernel, i, bytes[i]!);
    let count = 0;
    for (let s = 0; s < picked.length; s++) {
      const step = variant.steps[s]!;
      const total = step.groups(sizes);
      if (total === 0) continue;
      const rows = Math.ceil(total / mostGroups);
      const [x, y, z] = (step.grid?.(sizes) ?? [Math.ceil(total / rows), rows, 1]) as [number, number, number];
      if (!(Math.max(x, y, z) <= mostGroups)) refuse.groups(kernel, total, mostGroups);
      const text = picked[s]!;
      const group = bind(kernel, step, text.layout!, bytes);
      slots.u.fill(0, 0, step.words);
      step.args(sizes, rests, slots.u, slots.f, slots.i);
      const d = (dispatches[count++] ??= { text, group, slot: 0, x, y, z });
      d.text = text;
      d.group = group;
      d.slot = slots.find(step.words);
      d.x = x;
      d.y = y;
      d.z = z;
    }
    return count;
  };

  /** What is used for the first time is stored, all of one turn of the event loop at once. */
  const use = (text: Text): void => {
    text.used = true;
    if (!store || newlyUsed.push(text.key) > 1) return;
    void Promise.resolve().then(() => addUsage(store, newlyUsed.splice(0)));
  };

  const record = (pass: GPUComputePassEncoder, count: number): void => {
    for (let n = 0; n < count; n++) {
      const { text, group, slot, x, y, z } = dispatches[n]!;
      dynamic[0] = slot;
      pass.setPipeline(text.pipeline!);
      pass.setBindGroup(0, group, dynamic, 0, 1);
      pass.dispatchWorkgroups(x, y, z);
      if (!text.used) use(text);
    }
    counters.dispatches += count;
  };

  return {
    run(kernel, tensors, sizes, options = none) {
      core.check();
      const entry = entryOf(entries, kernel);
      for (const name in options) if (!optionNames.includes(name)) checkOptions("run", options, optionNames);
      const { dtype = entry.dtype, encoder, pass } = options;
      checkSizes(kernel, sizes);
      if (!readTensors(kernel, tensors, sizes, dtype)) return;
      const count = prepare(kernel, compiled(entry, dtype, sizes), sizes);
      if (count === 0) return;
      if (pass) {
        record(pass, count);
        return;
      }
      const own = encoder ?? device.createCommandEncoder();
      const ownPass = own.beginComputePass();
      record(ownPass, count);
      ownPass.end();
      if (!encoder) core.submit(own);
    },
    dispose() {
      for (const b of scratch) b.destroy();
    },
  };
}

const isLate = (text: Text): boolean => !text.pipeline;

function checkSizes(kernel: Kernel, given: Sizes): void {
  const { sizes, scalars } = kernel;
  let count = 0;
  for (const _ in given) count++;
  if (count !== sizes.length + scalars.length) refuse.sizeNames(kernel, given);
  for (const name of sizes) {
    const value = given[name]!;
    if (value >>> 0 !== value) refuse.size(kernel, given, name);
  }
  for (const name of scalars) if (typeof given[name] !== "number") refuse.scalar(kernel, given, name);
}
