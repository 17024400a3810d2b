import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { writeAttentionRow } from "./attention.ts";
import { writeGradKeyValueRow, writeGradQueryRow } from "./attention-grad.ts";
import { gradTiledFits, writeGradTiled } from "./attention-grad-tiled.ts";
import { type Sizes, sizesOf } from "./attention-parts.ts";
import { tiledFits, writeAttentionTiled } from "./attention-tiled.ts";
import type { Kernel } from "./kernel.ts";

type Writer = (region: Region, capabilities: Capabilities) => Kernel;

interface Variants {
  /** An invocation a row: for CPU adapters and for what the tile does not suit. */
  readonly row: Writer;
  /** Tiles through workgroup memory. */
  readonly tiled: Writer;
  fits(s: Sizes, capabilities: Capabilities): boolean;
}

const forward: Variants = { row: writeAttentionRow, tiled: writeAttentionTiled, fits: tiledFits };

const variants: Readonly<Record<string, Variants>> = {
  attention: forward,
  attentionStats: forward,
  attentionGradQuery: { row: writeGradQueryRow, tiled: writeGradTiled, fits: gradTiledFits },
  attentionGradKeyValue: { row: writeGradKeyValueRow, tiled: writeGradTiled, fits: gradTiledFits },
};

/** The variant of an attention row for a device. */
export function writeAttention(region: Region, capabilities: Capabilities): Kernel {
  const node = region.anchors[0] as Node;
  const { row, tiled, fits } = variants[node.op] as Variants;
  const halfWords = !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  const s = sizesOf(node);
  // Only whole vectors make whole words.
  const words = !halfWords || (s.depth % 4 === 0 && s.valueDepth % 4 === 0);
  const tile = !capabilities.software && words && fits(s, capabilities);
  return (tile ? tiled : row)(region, capabilities);
}
