import type { Graph, Node } from "../ir/graph.ts";
import { attentionKernels } from "../ir/ops/attention-type.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { replaceNodes } from "./rewrite.ts";

/** Products of fewer rows, columns or terms fill too little of a matrix. */
const leastSide = 16;

/**
 * Leaves the precision `f16x3` to products and attention that are computed so: of f32, large enough, on a device with subgroup matrices. All
 * others become what they are without the attribute, so that nothing else depends on it.
 */
export function halfProducts(graph: Graph, { software, features }: Pick<Capabilities, "software" | "features">): Graph {
  const able = features.subgroupMatrix === true && !software;
  return replaceNodes(graph, (n, args, b) => {
    const { precision, ...others } = n.attrs;
    if (typeof precision !== "string") return undefined;
    const suits = n.op === "matmul" ? isLarge(n) : attentionKernels.includes(n.op) && fillsMatrices(n);
    const stays = precision === "f16x3" && able && n.type.dtype === "f32" && suits;
    return stays ? undefined : [b.add(n.op, args, others)];
  });
}

function isLarge(n: Node): boolean {
  const [m, k] = (n.args[0] as Node).type.shape.slice(-2) as [number, number];
  return Math.min(m, k, n.type.shape.at(-1) as number) >= leastSide;
}

type Sides = [number, number];

/** Attention without a mask, of enough queries and keys, and of features that are whole vectors. */
export function fillsMatrices({ op, args, attrs }: Node): boolean {
  const [q, k, v] = args.map((n) => n.type.shape.slice(-2)) as [Sides, Sides, Sides];
  const masked = {
    attention: args.length > 3,
    attentionStats: args.length > 3,
    attentionGradQuery: (attrs.has as readonly number[] | undefined)?.includes(0),
    attentionGradKeyValue: args.length > 5,
  }[op];
  return !masked && Math.min(q[0], k[0]) >= leastSide && q[1] % 4 === 0 && v[1] % 4 === 0;
}
