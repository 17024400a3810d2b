import { shapeEqual } from "../ir/dim.ts";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../ir/graph.ts";

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
 * A pass that applies rules bottom-up, at each node until none applies. A right side whose type is not provably that of
 * the left side (symbolic sizes) is not taken.
 */
export function rulePass(rules: readonly Rule[]): (graph: Graph) => Graph {
  const byOp = new Map<string, Rule[]>();
  for (const r of rules) for (const op of r.ops) byOp.set(op, [...(byOp.get(op) ?? []), r]);
  return (graph) => {
    let readers: Map<Node, number> | undefined;
    /** The node of the old graph that a rebuilt node stands for. */
    const origin = new Map<Node, Node>();
    const readersOf = (n: Node): number | undefined => (readers ??= countReaders(graph)).get(n);
    const usedOnce = (n: Node): boolean => readersOf(origin.get(n) ?? n) === 1;
    return replaceNodes(graph, (node, args, b) => {
      const applicable = byOp.get(node.op);
      if (!applicable && args === node.args) return undefined;
      let n = args === node.args ? node : b.add(node.op, args, node.attrs);
      if (n !== node) origin.set(n, node);
      const c: RuleContext = { b, usedOnce };
      let table: readonly Rule[] | undefined = applicable;
      for (let step = 0; table && step < stepLimit; step++) {
        const next = firstMatch(table, n, c);
        if (!next) break;
        n = next;
        // What the rule made is read where the node was; what it found in the graph is read elsewhere too.
        if (readersOf(n) === undefined && !origin.has(n)) origin.set(n, node);
        table = byOp.get(n.op);
      }
      return n === node ? undefined : [n];
    });
  };
}

function firstMatch(rules: readonly Rule[], n: Node, c: RuleContext): Node | undefined {
  for (const r of rules) {
    const made = r.apply(n, c);
    if (made && made !== n && sameType(made, n)) return made;
  }
  return undefined;
}

const sameType = (a: Node, b: Node): boolean =>
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
 * Rebuilds a graph bottom-up. `fn` gets each node but inputs, with its already rewritten arguments (the same array when
 * none changed), and gives its replacement, one tensor for each result or one node with as many, or undefined to keep it. `now` tells what an
 * earlier node has become. Returns the same graph when nothing was replaced.
 */
export function replaceNodes(
  graph: Graph,
  fn: (n: Node, args: readonly Node[], b: GraphBuilder, now: (n: Node) => Node) => readonly Node[] | undefined,
): Graph {
  const b = new GraphBuilder();
  /** Nodes that are no longer themselves. */
  const changed = new Map<Node, Node>();
  const tuples = new Map<Node, readonly Node[]>();
  const now = (n: Node): Node => changed.get(n) ?? n;
  for (const n of graph.nodes) {
    if (n.op === "input") continue;
    const args = changed.size > 0 && n.args.some((a) => changed.has(a)) ? n.args.map(now) : n.args;
    const tuple = n.op === "result" ? tuples.get(n.args[0] as Node) : undefined;
    b.place = n.place;
    const made = tuple ? [tuple[n.attrs.index as number] as Node] : fn(n, args, b, now);
    if (made && n.results && !made[0]?.results) tuples.set(n, made);
    if (made) changed.set(n, made[0] as Node);
    else if (args !== n.args) changed.set(n, b.add(n.op, args, n.attrs));
  }
  if (changed.size === 0) return graph;
  return makeGraph(
    graph.inputs,
    graph.outputs.map((o) => ({ name: o.name, node: now(o.node) })),
  );
}
