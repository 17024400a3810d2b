import { usage } from "../usage.ts";
import type { Core } from "./core.ts";

/** Bytes of an argument block, and the greatest alignment that WebGPU asks of one. */
export const slotBytes = 256;
const slotWords = slotBytes / 4;

/**
 * Argument blocks in one uniform buffer, bound by dynamic offset. A block is found by its content and never changes, so
 * calls with different sizes in one encoder each see their own, and equal calls write nothing. When all slots are taken,
 * the one that has not been used for longest is written over.
 */
export interface ArgumentSlots {
  readonly buffer: GPUBuffer;
  /** The block to be found, in three views of one memory. */
  readonly u: Uint32Array<ArrayBuffer>;
  readonly f: Float32Array;
  readonly i: Int32Array;
  /** The offset of the block in the first `words` words of `u`, written now if no slot is known to hold it. */
  find(words: number): number;
}

export function makeSlots(core: Core, max: number): ArgumentSlots {
  const buffer = core.buffer("kernel arguments", max * slotBytes, usage.uniform | usage.copyDst);
  const u = new Uint32Array(slotWords);
  /** What is in the slots, as the buffer has it. */
  const content = new Uint32Array(max * slotWords);
  const hashes = new Int32Array(max);
  /** Slots by hash; of two blocks of one hash the later has the next number. */
  const found = new Map<number, number>();
  /** When each slot was used last, in calls of `find`. */
  const lastUse = new Float64Array(max);
  let now = 0;
  let taken = 0;

  const holds = (slot: number, words: number): boolean => {
    for (let w = 0; w < words; w++) if (content[slot * slotWords + w] !== u[w]) return false;
    return true;
  };

  const evict = (): number => {
    let slot = 0;
    for (let s = 1; s < max; s++) if (lastUse[s]! < lastUse[slot]!) slot = s;
    if (found.get(hashes[slot]!) === slot) found.delete(hashes[slot]!);
    return slot;
  };

  return {
    buffer,
    u,
    f: new Float32Array(u.buffer),
    i: new Int32Array(u.buffer),
    find(words) {
      let hash = Math.imul(words, 0x85ebca6b);
      for (let w = 0; w < words; w++) {
        hash = Math.imul(hash ^ u[w]!, 0x9e3779b1);
        hash ^= hash >>> 15;
      }
      let slot = found.get(hash);
      while (slot !== undefined && !holds(slot, words)) slot = found.get(++hash);
      if (slot === undefined) {
        slot = taken < max ? taken++ : evict();
        content.set(u.subarray(0, words), slot * slotWords);
        hashes[slot] = hash;
        found.set(hash, slot);
        core.counters.slots++;
        core.device.queue.writeBuffer(buffer, slot * slotBytes, u, 0, words);
      }
      lastUse[slot] = ++now;
      return slot * slotBytes;
    },
  };
}
