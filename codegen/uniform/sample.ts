import type { KernelVariantOptions } from "../../src/frontend/define-kernel.ts";
import { bindDim, type Dim, dimNames, isSym, shapeSize } from "../../src/ir/dim.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { sizesIn } from "./least.ts";
import { type Divides, evenPoints, farPoints, type Point, pointCount, pointsFor } from "./points.ts";
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
  const divides = dividing(graph, v);
  for (const least of leastSizes) {
    const near = pointsFor(new Map([...hints].map(([name, hint]) => [name, Math.max(hint, least)])), v, divides);
    if (!near.every(fits)) continue;
    const far = [...farPoints(near, v, fits, divides).values()].flatMap((points) => points.slice(0, 1));
    const points = [...near.slice(0, Math.max(2, pointCount - far.length)), ...far];
    const others = hints.size
      ? [...evenPoints(near, v, addedUp(graph)), ...edgePoints(graph, near, v).filter(fits)]
      : [];
    return { points: [...points, ...others], needed: points.length };
  }
  throw new NotUniform("its tensors have too many elements near the hints of its dims");
}

/** Whether a dim with a constant added divides by four more than the dim itself, or a rounded quotient of it leaves nothing. */
function dividing(graph: Graph, v: KernelVariantOptions): Divides {
  const own = [...sizesIn(graph)].filter((d) => d.dim !== "name" && typeof d.b === "number" && dimNames(d).size === 1);
  const beside = own.filter((d) => d.dim === "add");
  const rounded = own.flatMap((d) =>
    d.dim === "floordiv" && isSym(d.a) && d.a.dim === "add" && d.a.b === (d.b as number) - 1
      ? [{ of: d.a.a, by: d.b as number }]
      : [],
  );
  return (name, size) => {
    const rest = (d: Dim, by: number): number =>
      dimNames(d).has(name) ? (bindDim(d, { [name]: size }) as number) % by : 1;
    return (
      beside.some((d) => rest(d, 4 * (v.multiples?.[name] ?? 1)) === 0) || rounded.some((r) => rest(r.of, r.by) === 0)
    );
  };
}

/** A multiple of whatever sizes are divided by. */
const tile = 1024;

/**
 * Points where a size and one a little larger or smaller, as after padding or slicing, do not come to the same number of tiles:
 * at others ceil(n / 64) and ceil((n + 3) / 64) are equal more often than not.
 */
function edgePoints(graph: Graph, near: readonly Point[], v: KernelVariantOptions): Point[] {
  const found = new Map<string, Point>();
  for (const d of sizesIn(graph)) {
    if (d.dim !== "add" || typeof d.b !== "number" || !isSym(d.a) || Math.abs(d.b) >= tile / 2) continue;
    const { a, b } = d;
    for (const rest of b > 0 ? [[0, 0] as const, [tile - b, tile - 1] as const] : [[1, -b] as const, [0, 0] as const]) {
      const p = pointWith(near[0] as Point, v, a, rest);
      if (p) found.set(JSON.stringify(p), p);
    }
  }
  return [...found.values()].slice(0, 8);
}

/** A point beside another one at which what a size leaves when it is divided into tiles lies in a range. */
function pointWith(
  from: Point,
  v: KernelVariantOptions,
  size: Dim,
  [low, high]: readonly [number, number],
): Point | undefined {
  const [name] = dimNames(size).keys();
  if (name === undefined) return undefined;
  const unit = v.multiples?.[name] ?? 1;
  const begin = from[name] as number;
  const end = Math.min(begin + 8 * tile * unit, v.max?.[name] ?? Number.POSITIVE_INFINITY);
  for (let n = begin; n <= end; n += unit) {
    const p = { ...from, [name]: n };
    const rest = (bindDim(size, p) as number) % tile;
    if (rest >= low && rest <= high) return p;
  }
  return undefined;
}

/** Is every tensor small enough for indices of 32 bits, and for the workgroups of two dimensions? */
const indexable = (graph: Graph, point: Point): boolean =>
  graph.nodes.every((n) => (bindDim(shapeSize(n.type.shape), point) as number) < 2 ** 31);
