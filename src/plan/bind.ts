import { storageBytes } from "../base/dtype.ts";
import { bytesOf } from "../fuse/pull.ts";
import type { Bundle, Region, Slot } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import type { Window } from "../manifest/manifest.ts";
import type { Lodging } from "./buffers.ts";
import type { Block, Layout } from "./layout.ts";

/** A region with its slots planned, and the windows they are bound to: one for each part of each slot. */
export interface BoundRegion {
  readonly region: Region;
  readonly windows: readonly Window[];
}

/** The regions of one dispatch. What several of them bind is in the windows of each. */
export type Bound = readonly BoundRegion[];

interface Use {
  readonly input?: Node;
  readonly output?: Node;
}

/** Tensors of one or several regions, an output that is written over an input together with it. */
function usesOf({ inputs, outputs }: Pick<Region, "inputs" | "outputs">, layout: Layout): Use[] {
  const over = new Map<Node, Node>();
  for (const output of outputs) {
    const input = layout.inPlace.get(output);
    if (input) over.set(input, output);
  }
  const within = new Set(over.values());
  return [
    ...inputs.map((input) => ({ input, ...(over.has(input) ? { output: over.get(input) as Node } : {}) })),
    ...outputs.filter((o) => !within.has(o)).map((output) => ({ output })),
  ];
}

const nodeOf = (u: Use): Node => (u.input ?? u.output) as Node;

const together = (bundle: Bundle): Pick<Region, "inputs" | "outputs"> => ({
  inputs: [...new Set(bundle.flatMap((r) => r.inputs))],
  outputs: bundle.flatMap((r) => r.outputs),
});

/**
 * Blocks with overlapping tensors that a dispatch reads while it writes something of the shared arenas: there, both would be
 * bound for writing, which WebGPU refuses. And what a kernel of the user's writes: what it reads is declared so by its text.
 */
export function readTwice(bundles: readonly Bundle[], layout: Layout): Set<Block> {
  const out = new Set<Block>();
  for (const bundle of bundles) {
    for (const r of bundle) if (r.family === "opaque") for (const o of r.outputs) out.add(layout.place(o).block);
    const uses = usesOf(together(bundle), layout).map((u) => ({
      ...layout.place(nodeOf(u)),
      bytes: bytesOf(nodeOf(u)),
    }));
    uses.forEach((a, i) => {
      const twice = uses.some(
        (b, j) => j < i && a.block === b.block && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes,
      );
      if (twice) out.add(a.block);
    });
  }
  return out;
}

/** Windows and accesses of a dispatch's tensors. A buffer that it writes is bound for writing wherever it is bound. */
export function bindBundle(bundle: Bundle, layout: Layout, lodging: ReadonlyMap<Block, Lodging>, limit: number): Bound {
  const outputs = bundle.flatMap((r) => r.outputs);
  const written = new Set(outputs.map((o) => (lodging.get(layout.place(o).block) as Lodging).buffer));
  return bundle.map((r) => bindRegion(r, written, layout, lodging, limit));
}

function bindRegion(
  region: Region,
  written: ReadonlySet<number>,
  layout: Layout,
  lodging: ReadonlyMap<Block, Lodging>,
  limit: number,
): BoundRegion {
  const windows: Window[] = [];
  const slots = usesOf(region, layout).map((u): Slot => {
    const n = nodeOf(u);
    const { block, offset } = layout.place(n);
    const { buffer, offset: base } = lodging.get(block) as Lodging;
    const access = written.has(buffer) ? "read_write" : "read";
    const size = bytesOf(n);
    const step = size <= limit ? size : Math.floor(limit / 256) * 256;
    for (let at = 0; at < size; at += step)
      windows.push({ buffer, offset: base + offset + at, size: Math.min(step, size - at) });
    return { ...u, access, ...(step < size ? { part: step / storageBytes[n.type.dtype] } : {}) };
  });
  return { region: { ...region, slots }, windows };
}
