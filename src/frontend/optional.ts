import type { GraphBuilder, Node } from "../ir/graph.ts";
import { node, type Tensor, wrap } from "./tensor.ts";

/** Optional tensors after the given arguments; the attribute `has` says which there are, unless they are the first ones. */
export function withOptional(
  op: string,
  b: GraphBuilder,
  args: readonly Node[],
  optional: Readonly<Record<string, Tensor | undefined>>,
  attrs: Readonly<Record<string, unknown>>,
): Tensor {
  const all: Node[] = [...args];
  const has: number[] = [];
  Object.entries(optional).forEach(([name, t], i) => {
    if (t === undefined) return;
    has.push(i);
    all.push(node(op, t, name));
  });
  return wrap(b.add(op, all, has.every((h, i) => h === i) ? attrs : { ...attrs, has }));
}
