import { fail, type Place, SinterError } from "../base/diagnostic.ts";
import type { DType } from "../base/dtype.ts";
import { bindDeep, type Dim, dimNames, type Shape, shapeText } from "./dim.ts";
import { rowOf } from "./ops.ts";

/** dtype and shape of one tensor. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

export const typeText = (t: TensorType): string => `${t.dtype}${shapeText(t.shape)}`;

/** Attributes are plain data: numbers, strings, booleans, dims, arrays of these, dense data and sub-graphs. */
export type Attrs = Readonly<Record<string, unknown>>;

/**
 * One operation of the SSA graph. Nodes are immutable; `op` names a row of the op table. Most nodes have one result,
 * `type`. A node with several has `results` (then `type` is `results[0]`) and is used through `result` nodes only.
 */
export interface Node {
  readonly id: number;
  readonly op: string;
  readonly args: readonly Node[];
  readonly attrs: Attrs;
  readonly type: TensorType;
  readonly results?: readonly TensorType[];
  readonly place?: Place;
}

export interface GraphOutput {
  readonly name: string;
  readonly node: Node;
}

/** `inputs` are `input` nodes in signature order; `nodes` is every node reachable from the outputs or listed as input, in topological order. */
export interface Graph {
  readonly inputs: readonly Node[];
  readonly outputs: readonly GraphOutput[];
  readonly nodes: readonly Node[];
}

/**
 * What a graph input is to the runtime: `data` changes every run, `weight` is given once at load, `state` is given at
 * load and replaced by the output of the same name after each run.
 */
export type InputRole = "data" | "weight" | "state";

/** Whether the value of an attribute is a graph. */
export const isGraph = (v: unknown): v is Graph =>
  typeof v === "object" && v !== null && "inputs" in v && "outputs" in v && "nodes" in v;

let nextId = 1;

/** Makes nodes: looks up the row, infers the result types and attaches the current place. */
export class GraphBuilder {
  /** The user's call that nodes made from now on belong to. */
  place: Place | undefined;

  constructor(place?: Place) {
    this.place = place;
  }

  /**
   * A node of row `op`. Elementwise rows broadcast their arguments as NumPy does; dtypes are never promoted.
   * @throws SinterError with the builder's place when the row refuses the arguments.
   */
  add(op: string, args: readonly Node[], attrs: Attrs = {}): Node {
    const row = rowOf(op);
    let types: TensorType | readonly TensorType[];
    try {
      for (const a of args) {
        if (a.results && op !== "result")
          fail("tuple-argument", `${op} takes tensors, but an argument of it has ${a.results.length} results`);
      }
      types = row.infer(op === "result" ? ((args[0] as Node).results ?? []) : args.map((a) => a.type), attrs);
    } catch (e) {
      if (e instanceof SinterError && this.place && !e.diagnostic.place) {
        throw new SinterError({ ...e.diagnostic, place: this.place }, { cause: e });
      }
      throw e;
    }
    const place = this.place ? { place: this.place } : {};
    if (Array.isArray(types)) {
      const results = types as readonly TensorType[];
      return { id: nextId++, op, args, attrs, type: results[0] as TensorType, results, ...place };
    }
    return { id: nextId++, op, args, attrs, type: types as TensorType, ...place };
  }

  input(name: string, type: TensorType, role: InputRole = "data"): Node {
    return this.add("input", [], { name, dtype: type.dtype, shape: type.shape, role });
  }

  /** A tensor filled with one value. */
  const(value: number, dtype: DType, shape: Shape = []): Node {
    return this.add("const", [], { value, dtype, shape });
  }

  /** The results of a node as tensors: itself, or one `result` node for each. */
  results(node: Node): Node[] {
    return node.results ? node.results.map((_, index) => this.add("result", [node], { index })) : [node];
  }
}

/** A graph from its inputs and outputs; the node list is every reachable node in topological order. */
export function makeGraph(inputs: readonly Node[], outputs: readonly GraphOutput[]): Graph {
  const nodes: Node[] = [];
  const seen = new Set<Node>();
  // An explicit stack: graphs of tens of thousands of nodes overflow the call stack.
  const visit = (root: Node): void => {
    const stack: { node: Node; next: number }[] = [{ node: root, next: 0 }];
    while (stack.length) {
      const top = stack[stack.length - 1] as { node: Node; next: number };
      if (seen.has(top.node)) {
        stack.pop();
        continue;
      }
      const arg = top.node.args[top.next++];
      if (arg) {
        if (!seen.has(arg)) stack.push({ node: arg, next: 0 });
      } else {
        seen.add(top.node);
        nodes.push(top.node);
        stack.pop();
      }
    }
  };
  for (const n of inputs) visit(n);
  for (const o of outputs) visit(o.node);
  return { inputs, outputs, nodes };
}

/**
 * Rebuilds a graph bottom-up. `fn` gets each non-input node and its already rewritten arguments and returns the
 * replacement, or undefined to keep the node (rebuilt only if an argument changed). The replacement of a node with
 * several results must have as many.
 */
export function rewriteGraph(
  graph: Graph,
  fn: (node: Node, args: readonly Node[], b: GraphBuilder) => Node | undefined,
): Graph {
  const map = new Map<Node, Node>();
  const b = new GraphBuilder();
  for (const node of graph.nodes) {
    if (node.op === "input") {
      map.set(node, node);
      continue;
    }
    const args = node.args.map((a) => map.get(a) as Node);
    b.place = node.place;
    const made = fn(node, args, b);
    const same = args.every((a, i) => a === node.args[i]);
    map.set(node, made ?? (same ? node : b.add(node.op, args, node.attrs)));
  }
  return makeGraph(
    graph.inputs,
    graph.outputs.map((o) => ({ name: o.name, node: map.get(o.node) as Node })),
  );
}

/** Nodes that read each node, in topological order. */
export function usersOf(graph: Graph): Map<Node, Node[]> {
  const users = new Map<Node, Node[]>(graph.nodes.map((n) => [n, []]));
  for (const n of graph.nodes) for (const a of new Set(n.args)) users.get(a)?.push(n);
  return users;
}

/** The named dims of a graph's inputs with their hints. */
export function graphDims(graph: Graph): Map<string, number> {
  const names = new Map<string, number>();
  const walk = (v: unknown): void => {
    if (v === null || typeof v !== "object" || ArrayBuffer.isView(v)) return;
    if (isGraph(v)) each(v);
    else if ("dim" in v && typeof v.dim === "string") dimNames(v as Dim, names);
    else for (const x of Object.values(v)) walk(x);
  };
  const each = (g: Graph): void => {
    for (const n of g.nodes) {
      walk(n.type.shape);
      walk(n.attrs);
    }
  };
  each(graph);
  return names;
}

/** The same graph with named dims replaced by sizes; every type is inferred again, so what was unprovable symbolically is checked now. */
export function bindGraph(graph: Graph, dims: Readonly<Record<string, number>>): Graph {
  const b = new GraphBuilder();
  const map = new Map<Node, Node>();
  for (const n of graph.nodes) {
    b.place = n.place;
    map.set(
      n,
      b.add(
        n.op,
        n.args.map((a) => map.get(a) as Node),
        bindAttrs(n.attrs, dims),
      ),
    );
  }
  return makeGraph(
    graph.inputs.map((n) => map.get(n) as Node),
    graph.outputs.map((o) => ({ name: o.name, node: map.get(o.node) as Node })),
  );
}

const bindAttrs = (attrs: Attrs, dims: Readonly<Record<string, number>>): Attrs =>
  Object.fromEntries(
    Object.entries(attrs).map(([name, v]) => [name, isGraph(v) ? bindGraph(v, dims) : bindDeep(v, dims)]),
  );
