import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { writeAttentionBlock } from "./attention-block.ts";
import { blockBytes, side } from "./attention-block-parts.ts";
import { gradOperands } from "./attention-grad.ts";
import { writeGradBlock } from "./attention-grad-block.ts";
import { type Sizes, sizesOf } from "./attention-parts.ts";
import type { Candidate } from "./candidate.ts";

/** Workgroups that the tile must give to be taken without measurements, where no head is deeper than 64 and where one is. */
const enough = { shallow: 160, deep: 96 };

/** How a row is computed by tiles of 64 × 64, and whether that is taken without measurements. */
export interface BlockCandidate extends Candidate {
  readonly preferred: boolean;
}

/** By tiles of 64 × 64 without a mask, where features fill most of what the invocations have registers for. */
export function blockAttention(region: Region, capabilities: Capabilities): BlockCandidate | undefined {
  if (capabilities.software || region.uniform) return undefined;
  const node = region.anchors[0] as Node;
  const s = sizesOf(node);
  const forward = node.op === "attention" || node.op === "attentionStats";
  const [least, most] = [Math.min(s.depth, s.valueDepth), Math.max(s.depth, s.valueDepth)];
  const fits =
    unmasked(node, forward) &&
    least % 4 === 0 &&
    most % 4 === 0 &&
    most <= 128 &&
    (most > 64 ? least > 80 : least > 40) &&
    Math.min(s.rows, s.keys) >= side / 2 &&
    blockBytes <= capabilities.limits.maxComputeWorkgroupStorageSize;
  if (!fits) return undefined;
  const of = { attentionGradQuery: "attention_grad_query", attentionGradKeyValue: "attention_grad_key_value" }[node.op];
  return {
    name: `${of ?? "attention"}_block_${side}x${side}`,
    write: () => (forward ? writeAttentionBlock : writeGradBlock)(region, capabilities),
    preferred: groupsOf(s, node.op !== "attentionGradKeyValue") >= (most > 64 ? enough.deep : enough.shallow),
  };
}

function unmasked(node: Node, forward: boolean): boolean {
  if (forward) return node.args.length === 3;
  const { mask, out } = gradOperands(node);
  return !mask && (node.op !== "attentionGradQuery" || out !== undefined);
}

function groupsOf(s: Sizes, queries: boolean): number {
  const heads = (queries ? s.lead : s.keyLead).reduce((p, d) => p * d, 1);
  return Math.ceil((queries ? s.rows : s.keys) / side) * heads;
}
