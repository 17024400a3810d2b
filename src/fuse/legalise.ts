import { type Graph, GraphBuilder, makeGraph, type Node, rewriteGraph } from "../ir/graph.ts";
import { separateOperands } from "./own-operands.ts";
import { separatePacks } from "./packs.ts";
import { isAnchor, isStored, storesOf } from "./pull.ts";

/**
 * Brings a graph of primitive rows into the form that kernels are written for: kernels of f16 operands accumulate and
 * finish in f32 with the rounding cast after them, a concat has few enough operands to bind, every argument of a pack has
 * one place, every output is computed by some kernel (an output that is an input becomes a copy), and kernels of the user's
 * have operands of their own. `uniform`: for kernels whose sizes are data.
 */
export function legalise(graph: Graph, bindingLimit: number, uniform = false): Graph {
  const ownKernel = separateOperands(graph, uniform);
  const computed = rewriteGraph(graph, (n, args, b) => {
    if (n.op === "wgsl") return ownKernel(n, args, b);
    if (n.op === "result") return narrowResult(n, args, b);
    // A block that is replaced is only moved.
    const computes = isAnchor(n) && n.op !== "dynamicUpdateSlice";
    if (computes && args.some((a) => a.type.dtype === "f16")) return widen(n, args, b);
    if (n.op === "concat") return nestConcat(n, args, b, Math.max(2, bindingLimit - 2));
    return undefined;
  });
  const g = separatePacks(computed);
  const b = new GraphBuilder();
  return makeGraph(
    g.inputs,
    g.outputs.map((o) => {
      if (storesOf(o.node).every((n) => !isStored(n))) return o;
      b.place = o.node.place;
      return { name: o.name, node: b.add("cast", [o.node], { dtype: o.node.type.dtype }) };
    }),
  );
}

const toFloat = (b: GraphBuilder, n: Node): Node => (n.type.dtype === "f16" ? b.add("cast", [n], { dtype: "f32" }) : n);

function widen(n: Node, args: readonly Node[], b: GraphBuilder): Node {
  const wide = args.map((a) => toFloat(b, a));
  if (n.results && n.op !== "reduce") return b.add(n.op, wide, n.attrs);
  if (n.op !== "reduce") return b.add("cast", [b.add(n.op, wide, n.attrs)], { dtype: "f16" });
  return b.add("reduce", wide, { ...n.attrs, combine: widenGraph(n.attrs.combine as Graph) });
}

/** A result of a widened node gets its f16 rounding back. */
function narrowResult(n: Node, args: readonly Node[], b: GraphBuilder): Node | undefined {
  const wide = b.add("result", args, n.attrs);
  return wide.type.dtype === n.type.dtype ? undefined : b.add("cast", [wide], { dtype: n.type.dtype });
}

function widenGraph(graph: Graph): Graph {
  const b = new GraphBuilder();
  const map = new Map<Node, Node>();
  for (const n of graph.nodes) {
    const attrs = n.attrs.dtype === "f16" ? { ...n.attrs, dtype: "f32" } : n.attrs;
    map.set(
      n,
      b.add(
        n.op,
        n.args.map((a) => map.get(a) as Node),
        attrs,
      ),
    );
  }
  return makeGraph(
    graph.inputs.map((n) => map.get(n) as Node),
    graph.outputs.map((o) => ({ name: o.name, node: map.get(o.node) as Node })),
  );
}

function nestConcat(n: Node, args: readonly Node[], b: GraphBuilder, limit: number): Node | undefined {
  if (args.length <= limit) return undefined;
  const parts: Node[] = [];
  for (let i = 0; i < args.length; i += limit) {
    const part = args.slice(i, i + limit);
    parts.push(part.length === 1 ? (part[0] as Node) : b.add("concat", part, n.attrs));
  }
  return nestConcat(n, parts, b, limit) ?? b.add("concat", parts, n.attrs);
}
