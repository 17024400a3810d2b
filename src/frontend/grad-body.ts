import { type Graph, GraphBuilder, type GraphOutput, makeGraph, type Node } from "../ir/graph.ts";
import { isTensor, type Tensor, wrap } from "./tensor.ts";
import { isBranch } from "./tree.ts";

/** The value with every tensor in its trees replaced; what is neither a tensor nor a tree stays as it is. */
function mapTensors(v: unknown, fn: (t: Tensor) => unknown): unknown {
  if (isTensor(v)) return fn(v);
  if (!isBranch(v)) return v;
  if (Array.isArray(v)) return v.map((e) => mapTensors(e, fn));
  return Object.fromEntries(Object.entries(v).map(([key, e]) => [key, mapTensors(e, fn)]));
}

/** The tensors in the trees of a value, in order. */
export function tensorsIn(v: unknown): Tensor[] {
  const out: Tensor[] = [];
  mapTensors(v, (t) => void out.push(t));
  return out;
}

/** The value with its tensors replaced by `tensors`, in order. */
export function withTensors(v: unknown, tensors: readonly Tensor[]): unknown {
  let next = 0;
  return mapTensors(v, () => tensors[next++]);
}

/** Fresh graph inputs of the types of `tensors`: `a0`, `a1`, … for prefix a. */
export const inputsLike = (b: GraphBuilder, prefix: string, tensors: readonly Tensor[]): Tensor[] =>
  tensors.map((t, i) => wrap(b.input(`${prefix}${i}`, t.node.type)));

/** Nodes made from now on have larger ids. */
export const mark = (b: GraphBuilder): number => b.const(0, "f32").id;

/** A function of tensors as it was traced: everything it made is younger than `mark`. */
export interface Body {
  readonly mark: number;
  /** The inputs that stand for its arguments, and others that its results may be made of. */
  readonly args: readonly Node[];
  readonly others?: readonly Node[];
  readonly results: readonly GraphOutput[];
}

/**
 * The function as a graph of its own. What it takes from outside is given to it as further arguments, in the order of
 * `captured`, which grows by it.
 */
export function bodyGraph({ mark, args, others = [], results }: Body, captured: Node[]): Graph {
  const b = new GraphBuilder();
  const now = new Map<Node, Node>([...args, ...others].map((n) => [n, n]));
  const outside = new Map<Node, Node>();
  const lift = (n: Node): Node => {
    const made = outside.get(n) ?? b.input(`a${args.length + outside.size}`, n.type);
    if (!outside.has(n)) outside.set(n, made);
    if (!captured.includes(n)) captured.push(n);
    return made;
  };
  captured.forEach(lift);
  for (const n of makeGraph([], results).nodes) {
    if (now.has(n) || n.id < mark) continue;
    b.place = n.place;
    const own = n.args.map((a) => now.get(a) ?? lift(a));
    now.set(n, own.every((a, i) => a === n.args[i]) ? n : b.add(n.op, own, n.attrs));
  }
  const outputs = results.map((r) => ({ name: r.name, node: now.get(r.node) ?? lift(r.node) }));
  return makeGraph([...args, ...outside.values(), ...others], outputs);
}
