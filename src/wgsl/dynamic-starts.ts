import type { Node } from "../ir/graph.ts";
import { type Index, int } from "../ir/index-expr.ts";
import type { Emitter } from "./emitter.ts";

/** Where a block of `sizes` begins in a tensor of `shape`: the starts, clamped so that the block fits. */
export function dynamicStarts(
  e: Emitter,
  starts: readonly Node[],
  shape: readonly number[],
  sizes: readonly number[],
): Index[] {
  return starts.map((node, i) => {
    const room = (shape[i] as number) - (sizes[i] as number);
    if (room === 0) return int(0);
    const v = e.value(node, []);
    const text = v.dtype === "u32" ? `min(${v.text}, ${room}u)` : `u32(clamp(${v.text}, 0i, ${room}i))`;
    return e.opaque(text, room, v.depth);
  });
}
