import { bindDim, type Dim, dimNames, isSym, type SymDim } from "../../src/ir/dim.ts";
import type { Graph } from "../../src/ir/graph.ts";
import type { Point } from "./points.ts";

/** Every expression in the shapes of a graph, and those that it is made of. */
export function* sizesIn(graph: Graph): Generator<SymDim> {
  for (const n of graph.nodes) for (const d of n.type.shape) yield* partsOf(d);
}

function* partsOf(d: Dim): Generator<SymDim> {
  if (!isSym(d)) return;
  yield d;
  if (d.dim === "name") return;
  yield* partsOf(d.a);
  yield* partsOf(d.b);
}

/** Beyond this no size is the least of anything. */
const most = 2 ** 16;

/**
 * The sizes from which on a kernel holds, where that is not all: the first three of n elements are min(n, 3) ones, which is 3 at all
 * points. Their part of the tensor must lie within what it lies in at the points, too: not reach the second tensor of a
 * concatenation, the second row of two axes that were merged, or what was padded. What is never below 0 counts for nothing: an
 * expression that says so is found like others.
 */
export function leastSizes(graph: Graph, points: readonly Point[]): Readonly<Record<string, number>> {
  const least: Record<string, number> = {};
  for (const d of sizesIn(graph)) {
    if ((d.dim !== "min" && d.dim !== "max") || (d.dim === "max" && d.b === 0)) continue;
    const taken = [d.a, d.b].find((side) => points.every((p) => bindDim(d, p) === bindDim(side, p)));
    if (taken === undefined) continue;
    const names = [...dimNames(d).keys()];
    const taking = Math.max(0, ...[d.a, d.b].filter((side) => typeof side === "number"));
    for (const name of names) {
      const size = Math.max(taking, turn(d, taken, name, names));
      if (size > 0) least[name] = Math.max(least[name] ?? 0, size + paddedBy(graph, name));
    }
  }
  return least;
}

/** From which size of a dim on an expression is one of its two sides. */
function turn(d: SymDim, side: Dim, name: string, names: readonly string[]): number {
  const holds = (size: number): boolean => {
    const p = { ...Object.fromEntries(names.map((n) => [n, 1])), [name]: size };
    return bindDim(d, p) === bindDim(side, p);
  };
  let size = most;
  while (size > 0 && holds(size - 1)) size--;
  return size < most ? size : 0;
}

/** How many elements a size is padded with at most. */
function paddedBy(graph: Graph, name: string): number {
  let padded = 0;
  for (const d of sizesIn(graph)) {
    if (d.dim === "add" && typeof d.b === "number" && dimNames(d).has(name)) padded = Math.max(padded, d.b);
  }
  return padded;
}
