import { type Graph, GraphBuilder, makeGraph, type Node, usersOf } from "../ir/graph.ts";
import { rowOf } from "../ir/ops.ts";
import { bytesOf, isStored, widensHalf } from "./pull.ts";

/** A program in two parts: what depends on constants and weights alone runs once at load, the rest every time. */
export interface Parts {
  /** Computes `setup.0`, `setup.1`, … from the weights; without outputs when there is nothing to prepare. */
  readonly setup: Graph;
  /** The rest, with an input of role `weight` for every prepared tensor. */
  readonly main: Graph;
}

/**
 * A mere permutation of a weight that the program also reads as it is (an embedding tied to the output projection):
 * a second copy of it would cost more memory than reading it permuted costs time.
 */
function isReorderedTwin(n: Node, users: ReadonlyMap<Node, readonly Node[]>): boolean {
  let at = n;
  while (rowOf(at.op).kind === "view" && at.args.length === 1) at = at.args[0] as Node;
  return at !== n && isStored(at) && (users.get(at)?.length ?? 0) > 1;
}

const free = new Set(["const", "iota", "segments", "reshape", "expand", "slice", "recompute", "window", "pack"]);

/** Costs nothing where it is read. What follows segments spreads a number over each: stored, it would be as large as all of them. */
const isFree = (n: Node): boolean => free.has(n.op) || n.args.some((a) => a.op === "segments");

/** What is so many times larger than what it comes from is computed where it is read: a table looked up for every parameter. */
const growth = 16;

export interface SetupOptions {
  /**
   * Whether a product reads each element of its matrix once, and is bound by that: then a matrix is not prepared where that makes
   * it larger (quantised weights), nor for its order alone. None by default.
   */
  readonly readsOnce?: (product: Node) => boolean;
}

export function splitSetup(graph: Graph, { readsOnce = () => false }: SetupOptions = {}): Parts {
  const fixed = new Set<Node>();
  const worth = new Set<Node>();
  /** Bytes of the weights and literals that a fixed node comes from, those it comes from twice counted twice. */
  const origin = new Map<Node, number>();
  for (const n of graph.nodes) {
    const leaf = n.op === "input" ? n.attrs.role === "weight" : n.args.length === 0;
    if (!leaf && (n.args.length === 0 || !n.args.every((a) => fixed.has(a)))) continue;
    fixed.add(n);
    origin.set(n, leaf && isStored(n) ? bytesOf(n) : n.args.reduce((sum, a) => sum + (origin.get(a) as number), 0));
    const work = !isStored(n) && !isFree(n);
    const views = rowOf(n.op).kind === "view" || isFree(n);
    // Something was computed, and from a weight or a literal rather than from nothing.
    if ((work && n.args.some((a) => !isFree(a) || worth.has(a))) || (views && n.args.some((a) => worth.has(a))))
      worth.add(n);
  }
  const users = usersOf(graph);
  const roots = new Set<Node>();
  const outputs = new Set(graph.outputs.map((o) => o.node));
  for (const n of worth) {
    if (
      isReorderedTwin(n, users) ||
      n.results ||
      outputs.has(n) ||
      bytesOf(n) > growth * (origin.get(n) as number) ||
      !users.get(n)?.some((u) => !fixed.has(u) || outputs.has(u))
    )
      continue;
    const readers = (users.get(n) ?? []).filter((u) => !fixed.has(u));
    const once = readers.length > 0 && readers.every((u) => u.args[0] !== n && readsOnce(u)) && !outputs.has(n);
    const passes = (x: Node): boolean => isFree(x) || (once && (widensHalf(x) || x.op === "transpose"));
    let at = n;
    // Store before the view that only repeats or relabels elements.
    while (passes(at) && worth.has(at.args[0] as Node)) at = at.args[0] as Node;
    if (once && (at.op === "transpose" || bytesOf(at) > (origin.get(at) as number))) continue;
    roots.add(at);
  }
  const named = [...roots].map((node, i) => ({ name: `setup.${i}`, node }));
  if (named.length === 0) return { setup: makeGraph([], []), main: graph };

  const b = new GraphBuilder();
  const map = new Map<Node, Node>(named.map((o) => [o.node, b.input(o.name, o.node.type, "weight")]));
  const prepared = [...map.values()];
  for (const n of graph.nodes) {
    if (map.has(n)) continue;
    const args = n.args.map((a) => map.get(a) as Node);
    b.place = n.place;
    map.set(n, args.every((a, i) => a === n.args[i]) ? n : b.add(n.op, args, n.attrs));
  }
  return {
    setup: makeGraph(
      graph.inputs.filter((n) => n.attrs.role === "weight"),
      named,
    ),
    main: makeGraph(
      [...graph.inputs, ...prepared],
      graph.outputs.map((o) => ({ name: o.name, node: map.get(o.node) as Node })),
    ),
  };
}
