import type { BufferSpec, Capabilities } from "../manifest/manifest.ts";
import { arrange, leastBytes } from "./arena.ts";
import { type Block, lasts } from "./layout.ts";
import { aligned } from "./tensors.ts";

/** Which buffer a block is in, and where. */
export interface Lodging {
  readonly buffer: number;
  readonly offset: number;
}

export interface Buffers {
  readonly specs: readonly BufferSpec[];
  readonly lodging: ReadonlyMap<Block, Lodging>;
  /** No plan for these steps takes fewer bytes. */
  readonly leastBytes: number;
}

/**
 * Blocks that last get a buffer each; the others share arenas, at offsets where nothing that is needed at the same time
 * overlaps. Those in `alone` share nothing: in one dispatch a buffer is read or written as a whole.
 */
export function lodge(
  blocks: readonly Block[],
  alone: ReadonlySet<Block>,
  capabilities: Capabilities,
  guard: number,
): Buffers {
  const specs: BufferSpec[] = [];
  const lodging = new Map<Block, Lodging>();
  const passing: Block[] = [];
  for (const b of blocks) {
    if (!lasts(b) && !alone.has(b)) {
      passing.push(b);
      continue;
    }
    lodging.set(b, { buffer: specs.length, offset: 0 });
    specs.push({
      role: b.role,
      size: guard ? aligned(b.bytes) + guard : b.bytes,
      ...(b.init ? { init: b.init } : {}),
      ...(b.clear ? { clear: true } : {}),
    });
  }
  const spans = passing.map((b) => ({ bytes: aligned(b.bytes) + guard, first: b.first, last: b.last }));
  const { at, sizes } = arrange(spans, capabilities.limits.maxBufferSize);
  passing.forEach((b, i) => {
    const { arena, offset } = at[i] as (typeof at)[0];
    lodging.set(b, { buffer: specs.length + arena, offset });
  });
  for (const size of sizes) specs.push({ role: "scratch", size });
  const lasting = blocks.filter(lasts).reduce((n, b) => n + b.bytes, 0);
  const turns = blocks.filter((b) => !lasts(b)).map((b) => ({ ...b, bytes: aligned(b.bytes) }));
  return { specs, lodging, leastBytes: lasting + leastBytes(turns) };
}
