import { SinterError } from "../base/diagnostic.ts";
import type { Graph, GraphBuilder, Node } from "../ir/graph.ts";
import { rowOf } from "../ir/ops.ts";
import { replaceNodes } from "./rewrite.ts";

/**
 * Replaces composites by the simpler rows they are made of, until none is left. Those named in `keep` stay: they have a
 * kernel of their own, which no empty operand reaches.
 */
export function decompose(graph: Graph, options: { keep?: readonly string[] } = {}): Graph {
  const stays = (n: Node): boolean =>
    options.keep?.includes(n.op) === true && !n.args.some((a) => a.type.shape.includes(0));
  for (let out = graph; ; ) {
    const next = replaceNodes(out, (n, args, b) =>
      rowOf(n.op).kind === "composite" && !stays(n) ? replacement(n, args, b) : undefined,
    );
    if (next === out) return out;
    out = next;
  }
}

function replacement(n: Node, args: readonly Node[], b: GraphBuilder): readonly Node[] | undefined {
  try {
    const made = rowOf(n.op).decompose?.(b, args, n.attrs) as Node | readonly Node[];
    return Array.isArray(made) ? (made as readonly Node[]) : b.results(made as Node);
  } catch (e) {
    // Some decompositions need sizes; they wait until the dims are bound.
    if (e instanceof SinterError && e.code === "unbound-dim") return undefined;
    throw e;
  }
}
