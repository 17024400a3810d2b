import { storageBytes } from "../base/dtype.ts";
import { inPlaceInputs } from "../fuse/in-place.ts";
import { bytesOf, placeOf } from "../fuse/pull.ts";
import type { Bundle, Region } from "../fuse/region.ts";
import type { Graph, Node } from "../ir/graph.ts";
import { packLayout } from "../ir/ops/memory.ts";

/** A step that reads a tensor, from byte `low` of it to byte `high`. */
export interface Read {
  readonly step: number;
  /** Absent for what is read when all steps are over. */
  readonly region?: Region;
  readonly low: number;
  readonly high: number;
}

/** Which steps write and read each tensor that is in memory; steps are numbered in their order. */
export interface Uses {
  /** The step that stores a node. */
  readonly writer: ReadonlyMap<Node, number>;
  /** The region that does. */
  readonly region: ReadonlyMap<Node, Region>;
  /** Reads of a root, by itself or as an argument of a pack, in order of their steps. */
  readonly reads: ReadonlyMap<Node, readonly Read[]>;
}

/** Roots whose contents a node in memory consists of: those of its arguments for a pack. */
export function rootsOf(n: Node): Node[] {
  const { root } = placeOf(n);
  return root.op === "pack" ? root.args.flatMap(rootsOf) : [root];
}

/** `outputs` are read when all regions have run. */
export function usesOf(steps: readonly Bundle[], outputs: readonly Node[]): Uses {
  const writer = new Map<Node, number>();
  const region = new Map<Node, Region>();
  const reads = new Map<Node, Read[]>();
  const read = (n: Node, by: Pick<Read, "step" | "region">, low: number, high: number): void => {
    const { root, offset } = placeOf(n);
    const unit = storageBytes[n.type.dtype];
    const [from, to] = [low + offset * unit, high + offset * unit];
    const list = reads.get(root);
    if (list) list.push({ ...by, low: from, high: to });
    else reads.set(root, [{ ...by, low: from, high: to }]);
    if (root.op !== "pack") return;
    const { offsets } = packLayout(root.args.map((a) => a.type));
    root.args.forEach((a, i) => {
      const begin = (offsets[i] as number) * unit;
      const [first, last] = [Math.max(0, from - begin), Math.min(bytesOf(a), to - begin)];
      if (first < last) read(a, by, first, last);
    });
  };
  steps.forEach((bundle, step) => {
    for (const r of bundle) {
      for (const n of r.outputs) {
        writer.set(n, step);
        region.set(n, r);
      }
      for (const n of r.inputs) read(n, { step, region: r }, 0, bytesOf(n));
    }
  });
  for (const n of outputs) read(n, { step: steps.length }, 0, bytesOf(n));
  return { writer, region, reads };
}

const offers = new WeakMap<readonly Node[], ReadonlyMap<Node, readonly Node[]>>();

/** What {@link inPlaceInputs} gives for a region, found once: with and without bundles the same regions are planned. */
export function offersOf(region: Region): ReadonlyMap<Node, readonly Node[]> {
  // A region with other slots has the same list of outputs.
  const known = offers.get(region.outputs) ?? inPlaceInputs(region);
  offers.set(region.outputs, known);
  return known;
}

export const packsOf = (...graphs: readonly Graph[]): Node[] => [
  ...new Set(graphs.flatMap((g) => g.nodes.filter((n) => n.op === "pack"))),
];

/** Bytes of a binding must be a multiple of 4 and offsets one of 256. */
export const aligned = (bytes: number): number => Math.ceil(bytes / 256) * 256;
