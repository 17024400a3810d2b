import type { Node } from "../ir/graph.ts";
import { count } from "../ir/ndarray.ts";
import { partsOf } from "../ir/ops/contraction.ts";
import { halvesBlock, matrixBelow } from "../ir/ops/halves.ts";
import { rowOf } from "../ir/ops.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { timeOfPairs, timeOfStored } from "./matrix-tiles.ts";

/** Larger matrices are not stored twice, whatever that gains. */
const mostBytes = 2 ** 28;
/** How many times what it takes a copy must gain. */
export const worthHalving = 1.3;

/** Products of two matrices that are computed as halves. */
export const isPairProduct = (n: Node): boolean =>
  n.op === "matmul" && n.attrs.precision === "f16x3" && n.args.every((a) => a.type.shape.length === 2);

/** The node below reshapes. */
export function sourceOf(n: Node): Node {
  let at = n;
  while (at.op === "reshape") at = at.args[0] as Node;
  return at;
}

/** Whether a matrix is in memory anyway: views that move elements would have to be stored first. */
export const canHalve = (x: Node): boolean =>
  (sourceOf(x).op === "window" || rowOf(sourceOf(x).op).kind !== "view") &&
  x.op !== "fromHalves" &&
  x.type.dtype === "f32" &&
  4 * count(x.type.shape as readonly number[]) <= mostBytes &&
  x.type.shape.length === 2 &&
  (x.type.shape[1] as number) % 4 === 0;

/**
 * Seconds that it takes to store a matrix as halves: four bytes an element are read and written, and a dispatch has its price, 7 us on the
 * device, and what it costs to encode it.
 */
export const timeToHalve = (x: Node): number => 1e-5 + (8 * count(x.type.shape as readonly number[])) / 3.6e12;

/** Seconds that a product takes less where its operands are stored as halves. */
export function gainOfHalves(n: Node, limits: Capabilities["limits"]): number {
  const [a] = n.args as [Node];
  const [m, k] = a.type.shape as [number, number];
  const { count, depth } = partsOf(n.attrs, k);
  const size = { m, n: n.type.shape.at(-1) as number, depth, count };
  const [now, stored] = [timeOfPairs(size, limits), timeOfStored(size, !matrixBelow(a).turned, limits)];
  return now !== undefined && stored !== undefined ? now - stored : 0;
}

/** Whether the operands of a product will be stored as halves, so far as it alone can tell: a matrix serves two products as a rule. */
export function willHalve(n: Node, limits: Capabilities["limits"]): boolean {
  if (!isPairProduct(n)) return false;
  const bases = n.args.map((a) => matrixBelow(a).base);
  const sides = [...((n.args[0] as Node).type.shape as number[]), n.type.shape.at(-1) as number];
  const gain = gainOfHalves(n, limits);
  return Math.min(...sides) >= halvesBlock && bases.every((x) => canHalve(x) && gain > worthHalving * timeToHalve(x));
}
