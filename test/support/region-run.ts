import { type DType, storageBytes } from "../../src/base/dtype.ts";
import { fromHalfBits } from "../../src/base/half.ts";
import { fuse } from "../../src/fuse/fuse.ts";
import type { FuseMode } from "../../src/fuse/fuser.ts";
import { inPlaceInputs } from "../../src/fuse/in-place.ts";
import { legalise } from "../../src/fuse/legalise.ts";
import { bytesOf, countOf, isStored, placeOf } from "../../src/fuse/pull.ts";
import { type Region, type Slot, slotsOf } from "../../src/fuse/region.ts";
import type { Graph, Node } from "../../src/ir/graph.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { kernelKey } from "../../src/manifest/key.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { encodeWords } from "../../src/plan/words.ts";
import type { Gpu } from "../../src/runtime/gpu.ts";
import { mapModeRead, usage } from "../../src/runtime/usage.ts";
import type { Kernel } from "../../src/wgsl/kernel.ts";
import { writeKernel } from "../../src/wgsl/write.ts";
import { poison } from "./poisoned-run.ts";

/** How the kernels of a program are written and bound, where a test decides it instead of the plan. */
export interface RegionRun {
  readonly fuse?: FuseMode;
  /** Changes the regions before they are written. */
  readonly regions?: (regions: readonly Region[]) => readonly Region[];
  /** Gives a region its slots. */
  readonly slots?: (region: Region) => readonly Slot[];
  /** Writes the kernel in a variant of the test's. */
  readonly write?: (region: Region) => Kernel;
}

/** A program as kernels that are not planned: each tensor has memory of its own. */
export interface Unplanned {
  readonly graph: Graph;
  readonly kernels: readonly { readonly region: Region; readonly kernel: Kernel }[];
}

export function unplanned(graph: Graph, capabilities: Capabilities, run: RegionRun = {}): Unplanned {
  const legal = legalise(optimise(graph), capabilities.limits.maxStorageBuffersPerShaderStage);
  const { regions } = fuse(legal, capabilities, run.fuse ?? "legal");
  const write = run.write ?? ((r: Region) => writeKernel(r, capabilities));
  const kernels = (run.regions?.(regions) ?? regions).map((r) => {
    const region = run.slots ? { ...r, slots: run.slots(r) } : r;
    return { region, kernel: write(region) };
  });
  return { graph: legal, kernels };
}

/** Every output in the place of the first input that it may replace. */
export function inPlace(region: Region): Slot[] {
  const taken = new Map<Node, Node>();
  for (const [output, inputs] of inPlaceInputs(region)) {
    const free = inputs.find((n) => ![...taken.values()].includes(n));
    if (free) taken.set(output, free);
  }
  const replaced = new Map([...taken].map(([output, input]) => [input, output]));
  return [
    ...region.inputs.map((input): Slot => {
      const output = replaced.get(input);
      return output ? { input, output, access: "read_write" } : { input, access: "read" };
    }),
    ...region.outputs.filter((o) => !taken.has(o)).map((output): Slot => ({ output, access: "read_write" })),
  ];
}

/** All regions as one, built around the first: what fusion may make of them. */
export function asOne(regions: readonly Region[]): Region[] {
  const [first, ...rest] = regions as [Region, ...Region[]];
  const all = [first, ...rest];
  const computed = new Set(all.flatMap((r) => r.members));
  const read = new Set(rest.flatMap((r) => r.inputs));
  return [
    {
      ...first,
      members: [...computed],
      outputs: all.flatMap((r) => r.outputs).filter((n) => !read.has(n)),
      inputs: [...new Set(all.flatMap((r) => r.inputs))].filter((n) => !computed.has(n)),
    },
  ];
}

/** The slots in parts of so many elements (halves: twice as many), where the device has bindings for them. */
export const inParts =
  (part: number, limit: number, from: (r: Region) => readonly Slot[] = slotsOf) =>
  (region: Region): Slot[] => {
    const slots = from(region);
    let spare = limit - slots.length;
    return slots.map((s) => {
      const n = (s.input ?? s.output) as Node;
      const each = n.type.dtype === "f16" ? 2 * part : part;
      const more = Math.ceil(countOf(n) / each) - 1;
      if (more < 1 || more > spare) return s;
      spare -= more;
      return { ...s, part: each };
    });
  };

/** Runs the kernels one after the other, in memory that is NaN before a kernel writes it. */
export async function runUnplanned(
  gpu: Gpu,
  { graph, kernels }: Unplanned,
  inputs: Readonly<Record<string, NDArray>>,
): Promise<Record<string, NDArray>> {
  const { device } = gpu;
  const buffers = new Map<Node, GPUBuffer>();
  const made: GPUBuffer[] = [];
  const bufferOf = (n: Node): GPUBuffer => {
    const known = buffers.get(n);
    if (known) return known;
    const buffer = device.createBuffer({ size: bytesOf(n) + guard, usage: everyUse, mappedAtCreation: true });
    const memory = new Uint32Array(buffer.getMappedRange()).fill(poison);
    const given = n.op === "literal" ? (n.attrs.data as ArrayLike<number>) : inputs[n.attrs.name as string]?.data;
    if (isStored(n) && given) memory.set(encodeWords(n.type.dtype, given));
    buffer.unmap();
    buffers.set(n, buffer);
    made.push(buffer);
    return buffer;
  };
  const share = (root: Node, as: Node): void => void buffers.set(root, bufferOf(as));
  try {
    for (const { region, kernel } of kernels) {
      const entries: GPUBindingResource[] = slotsOf(region).flatMap(({ input, output, part }) => {
        const n = (input ?? output) as Node;
        const place = placeOf(n);
        if (input && output) share(placeOf(output).root, place.root);
        const begin = place.offset * storageBytes[n.type.dtype];
        const step = part === undefined ? bytesOf(n) : part * storageBytes[n.type.dtype];
        const parts = Math.ceil(bytesOf(n) / step) || 1;
        return Array.from({ length: parts }, (_, i) => {
          const offset = begin + i * step;
          const size = Math.min(Math.ceil(step / 4) * 4, bytesOf(n) - i * step);
          // Where the memory ends the binding reaches into the guard: what is read there is NaN, not the 0 of a bounds check.
          const last = offset + size === bytesOf(place.root);
          return { buffer: bufferOf(place.root), offset, size: size + (last ? guard : 0) };
        });
      });
      await dispatch(gpu, kernel, entries);
    }
    for (const [n, buffer] of buffers) {
      const words = new Uint32Array(await readBytes(device, buffer));
      const at = words.findIndex((w, i) => i >= bytesOf(n) / 4 && w !== poison);
      if (at >= 0 && made.includes(buffer)) throw new Error(`memory behind ${n.op} was written`);
    }
    const out: Record<string, NDArray> = {};
    for (const { name, node } of graph.outputs) {
      const { root, offset } = placeOf(node);
      const bytes = await readBytes(device, bufferOf(root));
      const { dtype, shape } = node.type;
      out[name] = ndarray(dtype, shape as number[], read[dtype](bytes, offset, countOf(node)));
    }
    return out;
  } finally {
    for (const b of made) b.destroy();
  }
}

/** Bytes of NaN behind each tensor. */
const guard = 1024;
const everyUse = usage.storage | usage.copySrc | usage.copyDst;

const read: Readonly<Record<DType, (bytes: ArrayBuffer, at: number, n: number) => ArrayLike<number>>> = {
  f32: (b, at, n) => new Float32Array(b, 4 * at, n),
  f16: (b, at, n) => Array.from(new Uint16Array(b, 2 * at, n), fromHalfBits),
  i32: (b, at, n) => new Int32Array(b, 4 * at, n),
  u32: (b, at, n) => new Uint32Array(b, 4 * at, n),
  bool: (b, at, n) => new Uint32Array(b, 4 * at, n),
};

async function dispatch(gpu: Gpu, kernel: Kernel, resources: readonly GPUBindingResource[]): Promise<void> {
  const { device } = gpu;
  const spec = { ...kernel, label: "test", entryPoint: "main" };
  const { pipeline, layout } = await gpu.pipelines.get({ ...spec, key: kernelKey(spec) }, { warmup: true });
  device.pushErrorScope("validation");
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({ layout, entries: resources.map((resource, binding) => ({ binding, resource })) }),
  );
  pass.dispatchWorkgroups(...kernel.workgroups);
  pass.end();
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(error.message);
}

async function readBytes(device: GPUDevice, from: GPUBuffer): Promise<ArrayBuffer> {
  const to = device.createBuffer({ size: from.size, usage: usage.copyDst | usage.mapRead });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
  device.queue.submit([encoder.finish()]);
  await to.mapAsync(mapModeRead);
  const bytes = to.getMappedRange().slice(0);
  to.destroy();
  return bytes;
}
