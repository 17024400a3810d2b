import { type Graph, type GraphBuilder, type Node, usersOf } from "../ir/graph.ts";
import { count } from "../ir/ndarray.ts";
import { reshape } from "../ir/ops/composite-helpers.ts";
import { halvesBlock, matrixBelow } from "../ir/ops/halves.ts";
import { sliceAttrs } from "../ir/ops/view.ts";
import { rowOf } from "../ir/ops.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { willHalve } from "./halvable.ts";
import { matrixBytes, matrixFits, matrixTiles, timeOfPairs, timeOfStored } from "./matrix-tiles.ts";
import { fitsLimits, type ProductSize, quickest, tiles, timeOfParts } from "./product-tiles.ts";
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
/** Subgroup matrices take up to 64 terms at a time; what it costs to begin a workgroup and to add parts up is in their times. */
const matrixDepths: Depths = { unit: 64, least: 256, most: 12 };
/** Of what is stored as halves, in blocks. */
const storedDepths: Depths = { unit: halvesBlock, least: 256, most: 12 };
/**
 * Whole, a gradient that is stored where an optimiser reads it may share a dispatch with the one of the product's other operand
 * (f16x3), and bias gradients are added up in passing (f32).
 */
const packedWorth = { f32: 0.89, f16x3: 0.65, stored: 0.89 };
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
    const stored = n.attrs.precision === "f16x3" && willHalve(n, limits);
    const kind = stored ? "stored" : quick ? "f16x3" : "f32";
    const inner = stored && !matrixBelow(n.args[0] as Node).turned;
    const feeds = feedsRow(n, users);
    const packed = !feeds && isPacked(n, users);
    if (packed && half) return undefined;
    const settings = {
      leastSide: 64,
      worth: packed ? packedWorth[kind] : 0.95,
      ...(stored ? storedDepths : quick ? matrixDepths : depths),
      ...options,
    };
    const timeOf = (p: ProductSize): number | undefined =>
      half
        ? quickest(p, matrixTiles, (t) => matrixFits(t, matrixBytes(t), limits))?.time
        : stored
          ? timeOfStored(p, inner, limits)
          : quick
            ? timeOfPairs(p, limits)
            : quickest(p, tiles, (t) => fitsLimits(t, limits))?.time;
    const timeOfAdding = feeds ? timeOfParts : packed && (stored || !quick) ? timeOfHiddenPass : timeOfPass;
    const parts = partsByTime(n, timeOfAdding, settings, timeOf);
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

/** Seconds more than for a product that is whole. */
type Adding = (p: ProductSize, parts: number) => number;

/** By a kernel that does nothing else. */
const timeOfPass: Adding = (p, parts) => timeOfParts(p, parts) + kernelTime + timeOfParts(p, 2 * parts);

/** The same for gradients of weights in f32, also of what is stored as halves, which hide most of what writing their parts takes. Fitted from 768x768 to 768x3072. */
const timeOfHiddenPass: Adding = (p, parts) => {
  const bytes = (p.m * p.n * p.count * 4) / parts;
  return kernelTime + (bytes * parts) / 8e12 + (bytes * (parts + 1)) / 3.5e12;
};

/** The parts that are quickest by the times of workgroup tiles, if they are quicker than the whole. */
function partsByTime(
  n: Node,
  timeOfAdding: Adding,
  { unit, least, leastSide, most, worth }: Required<SplitProductsOptions>,
  timeOf: (p: ProductSize) => number | undefined,
): Parts | undefined {
  const { m, columns, batches, k } = sizeOf(n);
  if (Math.min(m, columns) < leastSide) return undefined;
  const timeIn = (parts: number, depth: number): number => {
    const size = { m, n: columns, depth, count: batches * parts };
    const adding = parts === 1 ? 0 : timeOfAdding(size, parts);
    return (timeOf(size) ?? Number.POSITIVE_INFINITY) + adding;
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
