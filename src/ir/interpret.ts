import { fail } from "../base/diagnostic.ts";
import { halfRound } from "../base/half.ts";
import { isConcrete, shapeEqual, shapeText } from "./dim.ts";
import { type Graph, GraphBuilder, makeGraph, type Node, type TensorType, typeText } from "./graph.ts";
import { count, forEachIndex, type NDArray, stridesOf } from "./ndarray.ts";
import type { ElementwiseMeaning, IndexAlgebra, ViewMeaning } from "./op.ts";
import { rowOf } from "./ops.ts";

/**
 * The meaning of a graph, computed from the op table in f64: the oracle of every test. Results of dtype f16 are rounded
 * to binary16, those of f32 are not rounded, integers wrap as WGSL's do. Shapes must be concrete.
 * @throws SinterError `missing-input`, `extra-input`, `shape-mismatch`, `dtype-mismatch`, `unbound-dim`.
 */
export function interpret(graph: Graph, inputs: Readonly<Record<string, NDArray>>): Record<string, NDArray> {
  checkInputs(graph, inputs);
  const values = new Map<Node, readonly NDArray[]>();
  const uses = new Map<Node, number>();
  for (const n of graph.nodes) for (const a of n.args) uses.set(a, (uses.get(a) ?? 0) + 1);
  for (const o of graph.outputs) uses.set(o.node, Number.POSITIVE_INFINITY);
  for (const n of graph.nodes) {
    values.set(n, run(n, values, inputs));
    // Dropped after the last use, so that a model's intermediates do not all stay in memory.
    for (const a of n.args) {
      const left = (uses.get(a) as number) - 1;
      uses.set(a, left);
      if (left === 0) values.delete(a);
    }
  }
  return Object.fromEntries(
    graph.outputs.map((o) => [o.name, (values.get(o.node) as readonly NDArray[])[0] as NDArray]),
  );
}

function run(
  n: Node,
  values: Map<Node, readonly NDArray[]>,
  inputs: Readonly<Record<string, NDArray>>,
): readonly NDArray[] {
  if (n.op === "input") return [rounded(inputs[n.attrs.name as string] as NDArray)];
  if (n.op === "result") return [(values.get(n.args[0] as Node) as NDArray[])[n.attrs.index as number] as NDArray];
  return interpretNode(
    n,
    n.args.map((a) => (values.get(a) as NDArray[])[0] as NDArray),
  );
}

/** The results of one node (neither `input` nor `result`) on the values of its arguments. */
export function interpretNode(node: Node, args: readonly NDArray[]): NDArray[] {
  const row = rowOf(node.op);
  const types = node.results ?? [node.type];
  for (const t of types) concreteShape(t, node.op);
  if (row.elementwise) return [elementwise(row.elementwise, node, args)];
  if (row.view) return [view(row.view, node, args[0] as NDArray)];
  if (row.evaluate) return row.evaluate(args, node.attrs, types).map(rounded);
  if (!row.decompose) fail("no-meaning", `op ${node.op} has no CPU meaning`);
  const graph = decomposed(node);
  const out = interpret(graph, Object.fromEntries(args.map((a, i) => [`a${i}`, a])));
  return graph.outputs.map((o) => out[o.name] as NDArray);
}

const memo = new WeakMap<Node, Graph>();

/** A composite node by itself, as the graph of what it decomposes to: inputs a0, a1, …, outputs r0, r1, …. */
export function decomposed(node: Node): Graph {
  const known = memo.get(node);
  if (known) return known;
  const b = new GraphBuilder(node.place);
  const args = node.args.map((a, i) => b.input(`a${i}`, a.type));
  const made = rowOf(node.op).decompose?.(b, args, node.attrs);
  if (!made) return fail("no-decomposition", `op ${node.op} does not decompose`);
  const results = Array.isArray(made) ? (made as readonly Node[]) : b.results(made as Node);
  const graph = makeGraph(
    args,
    results.map((r, i) => ({ name: `r${i}`, node: r })),
  );
  memo.set(node, graph);
  return graph;
}

function elementwise(meaning: ElementwiseMeaning, node: Node, args: readonly NDArray[]): NDArray {
  const shape = concreteShape(node.type, node.op);
  const result = node.type.dtype;
  const dtypes = { args: args.map((a) => a.dtype), result };
  const n = count(shape);
  const data = new Float64Array(n);
  const sources = args.map((a) => a.data);
  const offsets = args.map((a) => broadcastOffsets(a.shape, shape));
  const x = new Array<number>(args.length).fill(0);
  const { attrs } = node;
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < x.length; k++) {
      const at = offsets[k];
      x[k] = (sources[k] as Float64Array)[at ? (at[i] as number) : i] as number;
    }
    data[i] = meaning.cpu(x, dtypes, attrs);
  }
  return rounded({ dtype: result, shape, data });
}

/** For each element of `to`, the linear index of the element of `from` that NumPy broadcasting pairs with it; undefined for equal shapes. */
function broadcastOffsets(from: readonly number[], to: readonly number[]): Int32Array | undefined {
  if (count(from) === count(to)) return undefined;
  const strides = stridesOf(from);
  let offsets = new Int32Array(1);
  for (let axis = 0; axis < to.length; axis++) {
    const own = axis - (to.length - from.length);
    const step = own < 0 || from[own] === 1 ? 0 : (strides[own] as number);
    const size = to[axis] as number;
    const next = new Int32Array(offsets.length * size);
    for (let i = 0, k = 0; i < offsets.length; i++) {
      for (let j = 0; j < size; j++) next[k++] = (offsets[i] as number) + j * step;
    }
    offsets = next;
  }
  return offsets;
}

/** A view's index map in plain numbers. */
export const numberAlgebra: IndexAlgebra<number> = {
  int: (n) => n,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, n) => a * n,
  div: (a, n) => Math.floor(a / n),
  mod: (a, n) => a % n,
  lessThen: (x, n, a, b) => (x < n ? a : b),
};

function view(meaning: ViewMeaning, node: Node, arg: NDArray): NDArray {
  const to = concreteShape(node.type, node.op);
  const { dtype } = node.type;
  if (node.op === "reshape") return { dtype, shape: to, data: arg.data };
  const from = arg.shape;
  const data = new Float64Array(count(to));
  const strides = stridesOf(from);
  const { attrs } = node;
  const padding = node.op === "pad" && attrs.mode === "constant";
  const low = attrs.low as readonly number[];
  const at = { attrs, from, to };
  forEachIndex(to, (index, k) => {
    if (padding) {
      for (let a = 0; a < from.length; a++) {
        const i = (index[a] as number) - (low[a] as number);
        if (i < 0 || i >= (from[a] as number)) {
          data[k] = attrs.value as number;
          return;
        }
      }
    }
    const source = meaning.map(numberAlgebra, index, at);
    let linear = 0;
    for (let a = 0; a < source.length; a++) linear += (source[a] as number) * (strides[a] as number);
    data[k] = arg.data[linear] as number;
  });
  return padding ? rounded({ dtype, shape: to, data }) : { dtype, shape: to, data };
}

/** Rounds the elements of an f16 tensor to binary16; other dtypes pass through. */
function rounded(x: NDArray): NDArray {
  return x.dtype === "f16" ? { ...x, data: x.data.map(halfRound) } : x;
}

function concreteShape(t: TensorType, op: string): readonly number[] {
  if (isConcrete(t.shape)) return t.shape;
  return fail("unbound-dim", `cannot interpret ${op}: its result has the symbolic shape ${shapeText(t.shape)}`, {
    hint: "bind the dims first: bindGraph(graph, { … })",
  });
}

function checkInputs(graph: Graph, inputs: Readonly<Record<string, NDArray>>): void {
  const names = graph.inputs.map((n) => n.attrs.name as string);
  const known = `the graph has ${names.length ? names.join(", ") : "no inputs"}`;
  for (const name of Object.keys(inputs)) {
    if (!names.includes(name)) fail("extra-input", `there is no input named ${JSON.stringify(name)}`, { cause: known });
  }
  graph.inputs.forEach((n, i) => {
    const name = names[i] as string;
    if (!Object.hasOwn(inputs, name))
      fail("missing-input", `input ${JSON.stringify(name)} (${typeText(n.type)}) was not given`);
    const x = inputs[name] as NDArray;
    const text = `input ${JSON.stringify(name)} is ${typeText(n.type)}, but ${typeText(x)} was given`;
    concreteShape(n.type, n.op);
    if (x.dtype !== n.type.dtype) fail("dtype-mismatch", text);
    if (!shapeEqual(x.shape, n.type.shape)) fail("shape-mismatch", text);
    if (x.data.length !== count(x.shape)) {
      fail("shape-mismatch", `input ${JSON.stringify(name)} is ${typeText(x)} but holds ${x.data.length} elements`);
    }
  });
}
