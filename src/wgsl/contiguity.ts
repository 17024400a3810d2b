import { countOf, isStored, readsOf } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { coefOf, type Index, ravel } from "../ir/index-expr.ts";

/**
 * Do neighbours along `variable` lie next to each other in memory? Asked of the largest tensor that `operand` is
 * computed from, read at `index`.
 */
export function contiguousAlong(region: Region, operand: Node, index: readonly Index[], variable: string): boolean {
  const inputs = new Set(region.inputs);
  let best: { size: number; unit: boolean } | undefined;
  const visit = (n: Node, at: readonly Index[]): void => {
    if (inputs.has(n) || isStored(n)) {
      const offset = ravel(at, n.type.shape as readonly number[]);
      const size = countOf(n);
      if (!best || size > best.size) best = { size, unit: coefOf(offset, variable) === 1 };
      return;
    }
    for (const r of readsOf(n, at)) visit(r.arg, r.index);
  };
  visit(operand, index);
  return best?.unit ?? true;
}
