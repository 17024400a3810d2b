import type { Node } from "../ir/graph.ts";
import { canStoreHalf, type Fuser, feedsItself, overLimit } from "./fuser.ts";
import { pointOf, readsSamePoint, rowsOf } from "./groups.ts";
import { absorb } from "./join.ts";
import { countOf, isElementwise, isStored, permutedFrom, shapeOf } from "./pull.ts";

/** A kernel for a node that must be stored: one that computes it anyway at its own elements, or one of its own. */
export function home(f: Fuser, n: Node): void {
  const { grouping } = f;
  if (f.mode !== "off" && isElementwise(n) && !f.apart?.has(n)) {
    absorb(f, n);
    if (grouping.owner.has(n)) return;
  }
  if (f.mode !== "off" && storeThroughView(f, n)) return;
  if (f.mode !== "off" && !isStored(n)) {
    const readers = [...grouping.readersOf(n)];
    for (const g of readers) {
      const elementwise = g.family === "row" || (g.family === "pointwise" && n.op !== "pad" && n.op !== "concat");
      const computes = elementwise && countOf(n) === g.space.reduce((p, d) => p * d, 1);
      if (!computes || !canStoreHalf(f, g, n) || overLimit(f, g, [n])) continue;
      const at = pointOf(g).of(n);
      if (!at || !readsSamePoint(grouping, g, n, at)) continue;
      if (readers.some((h) => h !== g && grouping.dependsOn(g, h))) continue;
      grouping.own(g, n);
      return;
    }
  }
  const g = grouping.open("pointwise", shapeOf(n));
  if (feedsItself(f, n)) grouping.adopt(g, n);
  else grouping.own(g, n);
}

/** A permuted result is written to its place by the kernel that computes it, instead of being copied there. */
function storeThroughView(f: Fuser, n: Node): boolean {
  const base = permutedFrom(n);
  const g = f.grouping.owner.get(base);
  if (base === n || !g || ["scan", "scatter", "opaque"].includes(g.family)) return false;
  const words = n.type.dtype !== "f16" || f.capabilities.features.f16;
  if (!words || countOf(base) !== g.space.reduce((p, d) => p * d, 1) || overLimit(f, g, [n])) return false;
  if (g.axes.length && countOf(base) === rowsOf(g)) return false;
  f.grouping.own(g, n);
  return true;
}
