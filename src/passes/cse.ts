import type { Attrs, Graph, Node } from "../ir/graph.ts";
import { rowOf } from "../ir/ops.ts";
import { attrsText } from "../ir/print.ts";
import { replaceNodes } from "./rewrite.ts";

/** Common subexpression elimination: nodes of one op with the same arguments and attributes become one. */
export function eliminateCommon(graph: Graph): Graph {
  const seen = new Map<string, Node>();
  return replaceNodes(graph, (node, args, b) => {
    const key = keyOf(node, args);
    const twin = seen.get(key);
    if (twin) return [twin];
    const kept = args === node.args ? node : b.add(node.op, args, node.attrs);
    seen.set(key, kept);
    return kept === node ? undefined : [kept];
  });
}

function keyOf(node: Node, args: readonly Node[]): string {
  const ids = args.map((a) => a.id);
  if (rowOf(node.op).flags?.commutative) ids.sort((x, y) => x - y);
  return `${node.op} ${ids} ${attrsKey(node.op, node.attrs)}`;
}

/** Attributes are immutable and shared by the copies of a node, so their text is made once. */
const texts = new WeakMap<Attrs, string>();

const largeData = 1024;
const dataIds = new WeakMap<object, number>();
let nextDataId = 0;

function attrsKey(op: string, attrs: Attrs): string {
  const known = texts.get(attrs);
  if (known !== undefined) return known;
  let text = "";
  const data = attrs.data as ArrayLike<number> | undefined;
  if (data === undefined || data.length <= largeData) text = attrsText(op, attrs);
  else {
    // Large data is the same only where it is the same array: comparing texts would cost more than it finds.
    if (!dataIds.has(data)) dataIds.set(data, nextDataId++);
    text = `#${dataIds.get(data)} ${attrsText(op, { ...attrs, data: undefined })}`;
  }
  texts.set(attrs, text);
  return text;
}
