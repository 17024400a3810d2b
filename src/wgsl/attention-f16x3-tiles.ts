import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { fillsMatrices } from "../passes/half-products.ts";
import { pairAttentionBytes, pairAttentionName, writeAttentionPairs } from "./attention-f16x3.ts";
import { type PairAttention, pairAttention, widened } from "./attention-f16x3-parts.ts";
import { gradOperands } from "./attention-grad.ts";
import { pairGradBytes, pairGradName, writeGradPairs } from "./attention-grad-f16x3.ts";
import { threadsOf } from "./attention-matrix-parts.ts";
import { type Sizes, sizesOf } from "./attention-parts.ts";
import { type Candidate, distinct } from "./candidate.ts";

interface Division {
  readonly tile: PairAttention;
  /** The largest depth as staged for which it is: what is kept for each feature must stay in registers. */
  readonly deepest: number;
  /** Workgroups that it must give the device to be taken without measurements before others are, f32 tiles among them. */
  readonly enough: number;
  /** Is it for causal attention alone? Others have twice as much to do, for which larger ones are better. */
  readonly causal?: true;
}

/** From large to small: large ones read less, small ones give more workgroups. */
const divisions: Readonly<Record<string, readonly Division[]>> = {
  forward: [
    { tile: pairAttention(128, 1), deepest: 64, enough: 1024 },
    { tile: pairAttention(32, 1), deepest: 64, enough: 360, causal: true },
    { tile: pairAttention(128, 1), deepest: 64, enough: 90 },
    { tile: pairAttention(64, 2), deepest: 128, enough: 160 },
  ],
  attentionGradQuery: [
    { tile: pairAttention(64, 2), deepest: 64, enough: 1024 },
    { tile: pairAttention(32, 2, 16), deepest: 64, enough: 360, causal: true },
    { tile: pairAttention(64, 2), deepest: 64, enough: 300 },
    { tile: pairAttention(16, 2), deepest: 64, enough: 360 },
    { tile: pairAttention(32, 2, 16), deepest: 128, enough: 256 },
  ],
  attentionGradKeyValue: [
    { tile: pairAttention(64, 2), deepest: 64, enough: 300 },
    { tile: pairAttention(32, 2), deepest: 64, enough: 100 },
    { tile: pairAttention(32, 2, 16), deepest: 128, enough: 100 },
  ],
};

/** A way to compute attention as products of halves, and whether it is taken without measurements. */
export interface PairCandidate extends Candidate {
  readonly preferred: boolean;
}

/**
 * Ways to compute attention of f32 by subgroup matrices of halves: where it asks for it, which the compiler lets it only on devices that
 * have them, in texts for known sizes, without a mask, where lengths and depths suit.
 */
export function pairAttentions(region: Region, capabilities: Capabilities): readonly PairCandidate[] {
  const node = region.anchors[0] as Node;
  const { features, limits, software } = capabilities;
  if (node.attrs.precision !== "f16x3" || node.type.dtype !== "f32" || region.uniform) return [];
  if (!features.subgroupMatrix || !features.subgroups || software) return [];
  const s = sizesOf(node);
  const forward = node.op === "attention" || node.op === "attentionStats";
  if (!fillsMatrices(node) || (!forward && s.depth !== s.valueDepth)) return [];
  if (node.op === "attentionGradQuery" && !gradOperands(node).out) return [];
  const queries = node.op !== "attentionGradKeyValue";
  const [write, bytes] = forward
    ? ([writeAttentionPairs, pairAttentionBytes] as const)
    : ([writeGradPairs, pairGradBytes] as const);
  const deepest = Math.max(widened(s.depth), widened(s.valueDepth));
  const usable = (divisions[forward ? "forward" : node.op] ?? []).filter(
    ({ tile, ...d }) =>
      deepest <= d.deepest &&
      bytes(s, tile) <= limits.maxComputeWorkgroupStorageSize &&
      threadsOf(tile) <= limits.maxComputeInvocationsPerWorkgroup,
  );
  const candidates = usable.map(({ tile, enough, causal }) => ({
    name: forward ? pairAttentionName(tile) : pairGradName(queries, tile),
    write: () => write(region, capabilities, tile),
    preferred: groupsOf(s, tile, queries) >= enough && (s.causal || !causal),
  }));
  // A tile may have several rows.
  return distinct([...candidates.filter((c) => c.preferred), ...candidates]) as readonly PairCandidate[];
}

function groupsOf(s: Sizes, t: PairAttention, queries: boolean): number {
  const heads = (queries ? s.lead : s.keyLead).reduce((p, d) => p * d, 1);
  return Math.ceil((queries ? s.rows : s.keys) / t.own) * heads;
}
