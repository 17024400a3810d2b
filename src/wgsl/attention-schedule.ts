import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { writeAttentionRow } from "./attention.ts";
import { blockAttention } from "./attention-block-tiles.ts";
import { decodeFits, decodeSchedules, writeAttentionDecode } from "./attention-decode.ts";
import { pairAttentions } from "./attention-f16x3-tiles.ts";
import { writeGradKeyValueRow, writeGradQueryRow } from "./attention-grad.ts";
import { gradRolesFit, gradTiledFits, writeGradTiled } from "./attention-grad-tiled.ts";
import { matrixAttentions } from "./attention-matrix-tiles.ts";
import { type Sizes, sizesOf } from "./attention-parts.ts";
import { tiledFits, writeAttentionTiled } from "./attention-tiled.ts";
import type { Candidate } from "./candidate.ts";
import type { Kernel } from "./kernel.ts";

interface Variant {
  readonly name: string;
  write(region: Region, capabilities: Capabilities): Kernel;
  /** Does it suit these sizes and the device? Always where it is left out. */
  fits?(s: Sizes, capabilities: Capabilities): boolean;
  /** Tiles through workgroup memory: not for CPU adapters. */
  readonly tiled?: boolean;
}

/** From what is preferred to what always works: an invocation a row. */
const forward: readonly Variant[] = [
  {
    name: "attention_decode",
    write: (r, c) => writeAttentionDecode(r, c),
    fits: (s, c) => decodeFits(s, c),
    tiled: true,
  },
  ...decodeSchedules.map(
    (d): Variant => ({
      name: `attention_decode_${d.threads}x${d.early}`,
      write: (r, c) => writeAttentionDecode(r, c, d),
      fits: (s, c) => decodeFits(s, c, d),
      tiled: true,
    }),
  ),
  {
    name: "attention_tile_32x32_by2",
    write: (r, c) => writeAttentionTiled(r, c, 2),
    fits: (s, c) => tiledFits(s, c, 2),
    tiled: true,
  },
  {
    name: "attention_tile_32x32",
    write: (r, c) => writeAttentionTiled(r, c),
    fits: (s, c) => tiledFits(s, c),
    tiled: true,
  },
  { name: "attention_row", write: writeAttentionRow },
];

const byRoles = (r: Region, c: Capabilities): Kernel => writeGradTiled(r, c, 2);

const variants: Readonly<Record<string, readonly Variant[]>> = {
  attention: forward,
  attentionStats: forward,
  attentionGradQuery: [
    { name: "attention_grad_query_tile_by2", write: byRoles, fits: gradRolesFit, tiled: true },
    { name: "attention_grad_query_tile", write: (r, c) => writeGradTiled(r, c), fits: gradTiledFits, tiled: true },
    { name: "attention_grad_query_row", write: writeGradQueryRow },
  ],
  attentionGradKeyValue: [
    { name: "attention_grad_key_value_tile_by2", write: byRoles, fits: gradRolesFit, tiled: true },
    { name: "attention_grad_key_value_tile", write: (r, c) => writeGradTiled(r, c), fits: gradTiledFits, tiled: true },
    { name: "attention_grad_key_value_row", write: writeGradKeyValueRow },
  ],
};

/** Every way to compute an attention row on a device, the one that is taken without measurements first. */
export function attentionCandidates(region: Region, capabilities: Capabilities): readonly Candidate[] {
  const node = region.anchors[0] as Node;
  const halfWords = !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  const s = sizesOf(node);
  // Only whole vectors make whole words.
  const words = !halfWords || (s.depth % 4 === 0 && s.valueDepth % 4 === 0);
  const suits = (v: Variant): boolean =>
    !(v.tiled && (capabilities.software || !words)) && (v.fits?.(s, capabilities) ?? true);
  const block = words ? blockAttention(region, capabilities) : undefined;
  const pairs = pairAttentions(region, capabilities);
  const others = (variants[node.op] as readonly Variant[]).filter(suits);
  return [
    ...matrixAttentions(region, capabilities),
    ...pairs.filter((c) => c.preferred),
    ...(block?.preferred ? [block] : []),
    ...others.map(({ name, write }) => ({ name, write: () => write(region, capabilities) })),
    ...(block && !block.preferred ? [block] : []),
    ...pairs.filter((c) => !c.preferred),
  ];
}
