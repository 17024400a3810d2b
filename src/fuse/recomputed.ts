import type { Node } from "../ir/graph.ts";
import type { Grouping } from "./groups.ts";

/**
 * The keys of the `recompute` nodes that computing these nodes goes through. Kernels of different ones stay apart: what a
 * backward pass computes again must not be computed, and kept until then, by a kernel of the forward pass.
 */
export const recomputedBy = (grouping: Grouping, nodes: Iterable<Node>): string =>
  recomputes(nodes, (n) => grouping.inMemory(n));

/** The same, of nodes that are computed from what `isRead` says. */
export function recomputes(nodes: Iterable<Node>, isRead: (n: Node) => boolean): string {
  const keys = new Set<number>();
  const seen = new Set<Node>();
  const visit = (n: Node): void => {
    if (seen.has(n) || isRead(n)) return;
    seen.add(n);
    if (n.op === "recompute") keys.add(n.attrs.key as number);
    else n.args.forEach(visit);
  };
  for (const n of nodes) n.args.forEach(visit);
  return [...keys].sort((a, b) => a - b).join();
}
