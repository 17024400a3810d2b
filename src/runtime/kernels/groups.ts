import { shaderStageCompute, usage } from "../usage.ts";
import type { Core } from "./core.ts";
import { slotBytes } from "./slots.ts";

/** What kernels of one pattern of reads and writes have in common. */
export interface Layout {
  readonly group: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
  /** A bind group that a dispatch without workgroups can use. */
  readonly idle: GPUBindGroup;
  readonly root: GroupNode;
}

/** Buffers of one dispatch by binding. A size of 0 means to the buffer's end. */
export interface Bound {
  readonly buffers: GPUBuffer[];
  readonly offsets: number[];
  readonly sizes: number[];
}

/**
 * Bind groups lie in a tree whose branches are buffers, offsets and sizes. Buffers are held weakly: what is bound with a
 * buffer that nobody has any more goes with it.
 */
interface GroupNode {
  group?: GPUBindGroup;
  readonly byBuffer: WeakMap<GPUBuffer, GroupNode>;
  byNumber?: Map<number, GroupNode>;
}

const makeNode = (): GroupNode => ({ byBuffer: new WeakMap() });

function branch<K>(from: { get(k: K): GroupNode | undefined; set(k: K, n: GroupNode): unknown }, key: K): GroupNode {
  let node = from.get(key);
  if (!node) from.set(key, (node = makeNode()));
  return node;
}

/** Layouts and bind groups of one device, each made once. */
export interface Groups {
  /** Zeros: what an empty tensor reads, and the workgroup counts of a dispatch that does nothing. */
  readonly zeros: GPUBuffer;
  /** Where an empty tensor is written; binding i has the 256 bytes from `256 * i`. */
  readonly sink: GPUBuffer;
  /** Storage bindings, those of the bits `writes` for writing, then the argument block. */
  layout(bindings: number, writes: number): Layout;
  /** The first `bindings` of `bound`, then the argument block. */
  find(layout: Layout, bindings: number, bound: Bound): GPUBindGroup;
}

export function makeGroups(core: Core, args: GPUBuffer): Groups {
  const { device, counters } = core;
  const zeros = core.buffer("zeros", 256, usage.storage | usage.indirect);
  const sink = core.buffer("sink", 256 * 32, usage.storage);
  const layouts = new Map<string, Layout>();

  const make = (layout: GPUBindGroupLayout, bindings: number, { buffers, offsets, sizes }: Bound): GPUBindGroup => {
    counters.bindGroups++;
    const entries: GPUBindGroupEntry[] = [{ binding: bindings, resource: { buffer: args, size: slotBytes } }];
    for (let binding = 0; binding < bindings; binding++) {
      const buffer = buffers[binding]!;
      const offset = offsets[binding]!;
      const size = sizes[binding] || Math.min(buffer.size - offset, device.limits.maxStorageBufferBindingSize);
      entries.push({ binding, resource: { buffer, offset, size: size - (size % 4) } });
    }
    return device.createBindGroup({ layout, entries });
  };

  const makeLayout = (bindings: number, writes: number): Layout => {
    const idle: Bound = { buffers: [], offsets: [], sizes: [] };
    const visibility = shaderStageCompute;
    const uniform = { type: "uniform", hasDynamicOffset: true, minBindingSize: slotBytes } as const;
    const entries: GPUBindGroupLayoutEntry[] = [{ binding: bindings, visibility, buffer: uniform }];
    for (let binding = 0; binding < bindings; binding++) {
      const write = (writes >> binding) & 1;
      entries.push({ binding, visibility, buffer: { type: write ? "storage" : "read-only-storage" } });
      idle.buffers.push(write ? sink : zeros);
      idle.offsets.push(write * 256 * binding);
      idle.sizes.push(256);
    }
    const group = device.createBindGroupLayout({ entries });
    const pipeline = device.createPipelineLayout({ bindGroupLayouts: [group] });
    return { group, pipeline, idle: make(group, bindings, idle), root: makeNode() };
  };

  return {
    zeros,
    sink,
    layout(bindings, writes) {
      const key = `${bindings} ${writes}`;
      let layout = layouts.get(key);
      if (!layout) layouts.set(key, (layout = makeLayout(bindings, writes)));
      return layout;
    },
    find(layout, bindings, bound) {
      let node = layout.root;
      for (let b = 0; b < bindings; b++) {
        const offset = bound.offsets[b]!;
        const size = bound.sizes[b]!;
        node = branch(node.byBuffer, bound.buffers[b]!);
        // Offsets are told from sizes by their sign.
        if (offset) node = branch((node.byNumber ??= new Map()), offset);
        if (size) node = branch((node.byNumber ??= new Map()), -size);
      }
      return (node.group ??= make(layout.group, bindings, bound));
    },
  };
}
