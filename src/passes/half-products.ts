import type { Graph, Node } from "../ir/graph.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { replaceNodes } from "./rewrite.ts";

/** Products of fewer rows, columns or terms fill too little of a matrix. */
const leastSide = 16;

/**
 * Leaves the precision `f16x3` to products that are computed so: of f32, large enough, on a device with subgroup matrices. All
 * others become what they are without the attribute, so that nothing else depends on it.
 */
export function halfProducts(graph: Graph, { software, features }: Pick<Capabilities, "software" | "features">): Graph {
  const able = features.subgroupMatrix === true && !software;
  return replaceNodes(graph, (n, args, b) => {
    const { precision, ...others } = n.attrs;
    if (n.op !== "matmul" || typeof precision !== "string") return undefined;
    const stays = precision === "f16x3" && able && n.type.dtype === "f32" && isLarge(n);
    return stays ? undefined : [b.add("matmul", args, others)];
  });
}

function isLarge(n: Node): boolean {
  const [m, k] = (n.args[0] as Node).type.shape.slice(-2) as [number, number];
  return Math.min(m, k, n.type.shape.at(-1) as number) >= leastSide;
}
