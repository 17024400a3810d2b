import type { KernelVariantOptions } from "../../src/frontend/define-kernel.ts";
import { bindDim, dimNames, isSym, shapeSize } from "../../src/ir/dim.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { evenPoints, farPoints, type Point, pointCount, pointsFor } from "./points.ts";
import { NotUniform } from "./text.ts";

/**
 * Sizes that texts are made from, tried in turn: more than one tile of any kernel, so that no number of tiles is one, which
 * nothing is divided by. Smaller ones where the tensors would not fit.
 */
const leastSizes = [520, 260, 133, 67, 37, 5];

export interface Samples {
  readonly points: readonly Point[];
  /** The first so many must have one text; others lend what they have in common with it. */
  readonly needed: number;
}

/** The names of sizes that are added up. */
const addedUp = (graph: Graph): ReadonlySet<string> =>
  new Set(
    graph.nodes.flatMap((n) =>
      n.type.shape.flatMap((d) => (isSym(d) && d.dim === "add" && isSym(d.b) ? [...dimNames(d).keys()] : [])),
    ),
  );

/**
 * The points that texts are made from: near the hints, and for each dim one far from them, as a number that is the same at
 * all sizes near the hints might change there, and nothing else would tell.
 */
export function samplePoints(graph: Graph, v: KernelVariantOptions, hints: ReadonlyMap<string, number>): Samples {
  const fits = (p: Point): boolean => indexable(graph, p);
  for (const least of leastSizes) {
    const near = pointsFor(new Map([...hints].map(([name, hint]) => [name, Math.max(hint, least)])), v);
    if (!near.every(fits)) continue;
    const far = [...farPoints(near, v, fits).values()].flatMap((points) => points.slice(0, 1));
    const points = [...near.slice(0, Math.max(2, pointCount - far.length)), ...far];
    return { points: hints.size ? [...points, ...evenPoints(near, v, addedUp(graph))] : points, needed: points.length };
  }
  throw new NotUniform("its tensors have too many elements near the hints of its dims");
}

/** Is every tensor small enough for indices of 32 bits, and for the workgroups of two dimensions? */
const indexable = (graph: Graph, point: Point): boolean =>
  graph.nodes.every((n) => (bindDim(shapeSize(n.type.shape), point) as number) < 2 ** 31);
