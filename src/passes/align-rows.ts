import { type Graph, type GraphBuilder, type Node, usersOf } from "../ir/graph.ts";
import { count } from "../ir/ndarray.ts";
import { sliceAttrs } from "../ir/ops/view.ts";
import { rowOf } from "../ir/ops.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { replaceNodes } from "./rewrite.ts";

/** Rows become multiples of this many elements: whole workgroup tiles, and whole vectors. */
const unit = 64;

export interface AlignOptions {
  /** Shorter rows, and products of fewer elements, stay as they are. */
  readonly leastColumns?: number;
  readonly leastElements?: number;
}

/**
 * Rows of a large product that are no whole number of vectors, the logits of an odd vocabulary for one, are computed a little
 * longer: else every kernel that touches them moves single elements. What is computed from them elementwise is as long; sums and
 * maxima along them leave the added elements out, and products that contract them find zeros there.
 */
export function alignRows(
  graph: Graph,
  { software }: Pick<Capabilities, "software">,
  { leastColumns = 1024, leastElements = 2 ** 20 }: AlignOptions = {},
): Graph {
  if (software) return graph;
  const users = usersOf(graph);
  const outputs = new Set(graph.outputs.map((o) => o.node));
  const isLarge = (n: Node): boolean =>
    lastOf(n) >= leastColumns && count(n.type.shape as readonly number[]) >= leastElements;
  const roots = new Set(graph.nodes.filter((n) => isOdd(n) && isLarge(n) && !reaches(n, outputs, users)));
  if (roots.size === 0) return graph;
  /** The longer form of a node that is a slice of it, and whether its added elements are zeros. */
  const longer = new Map<Node, { readonly node: Node; readonly zeros: boolean }>();

  return replaceNodes(graph, (n, args, b) => {
    const shape = n.type.shape as readonly number[];
    const columns = shape.at(-1) as number;
    const keep = (node: Node, zeros = false): Node[] => {
      const part = b.add("slice", [node], sliceAttrs(node.type.shape, shape.length - 1, 0, columns));
      longer.set(part, { node, zeros });
      return [part];
    };
    if (roots.has(n)) {
      const [a, w] = args as [Node, Node];
      return keep(b.add("matmul", [a, extended(b, w, -1)], n.attrs));
    }
    const [first] = args.flatMap((a) => longer.get(a) ?? []);
    if (!first) return undefined;
    const row = rowOf(n.op);
    const x = args[0] as Node;
    const own = longer.get(x);
    const size = first.node.type.shape.at(-1) as number;
    if (row.elementwise && columns === lengthOf(args, longer)) {
      const wide = args.map((a) => longer.get(a)?.node ?? (lastOf(a) === columns ? extended(b, a, -1) : a));
      const made = b.add(n.op, wide, n.attrs);
      return isContracted(n, users) ? keep(masked(b, made, columns, 0), true) : keep(made);
    }
    if (n.op === "reshape" && own && columns === lastOf(x)) {
      return keep(b.add("reshape", [own.node], { shape: [...shape.slice(0, -1), size] }), own.zeros);
    }
    const axes = n.attrs.axes as readonly number[] | undefined;
    if (row.reduction && own && args.length === 1 && axes?.length === 1 && axes[0] === x.type.shape.length - 1) {
      const identity = row.reduction.identity(x.type.dtype);
      return [b.add(n.op, [masked(b, own.node, lastOf(x), identity)], n.attrs)];
    }
    if (n.op === "matmul" && own) {
      const zeros = own.zeros ? own.node : masked(b, own.node, lastOf(x), 0);
      return [b.add("matmul", [zeros, extended(b, args[1] as Node, -2)], n.attrs)];
    }
    return undefined;
  });
}

const lastOf = (n: Node): number => (n.type.shape.at(-1) as number | undefined) ?? 1;
const lengthOf = (args: readonly Node[], longer: ReadonlyMap<Node, unknown>): number =>
  lastOf(args.find((a) => longer.has(a)) as Node);
const isFloat = (n: Node): boolean => n.type.dtype === "f32" || n.type.dtype === "f16";

const isOdd = (n: Node): boolean => n.op === "matmul" && isFloat(n) && lastOf(n) % 4 !== 0;

/** Would a result of the program have to be copied to leave the added elements out? */
function reaches(n: Node, outputs: ReadonlySet<Node>, users: ReadonlyMap<Node, readonly Node[]>): boolean {
  if (outputs.has(n)) return true;
  const follows = (u: Node): boolean => (rowOf(u.op).elementwise || u.op === "reshape") && lastOf(u) === lastOf(n);
  return (users.get(n) ?? []).some((u) => follows(u) && reaches(u, outputs, users));
}

/** Is its last axis what a product sums over? */
const isContracted = (n: Node, users: ReadonlyMap<Node, readonly Node[]>): boolean =>
  (users.get(n) ?? []).some((u) =>
    u.op === "matmul" ? u.args[0] === n : u.op === "reshape" && lastOf(u) === lastOf(n) && isContracted(u, users),
  );

/** The node with one axis, counted from the end, as long as rows become; the last elements are repeated. */
function extended(b: GraphBuilder, n: Node, axis: -1 | -2): Node {
  const shape = n.type.shape as readonly number[];
  const at = shape.length + axis;
  const size = shape[at] as number;
  const none = shape.map(() => 0);
  const missing = Math.ceil(size / unit) * unit - size;
  return b.add("pad", [n], { low: none, high: none.map((_, i) => (i === at ? missing : 0)), mode: "edge", value: 0 });
}

/** The node with another value in place of the elements of its rows from `columns` on. */
function masked(b: GraphBuilder, n: Node, columns: number, value: number): Node {
  const place = b.add("iota", [], { axis: 0, dtype: "i32", shape: [lastOf(n)] });
  const inside = b.add("less", [place, b.const(columns, "i32")]);
  return b.add("where", [inside, n, b.const(value, n.type.dtype)]);
}
