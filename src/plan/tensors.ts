import { storageBytes } from "../base/dtype.ts";
import { bytesOf, placeOf } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import type { Graph, Node } from "../ir/graph.ts";
import { packLayout } from "../ir/ops/memory.ts";

/** A step that reads a tensor, from byte `low` of it to byte `high`. */
export interface Read {
  readonly step: number;
  readonly low: number;
  readonly high: number;
}

/** Which steps write and read each tensor that is in memory; steps are numbered in their order. */
export interface Uses {
  /** The step that stores a node. */
  readonly writer: ReadonlyMap<Node, number>;
  /** Reads of a root, by itself or as an argument of a pack, in order of their steps. */
  readonly reads: ReadonlyMap<Node, readonly Read[]>;
}

/** Roots whose contents a node in memory consists of: those of its arguments for a pack. */
export function rootsOf(n: Node): Node[] {
  const { root } = placeOf(n);
  return root.op === "pack" ? root.args.flatMap(rootsOf) : [root];
}

/** `outputs` are read when all regions have run. */
export function usesOf(regions: readonly Region[], outputs: readonly Node[]): Uses {
  const writer = new Map<Node, number>();
  const reads = new Map<Node, Read[]>();
  const read = (n: Node, step: number, low: number, high: number): void => {
    const { root, offset } = placeOf(n);
    const unit = storageBytes[n.type.dtype];
    const [from, to] = [low + offset * unit, high + offset * unit];
    const list = reads.get(root);
    if (list) list.push({ step, low: from, high: to });
    else reads.set(root, [{ step, low: from, high: to }]);
    if (root.op !== "pack") return;
    const { offsets } = packLayout(root.args.map((a) => a.type));
    root.args.forEach((a, i) => {
      const begin = (offsets[i] as number) * unit;
      const [first, last] = [Math.max(0, from - begin), Math.min(bytesOf(a), to - begin)];
      if (first < last) read(a, step, first, last);
    });
  };
  regions.forEach((r, i) => {
    for (const n of r.outputs) writer.set(n, i);
    for (const n of r.inputs) read(n, i, 0, bytesOf(n));
  });
  for (const n of outputs) read(n, regions.length, 0, bytesOf(n));
  return { writer, reads };
}

export const packsOf = (...graphs: readonly Graph[]): Node[] => [
  ...new Set(graphs.flatMap((g) => g.nodes.filter((n) => n.op === "pack"))),
];

/** Bytes of a binding must be a multiple of 4 and offsets one of 256. */
export const aligned = (bytes: number): number => Math.ceil(bytes / 256) * 256;
