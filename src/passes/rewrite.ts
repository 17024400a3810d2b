import { shapeEqual } from "../ir/dim.ts";
import { type Graph, GraphBuilder, makeGraph, type Node, rewriteGraph } from "../ir/graph.ts";

/** What a rule may ask besides the node. */
export interface RuleContext {
  readonly b: GraphBuilder;
  /** Whether nothing but one argument of one node reads it (an output counts as a reader). */
  usedOnce(n: Node): boolean;
}

/** One equation, read from left to right. */
export interface Rule {
  readonly name: string;
  /** The ops at the root of its left side. */
  readonly ops: readonly string[];
  /** The right side, or undefined where the left side does not match. */
  apply(n: Node, c: RuleContext): Node | undefined;
}

/** A rule may enable another at the same node; more steps than this at one node would be a cycle of rules. */
const stepLimit = 32;

/**
 * Applies rules bottom-up, at each node until none applies. A right side whose type is not provably that of the left side
 * (symbolic sizes) is not taken. Returns the same graph when nothing changed.
 */
export function applyRules(graph: Graph, rules: readonly Rule[]): Graph {
  const byOp = new Map<string, Rule[]>();
  for (const r of rules) for (const op of r.ops) byOp.set(op, [...(byOp.get(op) ?? []), r]);
  const readers = countReaders(graph);
  /** The node of the old graph that a rebuilt node stands for. */
  const origin = new Map<Node, Node>();
  let changed = false;
  const out = rewriteGraph(graph, (node, args, b) => {
    let n = node;
    if (args.some((a, i) => a !== node.args[i])) {
      n = b.add(node.op, args, node.attrs);
      origin.set(n, node);
    }
    const c: RuleContext = { b, usedOnce: (x) => readers.get(origin.get(x) ?? x) === 1 };
    for (let step = 0; step < stepLimit; step++) {
      const next = firstMatch(byOp.get(n.op), n, c);
      if (!next) break;
      changed = true;
      n = next;
    }
    return n;
  });
  return changed ? out : graph;
}

function firstMatch(rules: readonly Rule[] | undefined, n: Node, c: RuleContext): Node | undefined {
  for (const r of rules ?? []) {
    const made = r.apply(n, c);
    if (made && made !== n && sameType(made, n)) return made;
  }
  return undefined;
}

export const sameType = (a: Node, b: Node): boolean =>
  a.type.dtype === b.type.dtype &&
  shapeEqual(a.type.shape, b.type.shape) &&
  a.results === undefined &&
  b.results === undefined;

/** How many arguments and outputs read each node. */
export function countReaders(graph: Graph): Map<Node, number> {
  const readers = new Map<Node, number>();
  const read = (n: Node): unknown => readers.set(n, (readers.get(n) ?? 0) + 1);
  for (const n of graph.nodes) n.args.forEach(read);
  for (const o of graph.outputs) read(o.node);
  return readers;
}

/**
 * Rebuilds a graph bottom-up like `rewriteGraph`, where `fn` may also give one tensor for each result of a node with
 * several; undefined keeps the node. `now` gives what a node before it has become. Returns the same graph when nothing
 * was replaced.
 */
export function replaceNodes(
  graph: Graph,
  fn: (n: Node, args: readonly Node[], b: GraphBuilder, now: (n: Node) => Node) => readonly Node[] | undefined,
): Graph {
  const b = new GraphBuilder();
  const map = new Map<Node, Node>();
  const tuples = new Map<Node, readonly Node[]>();
  const now = (n: Node): Node => map.get(n) as Node;
  let changed = false;
  for (const n of graph.nodes) {
    const args = n.args.map(now);
    const tuple = n.op === "result" ? tuples.get(n.args[0] as Node) : undefined;
    b.place = n.place;
    const made = tuple ? [tuple[n.attrs.index as number] as Node] : fn(n, args, b, now);
    if (made) changed = true;
    if (made && n.results) tuples.set(n, made);
    const same = args.every((a, i) => a === n.args[i]);
    map.set(n, made?.[0] ?? (same ? n : b.add(n.op, args, n.attrs)));
  }
  if (!changed) return graph;
  return makeGraph(
    graph.inputs,
    graph.outputs.map((o) => ({ name: o.name, node: now(o.node) })),
  );
}
