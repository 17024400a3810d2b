import type { Access, KernelSpec } from "../manifest/manifest.ts";
import { shaderStageCompute } from "./usage.ts";

export interface Layouts {
  readonly group: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
}

const typeOf: Readonly<Record<Access, GPUBufferBindingType>> = { read: "read-only-storage", read_write: "storage" };

/** The layouts of a device by {@link layoutKey}: kernels with equal bindings share them. */
export type KnownLayouts = Map<string, Layouts>;

export const layoutKey = (bindings: readonly Access[]): string => bindings.join();

/** The layouts of a kernel's bindings, made where they are not known yet. */
export function layoutsFor(device: GPUDevice, bindings: readonly Access[], known: KnownLayouts): Layouts {
  const key = layoutKey(bindings);
  let made = known.get(key);
  if (!made) {
    const group = device.createBindGroupLayout({
      entries: bindings.map((access, binding) => ({
        binding,
        visibility: shaderStageCompute,
        buffer: { type: typeOf[access] },
      })),
    });
    made = { group, pipeline: device.createPipelineLayout({ bindGroupLayouts: [group] }) };
    known.set(key, made);
  }
  return made;
}

/** What a device is asked for. The same text with the same layout is the same to a driver, whichever device asks. */
export const descriptorOf = (
  kernel: KernelSpec,
  module: GPUShaderModule,
  layouts: Layouts,
): GPUComputePipelineDescriptor => ({
  label: kernel.label,
  layout: layouts.pipeline,
  compute: { module, entryPoint: kernel.entryPoint },
});

/** Divides what a warm-up compiles among more than a device's own threads, for hosts whose WebGPU has few of them. */
export interface CompileQueue {
  /** Kernels that should be asked for at a time, and how many of them should be the shortest, for the calling thread. */
  readonly concurrency: number;
  readonly short: number;
  /** Calls `compile` when it is the kernel's turn, `here` where the calling thread is to compile before the call returns. */
  compile<T>(kernel: KernelSpec, compile: (here: boolean) => Promise<T>): Promise<T>;
  /** The device is gone. */
  close(): void;
}

/** What a kernel takes to compile, in characters of a text without subgroup matrices: drivers take three to six times as long for those. */
export const compileCost = ({ wgsl, requires }: KernelSpec): number => wgsl.length * (requires.subgroupMatrix ? 4 : 1);
