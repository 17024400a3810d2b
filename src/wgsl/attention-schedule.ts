import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { sizesOf, writeAttentionRow } from "./attention.ts";
import { tiledFits, writeAttentionTiled } from "./attention-tiled.ts";
import type { Kernel } from "./kernel.ts";

/** The variant of attention for a device: tiles through workgroup memory on GPUs, an invocation a query row on CPU adapters. */
export function writeAttention(region: Region, capabilities: Capabilities): Kernel {
  const s = sizesOf(region.anchors[0] as Node);
  const halfWords = !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  const tiled = !capabilities.software && !halfWords && tiledFits(s, capabilities);
  return tiled ? writeAttentionTiled(region, capabilities) : writeAttentionRow(region, capabilities);
}
