import { countOf, isStored, readsOf } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { coefOf, divisibleBy, type Index, int, ravel, substitute } from "../ir/index-expr.ts";
import { always } from "./agree.ts";

export interface Contiguity {
  /** Neighbours lie next to each other in memory. */
  readonly unit: boolean;
  /** Each four of them begin at a multiple of four elements. */
  readonly aligned: boolean;
}

/**
 * How elements along the lane of `index` lie in memory. Asked of the largest tensor that `operand` is computed from, read
 * at `index`; one that is computed from none lies as one likes.
 */
export function vectorsAlong(region: Region, operand: Node, index: readonly Index[]): Contiguity {
  const inputs = new Set(region.inputs);
  let best: (Contiguity & { readonly size: number }) | undefined;
  const visit = (n: Node, at: readonly Index[]): void => {
    if (inputs.has(n) || isStored(n)) {
      const offset = ravel(at, n.type.shape as readonly number[]);
      const size = countOf(n);
      if (best && size <= best.size) return;
      const aligned = always(region, size % 4 === 0 && divisibleBy(substitute(offset, "lane", int(0)), 4));
      best = { size, unit: coefOf(offset, "lane") === 1, aligned };
      return;
    }
    for (const r of readsOf(n, at)) visit(r.arg, r.index);
  };
  visit(operand, index);
  return best ?? { unit: true, aligned: true };
}
