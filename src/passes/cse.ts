import { type Graph, type Node, rewriteGraph } from "../ir/graph.ts";
import { rowOf } from "../ir/ops.ts";
import { attrsText } from "../ir/print.ts";

/** Common subexpression elimination: nodes of one op with the same arguments and attributes become one. */
export function eliminateCommon(graph: Graph): Graph {
  const seen = new Map<string, Node>();
  return replaceNodes(graph, (node, args, b) => {
    const key = keyOf(node, args);
    const twin = seen.get(key);
    if (twin) return [twin];
    const kept = args === node.args || node.results ? node : b.add(node.op, args, node.attrs);
    seen.set(key, kept);
    return kept === node ? undefined : [kept];
  });
}

const largeData = 1024;
const dataIds = new WeakMap<object, number>();
let nextDataId = 0;

function keyOf(node: Node, args: readonly Node[]): string {
  const ids = args.map((a) => a.id);
  if (rowOf(node.op).flags?.commutative) ids.sort((x, y) => x - y);
  const data = node.attrs.data as ArrayLike<number> | undefined;
  if (data === undefined || data.length <= largeData) return `${node.op} ${ids} ${attrsText(node.op, node.attrs)}`;
  // Large data is the same only where it is the same array: comparing texts would cost more than it finds.
  if (!dataIds.has(data)) dataIds.set(data, nextDataId++);
  return `${node.op} #${dataIds.get(data)} ${attrsText(node.op, { ...node.attrs, data: undefined })}`;
}
