import { type DType, storageBytes } from "../base/dtype.ts";
import { fromHalfBits } from "../base/half.ts";
import { slotsOf } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { kernelKey } from "../manifest/key.ts";
import type { KernelSpec } from "../manifest/manifest.ts";
import type { BoundRegion } from "../plan/bind.ts";
import type { Gpu, WaitOptions } from "../runtime/gpu.ts";
import { mapModeRead, usage } from "../runtime/usage.ts";
import type { Kernel } from "../wgsl/kernel.ts";
import type { Sample } from "./compare.ts";
import type { Filler } from "./fill.ts";
import type { Runnable } from "./timer.ts";

/** Bytes of a result that are compared: all, or as many at its beginning, its end and between. */
const mostCompared = 2 ** 23;
const slices = 8;

interface Tensor {
  readonly buffer: GPUBuffer;
  readonly dtype: DType;
  readonly written: boolean;
}

/** Memory of its own for the tensors of one kernel, on which its variants are run. */
export class Workbench {
  readonly #gpu: Gpu;
  readonly #filler: Filler;
  readonly #tensors: readonly Tensor[];

  private constructor(gpu: Gpu, filler: Filler, tensors: readonly Tensor[]) {
    this.#gpu = gpu;
    this.#filler = filler;
    this.#tensors = tensors;
  }

  /** Fails with `out-of-memory` where the device has not enough. */
  static open(gpu: Gpu, filler: Filler, { region, windows }: BoundRegion, options: WaitOptions): Promise<Workbench> {
    const kinds = slotsOf(region).flatMap(({ input, output, part }) => {
      const n = (input ?? output) as Node;
      const bytes = storageBytes[n.type.dtype];
      const parts = part ? Math.ceil((n.type.shape as number[]).reduce((p, d) => p * d, 1) / part) : 1;
      return Array.from({ length: parts }, () => ({ dtype: n.type.dtype, written: output !== undefined, bytes }));
    });
    return gpu.scoped(
      "allocate memory for measurements",
      () => {
        const tensors = kinds.map(({ dtype, written }, i) => ({
          ...{ dtype, written },
          buffer: gpu.device.createBuffer({
            size: Math.ceil(windows[i]!.size / 4) * 4,
            usage: usage.storage | usage.copySrc | usage.copyDst,
          }),
        }));
        return new Workbench(gpu, filler, tensors);
      },
      options,
    );
  }

  /** The same random data in every tensor, whatever ran before. */
  fill(): void {
    this.#tensors.forEach(({ buffer, dtype }, i) => {
      this.#filler.fill(buffer, dtype, i + 1);
    });
  }

  /** A kernel with its pipeline, bound to the tensors. */
  async ready(kernel: Kernel, label: string, options: WaitOptions): Promise<Runnable> {
    const { wgsl, bindings, workgroupSize, requires } = kernel;
    const spec: Omit<KernelSpec, "key"> = { label, wgsl, entryPoint: "main", bindings, workgroupSize, requires };
    const made = await this.#gpu.pipelines.get({ key: kernelKey(spec), ...spec }, { warmup: true, ...options });
    const entries = this.#tensors.map(({ buffer }, binding) => ({ binding, resource: { buffer } }));
    const group = this.#gpu.device.createBindGroup({ layout: made.layout, entries });
    return { pipeline: made.pipeline, group, workgroups: kernel.workgroups };
  }

  /** What a kernel makes of the random data. */
  async results(run: Runnable, options: WaitOptions): Promise<Sample[]> {
    const { device } = this.#gpu;
    this.fill();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(run.pipeline);
    pass.setBindGroup(0, run.group);
    pass.dispatchWorkgroups(...run.workgroups);
    pass.end();
    const staged = this.#tensors
      .filter((t) => t.written)
      .map((t) => ({ ...t, staging: this.#copy(encoder, t.buffer) }));
    try {
      this.#gpu.submit([encoder.finish()]);
      const out: Sample[] = [];
      for (const { dtype, staging } of staged) {
        await this.#gpu.wait("reading results", staging.mapAsync(mapModeRead), options);
        out.push({ dtype, values: numbers(dtype, staging.getMappedRange()) });
      }
      return out;
    } finally {
      for (const { staging } of staged) staging.destroy();
    }
  }

  #copy(encoder: GPUCommandEncoder, from: GPUBuffer): GPUBuffer {
    const size = Math.min(from.size, mostCompared);
    const staging = this.#gpu.device.createBuffer({ size, usage: usage.mapRead | usage.copyDst });
    if (size === from.size) encoder.copyBufferToBuffer(from, 0, staging, 0, size);
    else {
      const each = mostCompared / slices;
      for (let i = 0; i < slices; i++) {
        const at = (Math.floor(((from.size - each) / 4 / (slices - 1)) * i) * 4) as number;
        encoder.copyBufferToBuffer(from, at, staging, i * each, each);
      }
    }
    return staging;
  }

  dispose(): void {
    for (const { buffer } of this.#tensors) buffer.destroy();
  }
}

function numbers(dtype: DType, bytes: ArrayBuffer): Float64Array {
  if (dtype === "f32") return Float64Array.from(new Float32Array(bytes));
  if (dtype === "f16") return Float64Array.from(new Uint16Array(bytes), fromHalfBits);
  return Float64Array.from(dtype === "i32" ? new Int32Array(bytes) : new Uint32Array(bytes));
}
