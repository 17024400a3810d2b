import type { Node } from "../ir/graph.ts";
import type { Index } from "../ir/index-expr.ts";

/** A tensor of which the elements of each row from `columns` on are `fill`: where(iota < columns, inner, fill). */
export interface Mask {
  readonly inner: Node;
  readonly fill: Node;
  readonly columns: number;
}

/** Takes a mask along the last axis apart. */
export function maskOf(n: Node): Mask | undefined {
  const [inside, inner, fill] = n.args as [Node, Node, Node];
  if (n.op !== "where" || inside.op !== "less") return undefined;
  const [place, columns] = inside.args as [Node, Node];
  const last = place.op === "iota" && place.attrs.axis === place.type.shape.length - 1;
  // Of one column, or as many as the result has: nothing is repeated along the last axis.
  const whole = place.type.shape.at(-1) === n.type.shape.at(-1);
  return last && whole && columns.op === "const" ? { inner, fill, columns: columns.attrs.value as number } : undefined;
}

/** The operand that a mask shows at all elements of the index, where that is one of the two. */
export function shownAt(n: Node, index: readonly Index[]): Node | undefined {
  const mask = maskOf(n);
  const at = index.at(-1);
  if (!mask || !at) return undefined;
  return at.max < mask.columns ? mask.inner : at.min >= mask.columns ? mask.fill : undefined;
}
