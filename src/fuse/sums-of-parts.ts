import type { Node } from "../ir/graph.ts";
import { type Fuser, overLimit } from "./fuser.ts";
import { type Group, pointOf } from "./groups.ts";
import { countOf, isElementwise, isStored } from "./pull.ts";

/** A product whose sum is computed in parts. */
export const isPartial = (n: Node): boolean => n.op === "matmul" && typeof n.attrs.parts === "number";

/**
 * What is made of a sum of parts and read by more than one node is computed, and stored, by the first kernel that reduces its
 * rows, as the epilogue of the whole product would have: later readers would add up the parts again.
 */
export function ownSums(f: Fuser, g: Group, reduction: Node): void {
  const { grouping } = f;
  const point = pointOf(g);
  const elements = g.space.reduce((p, d) => p * d, 1);
  /** Nodes that read it, under whatever shape. */
  const readers = (n: Node): Node[] =>
    (grouping.users.get(n) ?? []).flatMap((u) => (u.op === "reshape" ? readers(u) : [u]));
  const seen = new Set<Node>();
  const visit = (n: Node): void => {
    if (seen.has(n) || grouping.owner.has(n) || isStored(n) || countOf(n) !== elements) return;
    seen.add(n);
    if (!isElementwise(n) && n.op !== "reshape") return;
    n.args.forEach(visit);
    if (n.op === "reshape" || readers(n).length === 1) return;
    if (!point.of(n) || f.again.has(n) || overLimit(f, g, [n])) return;
    if ([...grouping.leavesOf(n)].some(isPartial)) grouping.own(g, n);
  };
  reduction.args.forEach(visit);
}
