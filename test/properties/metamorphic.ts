import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { rowOf } from "../../src/ir/ops.ts";
import { randomOf } from "../support/values.ts";

/** Something that changes a graph and not its meaning: gives a node that means the same as `made`, or undefined. */
export type Relation = (b: GraphBuilder, made: Node, random: () => number) => Node | undefined;

const shapeOf = (x: Node): readonly number[] => x.type.shape as readonly number[];
const isFloat = (x: Node): boolean => x.type.dtype === "f32" || x.type.dtype === "f16";
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

function shuffled(n: number, random: () => number): number[] {
  const out = range(n);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j] as number, out[i] as number];
  }
  return out;
}

export const relations: Readonly<Record<string, Relation>> = {
  "x + 0": (b, x) => (x.type.dtype === "bool" ? undefined : b.add("add", [x, b.const(0, x.type.dtype)])),
  "x * 1": (b, x) => (x.type.dtype === "bool" ? undefined : b.add("mul", [x, b.const(1, x.type.dtype)])),
  "double transpose": (b, x, random) => {
    const perm = shuffled(shapeOf(x).length, random);
    if (perm.length < 2) return undefined;
    return b.add("transpose", [b.add("transpose", [x], { perm })], { perm: perm.map((_, i) => perm.indexOf(i)) });
  },
  "split and concat": (b, x, random) => {
    const axis = Math.floor(random() * shapeOf(x).length);
    const n = shapeOf(x)[axis];
    if (!n) return undefined;
    const cut = Math.floor(random() * (n + 1));
    return b.add("concat", b.results(b.add("split", [x], { axis, sizes: [cut, n - cut] })), { axis });
  },
  "flat and back": (b, x) => {
    const size = shapeOf(x).reduce((p, d) => p * d, 1);
    return b.add("reshape", [b.add("reshape", [x], { shape: [size] })], { shape: shapeOf(x) });
  },
  "pad and slice": (b, x) => {
    if (shapeOf(x).length === 0) return undefined;
    const ones = shapeOf(x).map(() => 1);
    const padded = b.add("pad", [x], { low: ones, high: ones, mode: "constant", value: isFloat(x) ? 7 : 1 });
    return b.add("slice", [padded], { starts: ones, steps: ones, sizes: shapeOf(x) });
  },
  "the same op twice": (b, x) => {
    if (x.args.length === 0 || x.results || x.op === "result") return undefined;
    const twin = b.add(x.op, x.args, x.attrs);
    return x.type.dtype === "bool" ? b.add("and", [x, twin]) : b.add("max", [x, twin]);
  },
  "arguments swapped": (b, x) =>
    rowOf(x.op).flags?.commutative && x.args.length === 2 ? b.add(x.op, [...x.args].reverse(), x.attrs) : undefined,
};

/** The graph with a relation applied to about half of its nodes, and its outputs in reverse order. */
export function transformed(graph: Graph, relation: Relation, seed: number): Graph {
  const random = randomOf(seed);
  const b = new GraphBuilder();
  const map = new Map<Node, Node>();
  for (const n of graph.nodes) {
    const args = n.args.map((a) => map.get(a) as Node);
    const same = n.op === "input" || args.every((a, i) => a === n.args[i]);
    const made = same ? n : b.add(n.op, args, n.attrs);
    map.set(n, (made.results || random() < 0.5 ? undefined : relation(b, made, random)) ?? made);
  }
  const outputs = graph.outputs.map((o) => ({ name: o.name, node: map.get(o.node) as Node }));
  return makeGraph(graph.inputs, outputs.reverse());
}
