import { isConcrete } from "../ir/dim.ts";
import type { Graph, GraphBuilder, Node } from "../ir/graph.ts";
import { interpretNode } from "../ir/interpret.ts";
import { count, type NDArray, ndarray } from "../ir/ndarray.ts";
import { rowOf } from "../ir/ops.ts";
import { replaceNodes } from "./rewrite.ts";

/** Results with more elements stay computed: they would cost more to store and send than to compute. */
const largest = 65_536;

/** Computes nodes whose arguments are all constants, rounding to their dtypes. A tensor of one value stays a `const`. */
export function foldConstants(graph: Graph): Graph {
  return replaceNodes(graph, (node, args, b) => {
    if (node.op === "literal") return splat(b, node);
    const made = args.length && args.every(isData) ? fold(b, node, args) : undefined;
    return made && [made];
  });
}

const isData = (n: Node): boolean => n.op === "const" || n.op === "literal";

function fold(b: GraphBuilder, node: Node, args: readonly Node[]): Node | undefined {
  const { dtype, shape } = node.type;
  if (node.results || !isConcrete(shape)) return undefined;
  if (rowOf(node.op).elementwise && args.every((a) => a.op === "const")) {
    const scalars = args.map((a) => b.const(a.attrs.value as number, a.type.dtype));
    const [value] = evaluate(b.add(node.op, scalars, node.attrs), scalars).data;
    return b.const(value as number, dtype, shape);
  }
  const size = count(shape);
  const given = args.reduce((n, a) => n + (isConcrete(a.type.shape) ? count(a.type.shape) : largest), 0);
  // A view that repeats elements is cheaper as a view.
  if (size > largest || given > 16 * largest || (rowOf(node.op).kind === "view" && size > given)) return undefined;
  const copy = b.add(node.op, args, node.attrs);
  return constant(b, evaluate(copy, args));
}

function evaluate(node: Node, args: readonly Node[]): NDArray {
  const [value] = interpretNode(
    node,
    args.map((a) => interpretNode(a, [])[0] as NDArray),
  );
  const { dtype, shape, data } = value as NDArray;
  return dtype === "f32" ? ndarray(dtype, shape, data.map(Math.fround)) : (value as NDArray);
}

function constant(b: GraphBuilder, { dtype, shape, data }: NDArray): Node {
  const value = data[0] ?? 0;
  if (data.every((x) => Object.is(x, value))) return b.const(value, dtype, shape);
  return b.add("literal", [], { data, dtype, shape });
}

/** A literal of one value repeated, as a `const`. */
function splat(b: GraphBuilder, node: Node): [Node] | undefined {
  const data = node.attrs.data as ArrayLike<number>;
  const value = data[0] ?? 0;
  for (let i = 1; i < data.length; i++) if (!Object.is(data[i], value)) return undefined;
  return [b.const(value, node.type.dtype, node.type.shape)];
}
