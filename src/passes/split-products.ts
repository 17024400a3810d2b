import { type Graph, type GraphBuilder, type Node, usersOf } from "../ir/graph.ts";
import { count } from "../ir/ndarray.ts";
import { reshape } from "../ir/ops/composite-helpers.ts";
import { sliceAttrs } from "../ir/ops/view.ts";
import { rowOf } from "../ir/ops.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { replaceNodes } from "./rewrite.ts";

/**
 * `unit`: parts begin at multiples of this many terms, which workgroup tiles take at a time. `least`: fewer terms than this are
 * not worth a workgroup.
 */
interface Depths {
  readonly unit: number;
  readonly least: number;
}
const depths: Depths = { unit: 16, least: 192 };
/** Subgroup matrices are so quick that adding up parts costs more than shorter products gain. */
const matrixDepths: Depths = { unit: 64, least: 512 };
/** More would cost more to add up than they gain. */
const mostParts = 8;
/** Workgroups that keep a GPU busy, of tiles of 64 by 64. */
const enoughGroups = 768;
/** Products that have this many are left whole. */
const fewGroups = 264;
/** With so few, a kernel to add up the parts is paid for. */
const idleGroups = 128;

export interface SplitProductsOptions extends Partial<Depths> {
  /** Products of fewer rows or columns are left whole. */
  readonly leastSide?: number;
}

/**
 * A product of few rows and columns but many terms keeps few workgroups busy. Its sum is computed in parts, each by workgroups
 * of its own, and the parts are added up in order by whatever kernel reads the product: a row kernel does so in passing,
 * which is why only products that one reads are divided, and those that are long enough to pay for a kernel of their own.
 */
export function splitProducts(
  graph: Graph,
  { software, features }: Pick<Capabilities, "software" | "features">,
  options: SplitProductsOptions = {},
): Graph {
  if (software) return graph;
  const users = usersOf(graph);
  return replaceNodes(graph, (n, args, b) => {
    const half = n.type.dtype === "f16" && features.subgroupMatrix;
    if (n.op !== "matmul" || !(half || n.type.dtype === "f32") || typeof n.attrs.parts === "number") return undefined;
    const parts = partsFor(n, { leastSide: 64, ...(half ? matrixDepths : depths), ...options });
    if (parts.count === 1 || !(feedsRow(n, users) || (parts.idle && !isPacked(n, users)))) return undefined;
    const operands = half ? args.map((a) => b.add("cast", [a], { dtype: "f32" })) : args;
    const product = b.add("matmul", operands, { parts: parts.count, depth: parts.depth });
    const sum = sumOfParts(b, product, parts.count, n.type.shape as readonly number[]);
    return [half ? b.add("cast", [sum], { dtype: "f16" }) : sum];
  });
}

/** A gradient that an optimiser reads in its place in memory. */
const isPacked = (n: Node, users: ReadonlyMap<Node, readonly Node[]>): boolean =>
  (users.get(n) ?? []).some((u) => u.op === "pack" || (u.op === "reshape" && isPacked(u, users)));

function partsFor(
  n: Node,
  { unit, least, leastSide }: Required<SplitProductsOptions>,
): { readonly count: number; readonly depth: number; readonly idle: boolean } {
  const shape = n.type.shape as readonly number[];
  const [m, columns] = shape.slice(-2) as [number, number];
  const k = (n.args[0] as Node).type.shape.at(-1) as number;
  const groups = Math.ceil(m / 64) * Math.ceil(columns / 64) * count(shape.slice(0, -2));
  const wanted = Math.min(mostParts, Math.ceil(enoughGroups / groups), Math.floor(k / least));
  // Small products are quick as they are, and a few rows are multiplied by a kernel that divides the terms itself.
  if (wanted < 2 || groups >= fewGroups || Math.min(m, columns) < leastSide) return { count: 1, depth: k, idle: false };
  const depth = Math.ceil(k / wanted / unit) * unit;
  return { count: Math.ceil(k / depth), depth, idle: groups <= idleGroups };
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
