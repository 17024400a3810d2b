import { type Graph, type Node, usersOf } from "../ir/graph.ts";
import { rowOf } from "../ir/ops.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { replaceNodes } from "./rewrite.ts";
import { mayReorder, runsOf, split } from "./split-reductions.ts";

/** Reductions of fewer elements than this take less time than another kernel. */
const enough = 2 ** 22;
/** Invocations that read at a time, each a vector of columns. */
const readers = 2 ** 17;
/** Rows of each part at least. */
const shortest = 16;

/**
 * Sums along columns of very many elements in two stages, on GPUs: few columns are few invocations, and those that share a
 * column read rows far apart. In parts, neighbours read whole rows.
 */
export function splitColumns(graph: Graph, { software }: Pick<Capabilities, "software">, least = enough): Graph {
  if (software) return graph;
  const users = usersOf(graph);
  return replaceNodes(graph, (n, args, b) => {
    if (rowOf(n.op).kind !== "reduction" || mayRide(n, users)) return undefined;
    const runs = runsOf(n);
    const last = runs?.reduced.at(-1);
    if (!runs || last || !mayReorder(n, runs) || runs.sizes.length === 8) return undefined;
    const inner = runs.sizes.at(-1) as number;
    if (runs.rows * runs.elements < least || inner % 4 !== 0) return undefined;
    const size = Math.max(...runs.sizes.filter((_, i) => runs.reduced[i]));
    const parts = partsOf(size, Math.floor(readers / (runs.rows / 4)));
    return parts < 2 ? undefined : split(b, n, args, runs, parts, (suggested) => suggested);
  });
}

/** A product that reads the same operand may compute the sum beside it. */
function mayRide(n: Node, users: ReadonlyMap<Node, readonly Node[]>): boolean {
  const moves = (x: Node): boolean => x.op === "reshape" || x.op === "transpose" || x.op === "cast";
  let source = n.args[0] as Node;
  while (moves(source)) source = source.args[0] as Node;
  const reads = (x: Node): boolean => (users.get(x) ?? []).some((u) => u.op === "matmul" || (moves(u) && reads(u)));
  return reads(source);
}

/** The number nearest to `wanted` that divides `size` into parts that are long enough; parts of unequal length are filled up. */
function partsOf(size: number, wanted: number): number {
  const most = Math.min(wanted, Math.floor(size / shortest));
  for (let p = most; p > most / 2; p--) if (size % p === 0) return p;
  return Math.max(1, most);
}
