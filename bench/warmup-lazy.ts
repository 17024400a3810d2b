import type { Gpu } from "sinter";
import type { Access, KernelSpec, Manifest } from "../src/manifest/manifest.ts";
import type { Pipeline } from "../src/runtime/pipelines.ts";
import { encodeSteps, makeStorage, takeMemory } from "../src/runtime/storage.ts";
import { shaderStageCompute } from "../src/runtime/usage.ts";
import { timed } from "./gpt2-measure.ts";

/**
 * Milliseconds of a first step without a warm-up, as a program that makes its pipelines where it first needs them takes:
 * each is created while the step is encoded. Memory is allocated and filled before.
 */
export async function lazyFirstStep(gpu: Gpu, m: Manifest, values: (name: string) => ArrayBufferView): Promise<number> {
  const layouts = new Map<string, GPUBindGroupLayout>();
  const pipelines = m.kernels.map((k) => lazyPipeline(gpu.device, k, layouts));
  const storage = await makeStorage(gpu, m, pipelines, await takeMemory(gpu, m, new Map()));
  try {
    for (const port of [...m.inputs, ...m.weights, ...m.state]) {
      const { buffer, offset } = storage.places[port.window.buffer]!;
      write(gpu, buffer, offset + port.window.offset, values(port.name));
    }
    m.buffers.forEach(({ init }, i) => {
      if (init?.length) write(gpu, storage.places[i]!.buffer, 0, init);
    });
    await gpu.idle();
    const [, ms] = await timed(async () => {
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      encodeSteps(pass, storage.setup);
      encodeSteps(pass, storage.steps);
      pass.end();
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.idle();
    });
    return ms;
  } finally {
    storage.release();
  }
}

function lazyPipeline(device: GPUDevice, kernel: KernelSpec, layouts: Map<string, GPUBindGroupLayout>): Pipeline {
  const key = kernel.bindings.join();
  const layout = layouts.get(key) ?? device.createBindGroupLayout({ entries: kernel.bindings.map(entry) });
  layouts.set(key, layout);
  let made: GPUComputePipeline | undefined;
  return {
    kernel,
    layout,
    get pipeline() {
      made ??= device.createComputePipeline({
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module: device.createShaderModule({ code: kernel.wgsl }), entryPoint: kernel.entryPoint },
      });
      return made;
    },
  };
}

const entry = (access: Access, binding: number): GPUBindGroupLayoutEntry => ({
  binding,
  visibility: shaderStageCompute,
  buffer: { type: access === "read" ? "read-only-storage" : "storage" },
});

function write(gpu: Gpu, buffer: GPUBuffer, offset: number, data: ArrayBufferView): void {
  gpu.device.queue.writeBuffer(buffer, offset, data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}
