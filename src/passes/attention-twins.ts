import type { Graph, Node } from "../ir/graph.ts";
import { attrsText } from "../ir/print.ts";
import { replaceNodes } from "./rewrite.ts";

/**
 * An `attention` whose `attentionStats` is in the graph too, as it is where a gradient was taken, becomes the first result
 * of one: once equal nodes are one, the forward pass runs once. Equal arguments are one node by now.
 */
export function mergeAttentionTwins(graph: Graph): Graph {
  const stats = new Map<string, Node>();
  for (const n of graph.nodes) if (n.op === "attentionStats") stats.set(keyOf(n), n);
  if (stats.size === 0) return graph;
  return replaceNodes(graph, (n, args, b) => {
    const twin = n.op === "attention" ? stats.get(keyOf(n)) : undefined;
    return twin && [b.add("result", [b.add("attentionStats", args, twin.attrs)], { index: 0 })];
  });
}

const keyOf = (n: Node): string => `${n.args.map((a) => a.id).join()} ${attrsText("attention", n.attrs)}`;
