import type { BufferSpec, Capabilities } from "../manifest/manifest.ts";
import { type Arenas, arrange, leastBytes, type Span } from "./arena.ts";
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
 * overlaps. Those in `alone` share nothing: in one dispatch a buffer is read or written as a whole. Blocks on different
 * `sides` lie in different arenas, unless that takes much more memory.
 */
export function lodge(
  blocks: readonly Block[],
  alone: ReadonlySet<Block>,
  sides: ReadonlyMap<Block, 0 | 1>,
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
  const lasting = blocks.filter(lasts).reduce((n, b) => n + b.bytes, 0);
  const { at, sizes } = arranged(
    spans,
    passing.map((b) => sides.get(b)),
    lasting,
    capabilities.limits.maxBufferSize,
  );
  passing.forEach((b, i) => {
    const { arena, offset } = at[i] as (typeof at)[0];
    lodging.set(b, { buffer: specs.length + arena, offset });
  });
  for (const size of sizes) specs.push({ role: "scratch", size });
  const turns = blocks.filter((b) => !lasts(b)).map((b) => ({ ...b, bytes: aligned(b.bytes) }));
  return { specs, lodging, leastBytes: lasting + leastBytes(turns) };
}

/** By how much of all memory the plan may grow for arenas of two sides. */
const growth = 1 / 32;

/** One arrangement of all, or one of each side where these take hardly more. */
function arranged(
  spans: readonly Span[],
  sides: readonly (0 | 1 | undefined)[],
  lasting: number,
  limit: number,
): Arenas {
  const one = arrange(spans, limit);
  if (!sides.includes(1)) return one;
  const most = bytes(one) + growth * (bytes(one) + lasting);
  const two = ([0, 1] as const).map((free) =>
    apart(
      spans,
      sides.map((s) => s ?? free),
      limit,
    ),
  );
  const best = bytes(two[1]!) < bytes(two[0]!) ? two[1]! : two[0]!;
  return bytes(best) <= most ? best : one;
}

const bytes = ({ sizes }: Arenas): number => sizes.reduce((n, b) => n + b, 0);

function apart(spans: readonly Span[], sides: readonly (0 | 1)[], limit: number): Arenas {
  const [a, b] = ([0, 1] as const).map((side) =>
    arrange(
      spans.filter((_, i) => sides[i] === side),
      limit,
    ),
  ) as [Arenas, Arenas];
  let [i, j] = [0, 0];
  const at = sides.map((side) => {
    if (side === 0) return a.at[i++]!;
    const { arena, offset } = b.at[j++]!;
    return { arena: a.sizes.length + arena, offset };
  });
  return { at, sizes: [...a.sizes, ...b.sizes] };
}
