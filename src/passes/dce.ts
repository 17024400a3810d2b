import { type Graph, makeGraph } from "../ir/graph.ts";

/** Dead code elimination: drops the nodes that no output needs. Inputs stay: they are the signature. */
export function eliminateDead(graph: Graph): Graph {
  const live = makeGraph(graph.inputs, graph.outputs);
  return live.nodes.length === graph.nodes.length ? graph : live;
}
