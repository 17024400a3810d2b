import { placeOf } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import type { Graph, Node } from "../ir/graph.ts";

/** Which steps write and read each tensor that is in memory; steps are numbered in their order. */
export interface Uses {
  /** The step that stores a node. */
  readonly writer: ReadonlyMap<Node, number>;
  /** Steps that read a root, or a pack that it is an argument of, ascending. */
  readonly readers: ReadonlyMap<Node, readonly number[]>;
}

/** Roots whose contents a node in memory consists of: those of its arguments for a pack. */
export function rootsOf(n: Node): Node[] {
  const { root } = placeOf(n);
  return root.op === "pack" ? root.args.flatMap(rootsOf) : [root];
}

export function usesOf(regions: readonly Region[]): Uses {
  const writer = new Map<Node, number>();
  const readers = new Map<Node, number[]>();
  regions.forEach((r, i) => {
    for (const n of r.outputs) writer.set(n, i);
    const roots = new Set(r.inputs.flatMap((n) => [placeOf(n).root, ...rootsOf(n)]));
    for (const n of roots) {
      const list = readers.get(n);
      if (list) list.push(i);
      else readers.set(n, [i]);
    }
  });
  return { writer, readers };
}

export const packsOf = (...graphs: readonly Graph[]): Node[] => [
  ...new Set(graphs.flatMap((g) => g.nodes.filter((n) => n.op === "pack"))),
];

/** Bytes of a binding must be a multiple of 4 and offsets one of 256. */
export const aligned = (bytes: number): number => Math.ceil(bytes / 256) * 256;
