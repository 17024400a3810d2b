import type { DType } from "../../src/base/dtype.ts";
import { fromHalfBits } from "../../src/base/half.ts";
import { count, type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import type { DispatchSpec, Manifest, PortSpec, Window } from "../../src/manifest/manifest.ts";
import type { Gpu } from "../../src/runtime/gpu.ts";
import { mapModeRead, usage } from "../../src/runtime/usage.ts";
import { toBytes } from "../../src/runtime/values.ts";
import { hostData } from "./gpu.ts";

/** A NaN that no computation makes: what memory holds before a kernel writes it, and around every buffer. */
export const poison = 0x7fc0dead;
const guardBytes = 1024;

/**
 * Runs a program in memory full of poison: every buffer is followed by a guard that its bindings reach into, so that an index
 * beyond the end reads a NaN instead of the 0 of a bounds check, as does a read of scratch memory before it is written.
 * Fails when a guard was written.
 */
export async function runPoisoned(
  gpu: Gpu,
  manifest: Manifest,
  inputs: Readonly<Record<string, NDArray>>,
): Promise<Record<string, NDArray>> {
  const { device } = gpu;
  const everyUse = usage.storage | usage.copySrc | usage.copyDst;
  const buffers = manifest.buffers.map((b) => {
    const buffer = device.createBuffer({ size: b.size + guardBytes, usage: everyUse, mappedAtCreation: true });
    const words = new Uint32Array(buffer.getMappedRange()).fill(poison);
    if (b.clear) words.fill(0, 0, b.size / 4);
    if (b.init) words.set(b.init);
    buffer.unmap();
    return buffer;
  });
  try {
    for (const port of [...manifest.inputs, ...manifest.weights, ...manifest.state]) {
      const value = inputs[port.name] as NDArray;
      const bytes = toBytes(port, hostData(value.dtype, value.data));
      if (count(port.shape) > 0)
        device.queue.writeBuffer(buffers[port.window.buffer]!, port.window.offset, bytes.slice());
    }
    await dispatchAll(gpu, manifest, buffers);
    const contents = await Promise.all(buffers.map((b) => readWords(device, b)));
    contents.forEach((words, i) => {
      const end = manifest.buffers[i]!.size / 4;
      const at = words.findIndex((w, k) => k >= end && w !== poison);
      if (at >= 0) throw new Error(`word ${at - end} beyond the end of buffer ${i} was written`);
    });
    return Object.fromEntries(manifest.outputs.map((p) => [p.name, portValue(p, contents)]));
  } finally {
    for (const b of buffers) b.destroy();
  }
}

const readers: Readonly<Record<DType, (bytes: ArrayBuffer, n: number) => ArrayLike<number>>> = {
  f32: (b, n) => new Float32Array(b, 0, n),
  f16: (b, n) => Array.from(new Uint16Array(b, 0, n), fromHalfBits),
  i32: (b, n) => new Int32Array(b, 0, n),
  u32: (b, n) => new Uint32Array(b, 0, n),
  bool: (b, n) => new Uint32Array(b, 0, n),
};

function portValue({ window, dtype, shape }: PortSpec, contents: readonly Uint32Array[]): NDArray {
  const words = contents[window.buffer]!.slice(window.offset / 4, (window.offset + window.size) / 4);
  return ndarray(dtype, shape, readers[dtype](words.buffer, count(shape)));
}

async function dispatchAll(gpu: Gpu, m: Manifest, buffers: readonly GPUBuffer[]): Promise<void> {
  const { device } = gpu;
  const pipelines = await Promise.all(m.kernels.map((k) => gpu.pipelines.get(k, { warmup: true })));
  device.pushErrorScope("validation");
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const d of [...m.setup, ...m.dispatches]) {
    if (d.workgroups.some((n) => n === 0)) continue;
    const { pipeline, layout } = pipelines[d.kernel]!;
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      device.createBindGroup({
        layout,
        entries: d.bindings.map((w, binding) => ({
          binding,
          resource: { buffer: buffers[w.buffer]!, offset: w.offset, size: w.size + reach(m, d, w) },
        })),
      }),
    );
    pass.dispatchWorkgroups(...d.workgroups);
  }
  pass.end();
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(error.message);
}

/** How far a binding may go beyond its window without touching another binding of the dispatch. */
function reach(m: Manifest, d: DispatchSpec, w: Window): number {
  const end = w.offset + w.size;
  const next = d.bindings.filter((o) => o.buffer === w.buffer && o.offset >= end).map((o) => o.offset);
  return Math.min(guardBytes, Math.min(m.buffers[w.buffer]!.size + guardBytes, ...next) - end);
}

async function readWords(device: GPUDevice, from: GPUBuffer): Promise<Uint32Array> {
  const to = device.createBuffer({ size: from.size, usage: usage.copyDst | usage.mapRead });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
  device.queue.submit([encoder.finish()]);
  await to.mapAsync(mapModeRead);
  const words = new Uint32Array(to.getMappedRange()).slice();
  to.destroy();
  return words;
}
