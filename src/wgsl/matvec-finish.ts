import type { Index } from "../ir/index-expr.ts";
import { int } from "../ir/index-expr.ts";
import type { Product } from "./contraction.ts";
import type { Value } from "./emitter.ts";
import { type Frame, writeAt } from "./kernel.ts";
import { writeUpdates } from "./matvec-updates.ts";
import { writeSums } from "./riders.ts";

/**
 * Stores all that follows from the products at the column(s) of an invocation, row by row. `totals`: of each product the
 * text of each row, then of the columns' sums where these ride.
 */
export function finish(
  frame: Frame,
  products: readonly Product[],
  batch: readonly Index[],
  column: Index,
  totals: readonly (readonly string[])[],
): void {
  const { e } = frame;
  const [p] = products as [Product];
  const dtype = p.node.type.dtype;
  const value = (text: string): Value => ({ text, width: e.width, dtype, depth: e.depth });
  const rows = totals[0]!.length;
  for (let i = 0; i < rows; i++) {
    if (i === p.m) {
      writeSums(frame, "b", column, value(totals[0]![i] as string));
      continue;
    }
    products.forEach(({ node }, t) => {
      const v = value(totals[t]![i] as string);
      e.provide(node, () => v);
    });
    const at = [...batch, int(i), column];
    writeAt(frame, p.outputs, at);
    writeUpdates(frame, at);
  }
}
