import type { Graph, Node } from "../ir/graph.ts";
import { closesCycle, type Fuser, overLimit, producerGroups, sameShape } from "./fuser.ts";
import type { Group } from "./groups.ts";
import { isFewRows } from "./prologue.ts";
import { countOf, isStored, shapeOf } from "./pull.ts";

/** Products that one kernel computes at most. */
const mostProducts = 3;

/**
 * A product of a few rows joins the kernel of another one of the same operand and sizes: the gate and the other half of a gated
 * layer, keys and values. Both read their matrices once, and what is made of both elementwise is then their epilogue.
 */
export function joinProduct(f: Fuser, n: Node): boolean {
  if (!isFewRows(n, f.capabilities)) return false;
  const readFrom = producerGroups(f, n);
  for (const g of f.grouping.groups) {
    const products = g.anchors.filter((a) => a.op === "matmul");
    const [first] = products;
    if (g.family !== "contraction" || !first || products.length >= mostProducts) continue;
    if (!isFewRows(first, f.capabilities) || !sameShape(g.space, shapeOf(n)) || readFrom.includes(g)) continue;
    if (!same(first.args[0] as Node, n.args[0] as Node) || !alike(first.args[1] as Node, n.args[1] as Node)) continue;
    if (closesCycle(f, g, n) || overLimit(f, g, [n])) continue;
    f.grouping.own(g, n);
    return true;
  }
  return false;
}

const attrsOf = (n: Node): string => JSON.stringify(n.attrs);

/** Are two nodes the same value, computed twice? */
const same = (a: Node, b: Node): boolean =>
  a === b ||
  (!isStored(a) &&
    a.op === b.op &&
    a.args.length > 0 &&
    a.args.length === b.args.length &&
    attrsOf(a) === attrsOf(b) &&
    a.args.every((x, i) => same(x, b.args[i] as Node)));

/** Are two matrices computed alike, from tensors of equal shapes: read by the same code? */
const alike = (a: Node, b: Node): boolean =>
  a.type.dtype === b.type.dtype &&
  sameShape(shapeOf(a), shapeOf(b)) &&
  (isStored(a) || isStored(b)
    ? isStored(a) && isStored(b)
    : a.op === b.op && attrsOf(a) === attrsOf(b) && a.args.every((x, i) => alike(x, b.args[i] as Node)));

/** The part of a product's epilogue that replaces a block of a state, and how its elements are found there. */
const views = new Set(["reshape", "transpose", "slice"]);

/** The node of which an update is a part in another order: below its reshapes, transposes and slices of neighbours. */
export function updateSource(update: Node): Node {
  let at = update;
  while (views.has(at.op) && (at.op !== "slice" || (at.attrs.steps as readonly number[]).every((s) => s === 1)))
    at = at.args[0] as Node;
  return at;
}

/**
 * A block of a state that a product of a few rows computes is written into the state by the product's own kernel: the keys and
 * values of a cache. Only where the old state is read by nothing else and the new one is what is returned for it, so that
 * the plan always writes it in place.
 */
export function rideUpdate(f: Fuser, n: Node, graph: Graph): boolean {
  if (n.op !== "dynamicUpdateSlice") return false;
  const [base, update, ...starts] = n.args as [Node, Node, ...Node[]];
  const { grouping, capabilities } = f;
  const source = updateSource(update);
  const g = grouping.owner.get(source);
  if (g?.family !== "contraction" || !isState(f, base, n, graph)) return false;
  const product = g.anchors.find((a) => a.op === "matmul");
  if (!product || !isFewRows(product, capabilities) || countOf(source) !== countOf(product)) return false;
  if (n.type.dtype === "f16" && !capabilities.features.f16) return false;
  // What is as large as the product would be taken for something computed at its points.
  if (countOf(n) <= countOf(product) || readsGroup(f, starts, g)) return false;
  if (closesCycle(f, g, n) || overLimit(f, g, [n])) return false;
  grouping.own(g, n);
  return true;
}

const readsGroup = (f: Fuser, nodes: readonly Node[], g: Group): boolean =>
  nodes.some((x) => f.grouping.comesFrom(x, g));

/** Is `base` a state that nothing but `n` reads and that `n` replaces? */
function isState({ grouping }: Fuser, base: Node, n: Node, graph: Graph): boolean {
  if (base.op !== "input" || base.attrs.role !== "state" || (grouping.users.get(base)?.length ?? 0) !== 1) return false;
  const names = graph.outputs.filter((o) => o.node === n).map((o) => o.name);
  const replaced = graph.outputs.filter((o) => o.name === base.attrs.name);
  return names.length === 1 && replaced.length === 1 && names[0] === base.attrs.name;
}
