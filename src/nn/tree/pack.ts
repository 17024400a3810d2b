import type { GraphBuilder, Node } from "../../ir/graph.ts";
import { count } from "../../ir/ndarray.ts";
import { packLayout } from "../../ir/ops/memory.ts";
import { paddingOf } from "./padding.ts";

/** Leaves in a flat tensor: how many elements each has, where it begins, and how many there are in all. */
export interface Layout {
  readonly counts: readonly number[];
  readonly offsets: readonly number[];
  readonly total: number;
}

export const layoutOf = (leaves: readonly Node[]): Layout => {
  const types = leaves.map((n) => n.type);
  return { ...packLayout(types), counts: types.map((t) => count(t.shape as number[])) };
};

/**
 * One flat tensor of the elements of several, each beginning at a multiple of 256 bytes, with zeros between. Windows of one
 * flat tensor, all in order, give that tensor back, so that a chain of functions over a tree stays one graph over one tensor.
 */
export function packNodes(b: GraphBuilder, leaves: readonly Node[]): Node {
  const layout = layoutOf(leaves);
  const flat = flatOf(leaves, layout);
  return flat ? zeroBetween(b, flat, layout) : b.add("pack", leaves);
}

/** The tensor that the leaves are consecutive windows of. */
function flatOf(leaves: readonly Node[], { offsets, total }: Layout): Node | undefined {
  const flat = leaves[0]?.op === "window" ? (leaves[0].args[0] as Node) : undefined;
  const all = leaves.every((n, i) => n.op === "window" && n.args[0] === flat && n.attrs.start === offsets[i]);
  return flat && all && count(flat.type.shape as number[]) === total ? flat : undefined;
}

/**
 * A flat tensor with zeros between its leaves. Where a result takes the place of what it was computed from, these are the
 * zeros of the next run.
 */
export function zeroBetween(b: GraphBuilder, flat: Node, { counts, offsets, total }: Layout): Node {
  if (paddingOf(flat, counts) === "zero") return flat;
  // Leaves have the even numbers, what follows each of them the odd ones.
  const sizes = counts.flatMap((n, i) => [n, (offsets[i + 1] ?? total) - (offsets[i] as number) - n]);
  const odd = b.add("and", [b.add("segments", [], { sizes }), b.const(1, "u32")]);
  return b.add("where", [b.add("equal", [odd, b.const(0, "u32")]), flat, b.const(0, flat.type.dtype)]);
}
