import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { makeCore } from "../../src/runtime/kernels/core.ts";
import { makeSlots, slotBytes } from "../../src/runtime/kernels/slots.ts";

/** A device that only remembers what is written to its one buffer. */
function memoryDevice(): { readonly device: GPUDevice; readonly memory: Map<number, number[]> } {
  const memory = new Map<number, number[]>();
  const queue = {
    writeBuffer: (_: unknown, at: number, data: Uint32Array, from: number, count: number) =>
      memory.set(at, [...data.slice(from, from + count)]),
  };
  const device = { queue, lost: new Promise(() => undefined), createBuffer: () => ({}) };
  return { device: device as unknown as GPUDevice, memory };
}

const max = 8;
const block = fc.array(fc.nat(3), { minLength: 0, maxLength: 4 });

test.prop([fc.array(block, { minLength: 1, maxLength: 200 })])(
  "a block's slot holds it until as many others as there are slots were used, and is written once",
  (blocks) => {
    const { device, memory } = memoryDevice();
    const core = makeCore(device, []);
    const slots = makeSlots(core, max);
    /** Blocks in the order of their last use, latest last, with their slots. */
    const recent = new Map<string, number>();
    for (const words of blocks) {
      slots.u.set(words);
      const written = core.counters.slots;
      const at = slots.find(words.length);
      const key = words.join();
      if (recent.has(key)) {
        expect(at).toBe(recent.get(key));
        expect(core.counters.slots).toBe(written);
      }
      recent.delete(key);
      recent.set(key, at);
      if (recent.size > max) recent.delete(recent.keys().next().value as string);
      expect(at % slotBytes).toBe(0);
      expect(at / slotBytes).toBeLessThan(max);
      for (const [k, offset] of recent) {
        const held = memory.get(offset)!.slice(0, k === "" ? 0 : k.split(",").length);
        expect(held.join()).toBe(k);
      }
    }
  },
);
