import type { Graph, Node } from "../ir/graph.ts";
import { type Index, unravel, variable } from "../ir/index-expr.ts";
import { countOf, readsOf, shapeOf } from "./pull.ts";

/** The operand of a matmul that a sum adds up: A's rows or B's columns, along the axis that the product sums over. */
export type Side = "a" | "b";

export interface Rider {
  readonly sum: Node;
  readonly side: Side;
}

/** The sums that a contraction computes beside its product, from the operand that it reads anyway (bias gradients beside dW). */
export function ridersOf(region: { readonly anchors: readonly Node[] }): readonly Rider[] {
  const product = region.anchors.find((n) => n.op === "matmul");
  if (!product) return [];
  return region.anchors.flatMap((sum) => {
    const side = sum.op === "sum" ? sideOf(sum, product) : undefined;
    return side ? [{ sum, side }] : [];
  });
}

/**
 * The operand of the matmul whose sums over the contracted axis are the elements of `sum` in row-major order, or undefined.
 * Both reach the same node through reshapes, transposes and the same casts, and that element (k, i) of the one and element k of row i of the
 * other are the same is proven on symbolic indices.
 */
function sideOf(sum: Node, product: Node): Side | undefined {
  const [a, b] = product.args as [Node, Node];
  const [m, n] = shapeOf(product);
  if (shapeOf(product).length !== 2 || m === undefined || n === undefined) return undefined;
  const k = shapeOf(a)[1] as number;
  // With one row or column the sum and the product would have as many elements.
  if (Math.min(m, n) < 2 || k === 0) return undefined;
  const x = sum.args[0] as Node;
  for (const [side, operand, size] of [
    ["b", b, n],
    ["a", a, m],
  ] as const) {
    if (sourceOf(operand) !== sourceOf(x) || countOf(sum) !== size || countOf(x) !== size * k) continue;
    const [at, along] = [variable("i", size - 1), variable("k", k - 1)];
    const own = below(operand, side === "b" ? [along, at] : [at, along]);
    if (own === below(x, rowElement(x, sum.attrs.axes as readonly number[], at, along))) return side;
  }
  return undefined;
}

/** Index of element `along` of the `at`-th row that a reduction over `axes` sums. */
function rowElement(x: Node, axes: readonly number[], at: Index, along: Index): Index[] {
  const shape = shapeOf(x);
  const kept = shape.flatMap((_, i) => (axes.includes(i) ? [] : [i]));
  const sizes = (list: readonly number[]): number[] => list.map((i) => shape[i] as number);
  const [row, column] = [unravel(at, sizes(kept)), unravel(along, sizes(axes))];
  return shape.map((_, i) => (axes.includes(i) ? column[axes.indexOf(i)] : row[kept.indexOf(i)]) as Index);
}

const passes = new Set(["reshape", "transpose", "cast"]);

/** The node below the reshapes, transposes and casts that `n` is. */
function sourceOf(n: Node): Node {
  let at = n;
  while (passes.has(at.op)) at = at.args[0] as Node;
  return at;
}

/** Where an element lies in the node below, and the casts on the way, as text. */
function below(n: Node, index: readonly Index[]): string {
  let at = { arg: n, index };
  const casts: string[] = [];
  for (const source = sourceOf(n); at.arg !== source; ) {
    if (at.arg.op === "cast") casts.push(at.arg.type.dtype);
    [at] = readsOf(at.arg, at.index) as [typeof at];
  }
  return `${casts} ${at.index.map((e) => e.key)}`;
}

export interface Rides {
  /** The graph's nodes in an order in which every rider comes right after its matmul. */
  readonly nodes: readonly Node[];
  readonly productOf: ReadonlyMap<Node, Node>;
}

/** Finds the matmul that each sum can ride with. */
export function findRides(graph: Graph): Rides {
  const products = new Map<Node, Node[]>();
  for (const n of graph.nodes) {
    if (n.op !== "matmul") continue;
    for (const base of new Set(n.args.map(sourceOf))) products.set(base, [...(products.get(base) ?? []), n]);
  }
  const productOf = new Map<Node, Node>();
  const ridersOfProduct = new Map<Node, Node[]>();
  for (const n of graph.nodes) {
    if (n.op !== "sum") continue;
    const product = products
      .get(sourceOf(n.args[0] as Node))
      ?.find((p) => sideOf(n, p) !== undefined && !needs(p, n, productOf));
    if (!product) continue;
    productOf.set(n, product);
    ridersOfProduct.set(product, [...(ridersOfProduct.get(product) ?? []), n]);
  }
  if (productOf.size === 0) return { nodes: graph.nodes, productOf };
  return { nodes: ordered(graph, productOf, ridersOfProduct), productOf };
}

/** Does `from` need `target`, riders being computed with their products? */
function needs(from: Node, target: Node, productOf: ReadonlyMap<Node, Node>): boolean {
  const seen = new Set<Node>();
  const stack = [from];
  for (let n = stack.pop(); n; n = stack.pop()) {
    if (n === target) return true;
    if (seen.has(n)) continue;
    seen.add(n);
    stack.push(...n.args);
    const product = productOf.get(n);
    if (product) stack.push(product);
  }
  return false;
}

function ordered(graph: Graph, productOf: ReadonlyMap<Node, Node>, riders: ReadonlyMap<Node, readonly Node[]>): Node[] {
  const out: Node[] = [];
  const seen = new Set<Node>();
  const visit = (root: Node): void => {
    const stack = [root];
    while (stack.length) {
      const n = stack[stack.length - 1] as Node;
      const product = productOf.get(n);
      // A rider's own operand is its product's too.
      const missing = seen.has(n) ? [] : [...n.args, ...(product ? [product] : [])].filter((a) => !seen.has(a));
      if (missing.length) {
        stack.push(...missing);
        continue;
      }
      stack.pop();
      if (seen.has(n)) continue;
      seen.add(n);
      out.push(n);
      for (const r of riders.get(n) ?? []) visit(r);
    }
  };
  for (const n of graph.nodes) visit(n);
  return out;
}
