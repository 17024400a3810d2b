import { type Graph, type GraphBuilder, type Node, usersOf } from "../ir/graph.ts";
import { count } from "../ir/ndarray.ts";
import { reshape } from "../ir/ops/composite-helpers.ts";
import { sliceAttrs } from "../ir/ops/view.ts";
import { rowOf } from "../ir/ops.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { fitsLimits, quickest, timeOfParts } from "./product-tiles.ts";
import { replaceNodes } from "./rewrite.ts";

/**
 * `unit`: parts begin at multiples of this many terms, which workgroup tiles take at a time. `least`: fewer terms than this are
 * not worth a workgroup. `most`: more parts would cost more to add up than they gain.
 */
interface Depths {
  readonly unit: number;
  readonly least: number;
  readonly most: number;
}
const depths: Depths = { unit: 32, least: 192, most: 12 };
/** Subgroup matrices are so quick that adding up parts costs more than shorter products gain. */
const matrixDepths: Depths = { unit: 64, least: 512, most: 8 };
/** Seconds of a kernel that does nothing but add parts up, besides moving them. */
const kernelTime = 5e-6;

export interface SplitProductsOptions extends Partial<Depths> {
  /** Products of fewer rows or columns are left whole. */
  readonly leastSide?: number;
  /** Parts are taken where they need less than this share of the time of the whole. */
  readonly worth?: number;
}

/**
 * A product of few rows and columns but many terms keeps few workgroups busy. Its sum is computed in parts, each by workgroups
 * of its own, and the parts are added up in order by whatever kernel reads the product: a row kernel does so in passing,
 * which is why only products that one reads are divided, and those that are long enough to pay for a kernel of their own.
 */
export function splitProducts(
  graph: Graph,
  { software, features, limits }: Pick<Capabilities, "software" | "features" | "limits">,
  options: SplitProductsOptions = {},
): Graph {
  if (software) return graph;
  const users = usersOf(graph);
  return replaceNodes(graph, (n, args, b) => {
    const half = n.type.dtype === "f16" && features.subgroupMatrix;
    if (n.op !== "matmul" || !(half || n.type.dtype === "f32") || typeof n.attrs.parts === "number") return undefined;
    const quick = half || n.attrs.precision === "f16x3";
    const feeds = feedsRow(n, users);
    if (!feeds && isPacked(n, users)) return undefined;
    const settings = { leastSide: 64, worth: 0.95, ...(quick ? matrixDepths : depths), ...options };
    const parts = quick ? partsByGroups(n, feeds, settings) : partsByTime(n, feeds, settings, limits);
    if (!parts) return undefined;
    const operands = half ? args.map((a) => b.add("cast", [a], { dtype: "f32" })) : args;
    const product = b.add("matmul", operands, { ...n.attrs, parts: parts.count, depth: parts.depth });
    const sum = sumOfParts(b, product, parts.count, n.type.shape as readonly number[]);
    return [half ? b.add("cast", [sum], { dtype: "f16" }) : sum];
  });
}

/** A gradient that an optimiser reads in its place in memory. */
const isPacked = (n: Node, users: ReadonlyMap<Node, readonly Node[]>): boolean =>
  (users.get(n) ?? []).some((u) => u.op === "pack" || (u.op === "reshape" && isPacked(u, users)));

interface Parts {
  readonly count: number;
  readonly depth: number;
}

/** As many parts as keep a GPU busy with tiles of 64 by 64, where the product has few of them. */
function partsByGroups(
  n: Node,
  feeds: boolean,
  { unit, least, leastSide, most }: Required<SplitProductsOptions>,
): Parts | undefined {
  const { m, columns, batches, k } = sizeOf(n);
  const groups = Math.ceil(m / 64) * Math.ceil(columns / 64) * batches;
  const wanted = Math.min(most, Math.ceil(768 / groups), Math.floor(k / least));
  // Small products are quick as they are, and a few rows are multiplied by a kernel that divides the terms itself.
  if (wanted < 2 || groups >= (feeds ? 264 : 129) || Math.min(m, columns) < leastSide) return undefined;
  const depth = Math.ceil(k / wanted / unit) * unit;
  return depth < k ? { count: Math.ceil(k / depth), depth } : undefined;
}

/** The parts that are quickest by the times of workgroup tiles, if they are quicker than the whole. */
function partsByTime(
  n: Node,
  feeds: boolean,
  { unit, least, leastSide, most, worth }: Required<SplitProductsOptions>,
  limits: Capabilities["limits"],
): Parts | undefined {
  const { m, columns, batches, k } = sizeOf(n);
  if (Math.min(m, columns) < leastSide) return undefined;
  const timeIn = (parts: number, depth: number): number => {
    const size = { m, n: columns, depth, count: batches * parts };
    const adding = parts === 1 ? 0 : timeOfParts(size, parts) + (feeds ? 0 : kernelTime + timeOfParts(size, 2 * parts));
    return (quickest(size, (t) => fitsLimits(t, limits))?.time ?? Number.POSITIVE_INFINITY) + adding;
  };
  let best: (Parts & { readonly time: number }) | undefined;
  for (let wanted = 2; wanted <= Math.min(most, Math.floor(k / least)); wanted++) {
    const depth = Math.ceil(k / wanted / unit) * unit;
    const count = Math.ceil(k / depth);
    const time = timeIn(count, depth);
    if (count > 1 && (!best || time < best.time)) best = { count, depth, time };
  }
  return best && best.time < worth * timeIn(1, k) ? best : undefined;
}

function sizeOf(n: Node): { m: number; columns: number; batches: number; k: number } {
  const shape = n.type.shape as readonly number[];
  const [m, columns] = shape.slice(-2) as [number, number];
  return { m, columns, batches: count(shape.slice(0, -2)), k: (n.args[0] as Node).type.shape.at(-1) as number };
}

function sumOfParts(b: GraphBuilder, product: Node, parts: number, shape: readonly number[]): Node {
  const whole = product.type.shape;
  const part = (i: number): Node => reshape(b, b.add("slice", [product], sliceAttrs(whole, 0, i, 1)), shape);
  let sum = part(0);
  for (let i = 1; i < parts; i++) sum = b.add("add", [sum, part(i)]);
  return sum;
}

/** Is it read, maybe by way of elementwise rows, by a reduction along its rows? */
function feedsRow(n: Node, users: ReadonlyMap<Node, readonly Node[]>): boolean {
  const seen = new Set<Node>();
  const visit = (x: Node): boolean =>
    (users.get(x) ?? []).some((u) => {
      if (seen.has(u)) return false;
      seen.add(u);
      const { elementwise, kind } = rowOf(u.op);
      if (kind === "reduction") {
        const rank = x.type.shape.length;
        return (u.attrs.axes as readonly number[] | undefined)?.includes(rank - 1) ?? false;
      }
      return (elementwise || kind === "view" || u.op === "result") && visit(u);
    });
  return visit(n);
}
