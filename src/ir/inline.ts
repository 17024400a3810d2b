import type { Graph, GraphBuilder, Node } from "./graph.ts";
import { inPhase, phaseAt } from "./phase.ts";

/** The results of a graph on these arguments, one for each of its inputs, as nodes of another graph. */
export function inline(b: GraphBuilder, graph: Graph, args: readonly Node[]): Node[] {
  const { place } = b;
  const phase = phaseAt(place);
  const now = new Map(graph.inputs.map((n, i) => [n, args[i] as Node]));
  for (const n of graph.nodes) {
    if (now.has(n)) continue;
    b.place = phase ? inPhase(phase, n.place ?? place) : (n.place ?? place);
    now.set(
      n,
      b.add(
        n.op,
        n.args.map((a) => now.get(a) as Node),
        n.attrs,
      ),
    );
  }
  b.place = place;
  return graph.outputs.map((o) => now.get(o.node) as Node);
}
