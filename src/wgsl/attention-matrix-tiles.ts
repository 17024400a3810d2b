import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { gradOperands } from "./attention-grad.ts";
import { matrixGradBytes, writeGradMatrix } from "./attention-grad-matrix.ts";
import { matrixAttentionBytes, writeAttentionMatrix } from "./attention-matrix.ts";
import { divisionName, type MatrixAttention, padded, threadsOf, unit } from "./attention-matrix-parts.ts";
import { type Sizes, sizesOf } from "./attention-parts.ts";
import { type Candidate, distinct } from "./candidate.ts";
import { halfOperand } from "./contraction-matrix-stage.ts";

interface Division extends MatrixAttention {
  /** Padded depths for which it is: what is kept for each feature must stay in registers. */
  readonly deeper?: number;
  readonly deepest: number;
  /** Workgroups that it must give the device to be taken without measurements. */
  readonly enough: number;
}

/**
 * From large to small: large ones read less, small ones give more workgroups. Most need so little workgroup memory that several
 * workgroups run on a multiprocessor at once. Those of one subgroup for own positions are for depths that more cannot share.
 */
const divisions: Readonly<Record<string, readonly Division[]>> = {
  forward: [
    { own: 128, other: 32, each: 32, deepest: 64, enough: 1024 },
    { own: 64, other: 32, each: 32, by: 2, deepest: 128, enough: 256 },
    { own: 64, other: 32, each: 16, deepest: 128, enough: 256 },
    { own: 16, other: 64, each: 16, by: 4, deepest: 128, enough: 0 },
    { own: 16, other: 64, each: 16, deepest: 128, enough: 0 },
  ],
  attentionGradQuery: [
    { own: 64, other: 32, each: 16, deepest: 128, enough: 256 },
    { own: 16, other: 64, each: 16, by: 4, deepest: 128, enough: 0 },
    { own: 32, other: 64, each: 16, deepest: 64, enough: 0 },
    { own: 32, other: 32, each: 16, deepest: 128, enough: 0 },
  ],
  attentionGradKeyValue: [
    { own: 64, other: 32, each: 32, by: 2, deepest: 64, enough: 1024 },
    { own: 32, other: 32, each: 16, by: 2, deepest: 128, enough: 300 },
    { own: 16, other: 64, each: 16, by: 4, deepest: 64, enough: 0 },
    { own: 32, other: 32, each: 16, by: 2, deeper: 64, deepest: 128, enough: 0 },
    { own: 64, other: 32, each: 16, deepest: 64, enough: 256 },
    { own: 32, other: 32, each: 16, deepest: 128, enough: 0 },
  ],
};

const nameOf = ({ op }: Node, t: MatrixAttention): string => {
  const what = { attentionGradQuery: "attention_grad_query", attentionGradKeyValue: "attention_grad_key_value" }[op];
  return `${what ?? "attention"}_${divisionName(t)}`;
};

/** The operands of a kernel that multiplies halves, or undefined where it cannot do what the row asks for. */
function operandsOf(node: Node): readonly Node[] | undefined {
  if (node.op === "attention" || node.op === "attentionStats")
    return node.args.length === 3 ? node.args.slice(0, 3) : undefined;
  const { q, k, v, dout, mask, out } = gradOperands(node);
  if (mask || (node.op === "attentionGradQuery" && !out)) return undefined;
  return [q, k, v, dout];
}

/**
 * Ways to compute attention of halves by subgroup matrices: on devices that have them, in texts for known sizes, without a mask,
 * for depths of whole vectors and lengths that fill half of a tile.
 */
export function matrixAttentions(region: Region, capabilities: Capabilities): readonly Candidate[] {
  if (!capabilities.features.subgroupMatrix || capabilities.software || region.uniform) return [];
  const node = region.anchors[0] as Node;
  const s: Sizes = sizesOf(node);
  const operands = operandsOf(node);
  if (!operands?.every((n) => halfOperand(region, n))) return [];
  if (s.depth % 4 || s.valueDepth % 4 || Math.min(s.rows, s.keys) < 16) return [];
  const forward = node.op === "attention" || node.op === "attentionStats";
  const [write, bytes] = forward
    ? ([writeAttentionMatrix, matrixAttentionBytes] as const)
    : ([writeGradMatrix, matrixGradBytes] as const);
  const deepest = Math.max(padded(s.depth), padded(s.valueDepth));
  const fits = (t: Division): boolean =>
    deepest > (t.deeper ?? 0) &&
    deepest <= t.deepest &&
    [s.depth, s.valueDepth].every((d) => (padded(d) / unit) % (t.by ?? 1) === 0) &&
    bytes(s, t) <= capabilities.limits.maxComputeWorkgroupStorageSize &&
    threadsOf(t) <= capabilities.limits.maxComputeInvocationsPerWorkgroup;
  const usable = (divisions[forward ? "forward" : node.op] ?? []).filter(fits);
  const enough = usable.filter((t) => groupsOf(s, t, node.op !== "attentionGradKeyValue") >= t.enough);
  return distinct(
    [...enough, ...usable].map((t) => ({ name: nameOf(node, t), write: () => write(region, capabilities, t) })),
  );
}

function groupsOf(s: Sizes, t: Division, queries: boolean): number {
  const heads = (queries ? s.lead : s.keyLead).reduce((p, d) => p * d, 1);
  return Math.ceil((queries ? s.rows : s.keys) / t.own) * heads;
}
