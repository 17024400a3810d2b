import { shapeEqual } from "../dim.ts";
import type { Graph, GraphBuilder, Node } from "../graph.ts";
import { inline } from "../inline.ts";

/** A combine graph applied to whole tensors of states, element by element. Results that do not depend on them are expanded. */
export function combineStates(b: GraphBuilder, combine: Graph, left: readonly Node[], right: readonly Node[]): Node[] {
  const { shape } = (left[0] as Node).type;
  const args = combine.inputs.map((n) => {
    const name = n.attrs.name as string;
    return (name.startsWith("a") ? left : right)[Number(name.slice(1))] as Node;
  });
  const made = inline(b, combine, args);
  const out: Node[] = [];
  combine.outputs.forEach((o, i) => {
    const r = made[i] as Node;
    out[Number(o.name.slice(1))] = shapeEqual(r.type.shape, shape) ? r : b.add("expand", [r], { shape });
  });
  return out;
}
