import type { Kernel, Sizes } from "../../manifest/kernel-module.ts";
import { usage } from "../usage.ts";
import type { Core } from "./core.ts";
import type { FloatDType } from "./library.ts";
import * as refuse from "./refuse.ts";

/** A tensor in row-major order; the offset is in elements, any number of them. */
export type KernelTensor = GPUBuffer | { readonly buffer: GPUBuffer; readonly offset?: number | undefined };
export type KernelTensors = Readonly<Record<string, KernelTensor>>;

/** One tensor of a call as it is bound; all but `rest` in bytes. */
export interface Operand {
  /** Undefined where the tensor is empty. */
  buffer: GPUBuffer | undefined;
  /** Where its binding begins. */
  aligned: number;
  /** Elements from there to the tensor. */
  rest: number;
  /** Where the tensor ends, in whole words. */
  end: number;
  /** Its buffer holds another tensor that is written, so its binding must end where it does. */
  shared: boolean;
}

/** What is remembered of a caller's buffer, since asking it each time is slow. */
interface Known {
  readonly size: number;
  readonly storage: boolean;
}

/**
 * Reads the tensors of a call into a list that is kept from call to call. The returned function says whether anything is to
 * be written.
 */
export function makeReader(
  { device }: Core,
  operands: Operand[],
): (kernel: Kernel, tensors: KernelTensors, sizes: Sizes, dtype: FloatDType) => boolean {
  const align = device.limits.minStorageBufferOffsetAlignment;
  const most = device.limits.maxStorageBufferBindingSize;
  const buffers = new WeakMap<GPUBuffer, Known>();

  const meet = (kernel: Kernel, name: string, buffer: GPUBuffer): Known => {
    if (typeof buffer !== "object" || typeof buffer?.usage !== "number") refuse.tensor(kernel, name, buffer);
    const known = { size: buffer.size, storage: (buffer.usage & usage.storage) !== 0 };
    buffers.set(buffer, known);
    return known;
  };

  return (kernel, tensors, sizes, dtype) => {
    const specs = kernel.tensors;
    let given = 0;
    for (const _ in tensors) given++;
    if (given !== specs.length) refuse.tensorNames(kernel, tensors);
    let written = false;
    for (let t = 0; t < specs.length; t++) {
      const spec = specs[t]!;
      const tensor = tensors[spec.name] as { readonly buffer?: GPUBuffer; readonly offset?: number } | undefined;
      if (!tensor) return refuse.tensorNames(kernel, tensors);
      const buffer = tensor.buffer ?? (tensor as GPUBuffer);
      const offset = tensor.offset ?? 0;
      const { size, storage } = buffers.get(buffer) ?? meet(kernel, spec.name, buffer);
      if (!storage) refuse.usage(kernel, spec.name);
      if (!(Number.isSafeInteger(offset) && offset >= 0)) refuse.offset(kernel, spec.name, offset);
      const bytes = spec.dtype === "f16" || (spec.dtype === "float" && dtype === "f16") ? 2 : 4;
      const count = kernel.count(sizes, t);
      const start = offset * bytes;
      const aligned = start - (start % align);
      const end = Math.ceil((start + count * bytes) / 4) * 4;
      const o = (operands[t] ??= { buffer: undefined, aligned: 0, rest: 0, end: 0, shared: false });
      o.buffer = undefined;
      o.rest = 0;
      o.shared = false;
      if (count === 0) continue;
      if (!(end <= size)) refuse.tooSmall(kernel, spec.name, { size, count, offset, bytes, end });
      if (end - aligned > most) refuse.tooLarge(kernel, JSON.stringify(spec.name), end - aligned, most);
      o.aligned = aligned;
      o.rest = (start - aligned) / bytes;
      o.end = end;
      const writes = spec.access !== "read";
      for (let s = 0; s < t; s++) {
        const other = operands[s]!;
        const both = writes && specs[s]!.access !== "read";
        if (other.buffer !== buffer || !(writes || specs[s]!.access !== "read")) continue;
        if (!both || (aligned < other.end && other.aligned < end)) refuse.alias(kernel, s, t, align);
        o.shared = other.shared = true;
      }
      o.buffer = buffer;
      written ||= writes;
    }
    return written;
  };
}
