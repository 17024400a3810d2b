import type { Node } from "../ir/graph.ts";
import { type Index, ravel, unravel, variable } from "../ir/index-expr.ts";
import { rowOf } from "../ir/ops.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { countOf, isElementwise, isStored, readsOf, shapeOf } from "./pull.ts";

/** Products of at most so many rows are bound by reading the matrix: anything about the rows may be computed again. */
export const fewRows = 4;
/** Invocations of the smallest workgroup that computes one. */
const leastInvocations = 128;
/** Workgroup memory besides the rows: partial sums of products and reductions. */
const reserve = 6144;

/** Is the node a product of a few rows and a matrix that the matrix-vector kernel can compute on the device? */
export function isFewRows(n: Node, { software, limits, features }: Capabilities): boolean {
  if (n.op !== "matmul" || n.type.shape.length !== 2 || software || typeof n.attrs.parts === "number") return false;
  if (n.args.some((x) => x.type.shape.length !== 2) || n.type.dtype === "f16") return false;
  const [m, columns] = shapeOf(n) as [number, number];
  const k = shapeOf(n.args[0] as Node)[1] as number;
  const whole = features.f16 || columns % 4 === 0;
  const fits = limits.maxComputeInvocationsPerWorkgroup >= leastInvocations;
  return m > 0 && m <= fewRows && k >= 64 && k % 4 === 0 && columns >= 4 && whole && fits;
}

/** Do all rows of a product's operand fit into workgroup memory? */
const rowsFit = (product: Node, { limits }: Capabilities): boolean =>
  countOf(product.args[0] as Node) * 4 + reserve <= limits.maxComputeWorkgroupStorageSize;

interface Reached {
  /** Reductions along the operand's rows. */
  readonly reductions: Set<Node>;
  /** All that lies between what is in memory and the operand. */
  readonly through: Set<Node>;
}

/**
 * What products of a few rows compute by themselves: reductions along the rows of their first operand that nothing else needs
 * (a normalisation before a projection), and what is made of these elementwise. Each workgroup of such a product computes
 * them again from the stored rows, which takes less time than a kernel of their own.
 */
export function findPrologues(
  nodes: readonly Node[],
  users: ReadonlyMap<Node, readonly Node[]>,
  roots: ReadonlySet<Node>,
  capabilities: Capabilities,
): ReadonlySet<Node> {
  const reached = new Map<Node, Reached>();
  for (const n of nodes)
    if (isFewRows(n, capabilities) && rowsFit(n, capabilities)) reached.set(n, reach(n.args[0] as Node));
  const wanted = new Set([...reached.values()].flatMap((r) => [...r.reductions]));
  const left = new Set<Node>();
  if (wanted.size === 0) return left;
  const serves = new Map<Node, boolean>();
  /** Do all readers of a node lead to first operands that can compute it, the reduction `from` among what these reach? */
  const onlyServes = (n: Node): boolean => {
    const known = serves.get(n);
    if (known !== undefined) return known;
    const readers = users.get(n) ?? [];
    const ok =
      !roots.has(n) &&
      readers.length > 0 &&
      readers.every((u) => {
        const r = reached.get(u);
        if (r) return u.args[1] !== n && u.args[0] === n;
        if (wanted.has(u)) return onlyServes(u);
        return (isElementwise(u) || u.op === "reshape") && onlyServes(u);
      });
    serves.set(n, ok);
    return ok;
  };
  /** Products that a node is read by, through others. */
  const products = (n: Node, out = new Set<Node>(), seen = new Set<Node>()): Set<Node> => {
    for (const u of users.get(n) ?? []) {
      if (seen.has(u)) continue;
      seen.add(u);
      if (reached.has(u)) out.add(u);
      else products(u, out, seen);
    }
    return out;
  };
  const takes = (n: Node): boolean =>
    onlyServes(n) && [...products(n)].every((p) => (reached.get(p) as Reached).reductions.has(n));
  // What follows a reduction that is not taken reads it from memory; what leads to it is computed with it.
  const taken = new Set([...wanted].filter(takes));
  for (let again = true; again; ) {
    again = false;
    for (const n of taken) {
      if (readersWithin(n, users).every((u) => !wanted.has(u) || taken.has(u))) continue;
      taken.delete(n);
      again = true;
    }
  }
  for (const n of taken) {
    left.add(n);
    for (const u of readersWithin(n, users)) if (!reached.has(u)) left.add(u);
  }
  return left;
}

/** What is computed from a node on the way to products, and these. */
function readersWithin(n: Node, users: ReadonlyMap<Node, readonly Node[]>): readonly Node[] {
  const out = new Set<Node>();
  const visit = (x: Node): void => {
    for (const u of users.get(x) ?? []) {
      if (out.has(u)) continue;
      out.add(u);
      if (u.op !== "matmul") visit(u);
    }
  };
  visit(n);
  return [...out];
}

/** The reductions on the way to an operand [rows, K] that are read, and themselves read, at the operand's own row. */
export function reach(operand: Node, stops: (n: Node) => boolean = isStored): Reached {
  const [rows, depth] = shapeOf(operand) as [number, number];
  const row = variable("row", rows - 1);
  const reductions = new Set<Node>();
  const through = new Set<Node>();
  const seen = new Set<string>();
  const visit = (n: Node, index: readonly Index[]): void => {
    const key = `${n.id}|${index.map((e) => e.key).join()}`;
    if (seen.has(key) || stops(n)) return;
    seen.add(key);
    if (rowOf(n.op).reduction) {
      const x = n.args[0] as Node;
      const along = alongRows(n, x, rows);
      if (!along || ravel(index, shapeOf(n)).key !== row.key) return;
      reductions.add(n);
      const column = variable(`c${along}`, along - 1);
      const at = unravel(ravel([row, column], [rows, along]), shapeOf(x));
      visit(x, at);
      return;
    }
    through.add(n);
    for (const r of readsOf(n, index)) visit(r.arg, r.index);
  };
  visit(operand, [row, variable("column", depth - 1)]);
  return { reductions, through };
}

/** Elements of a row where a reduction makes one element of each of `rows` rows of its operand, else 0. */
function alongRows(n: Node, x: Node, rows: number): number {
  const axes = n.attrs.axes as readonly number[];
  const rank = x.type.shape.length;
  const inner = axes.every((a, i) => a === rank - axes.length + i);
  return inner && axes.length > 0 && countOf(n) === rows && rows > 0 ? countOf(x) / rows : 0;
}
