import type { DType } from "../base/dtype.ts";
import type { Graph, Node } from "../ir/graph.ts";
import { rowOf } from "../ir/ops.ts";
import type { Emitter, Value } from "./emitter.ts";

/** How a reduction's state is started, extended and merged; one entry of `dtypes` per state component. */
export interface Accumulator {
  readonly node: Node;
  readonly dtypes: readonly DType[];
  readonly identity: readonly number[];
  /** May elements be combined in any order? A user's combine is only associative. */
  readonly ordered: boolean;
  /** A row whose combine is `add`, for the subgroup variant. */
  readonly isSum: boolean;
  combine(e: Emitter, a: readonly Value[], b: readonly Value[]): Value[];
}

export function accumulatorOf(node: Node): Accumulator {
  const simple = rowOf(node.op).reduction;
  const dtypes = (node.results ?? [node.type]).map((t) => t.dtype);
  if (simple) {
    const dtype = dtypes[0] as DType;
    return {
      node,
      dtypes,
      identity: [simple.identity(dtype)],
      ordered: false,
      isSum: simple.combine === "add",
      combine: (e, [a], [b]) => [e.apply(simple.combine, [a as Value, b as Value], dtype)],
    };
  }
  const graph = node.attrs.combine as Graph;
  return {
    node,
    dtypes,
    identity: node.attrs.identity as number[],
    ordered: true,
    isSum: false,
    combine: (e, a, b) =>
      e.scalarGraph(
        graph,
        Object.fromEntries([...a.map((v, i) => [`a${i}`, v] as const), ...b.map((v, i) => [`b${i}`, v] as const)]),
      ),
  };
}
