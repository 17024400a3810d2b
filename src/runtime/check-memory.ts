import { fail } from "../base/diagnostic.ts";
import type { Manifest, Window } from "../manifest/manifest.ts";
import type { EncodePasses } from "./encode.ts";
import type { Gpu, WaitOptions } from "./gpu.ts";
import { pace } from "./pace.ts";
import { encodeSteps, guardSize, type Storage } from "./storage.ts";
import { mapModeRead, usage } from "./usage.ts";

/** A NaN as f32 and as two f16 that no computation makes: what memory holds that nobody has written. */
const poison = 0x7fc07fc1;
/** What lies between tensors. */
const canary = 0x5ca1ab1e;
const chunk = 2 ** 20;

/** A range behind a tensor that nobody may write while the tensor lives. */
interface Guard {
  readonly window: Window;
  readonly label: string;
  readonly first: number;
  readonly last: number;
}

/**
 * Runs a program so that misuse of memory shows: what is freed becomes NaN at once, what is taken is NaN until it is
 * written, and ranges behind every tensor are compared after each run. Costs a compute pass and copies a dispatch.
 */
export class MemoryChecks {
  readonly #gpu: Gpu;
  readonly #manifest: Manifest;
  readonly #storage: Storage;
  readonly #guards: readonly Guard[];
  readonly #fill: GPUBuffer;

  constructor(gpu: Gpu, manifest: Manifest, storage: Storage) {
    this.#gpu = gpu;
    this.#manifest = manifest;
    this.#storage = storage;
    this.#guards = guardsOf(manifest);
    this.#fill = gpu.device.createBuffer({ size: 2 * chunk, usage: usage.copySrc, mappedAtCreation: true });
    const words = new Uint32Array(this.#fill.getMappedRange());
    words.fill(poison, 0, chunk / 4).fill(canary, chunk / 4);
    this.#fill.unmap();
  }

  /** Encodes the dispatches of a run, numbered after those of setup; `verify` tells when they have run. */
  run(): { readonly passes: EncodePasses; verify(options: WaitOptions): Promise<void> } {
    return this.#checked(this.#manifest.setup.length);
  }

  /** The same for the dispatches of setup. */
  setup(): { readonly passes: EncodePasses; verify(options: WaitOptions): Promise<void> } {
    return this.#checked(0);
  }

  dispose(): void {
    this.#fill.destroy();
  }

  #checked(start: number): { readonly passes: EncodePasses; verify(options: WaitOptions): Promise<void> } {
    const size = Math.max(
      4,
      this.#guards.reduce((n, g) => n + g.window.size, 0),
    );
    let seen: GPUBuffer | undefined;
    const checked: Guard[] = [];
    const passes: EncodePasses = (encoder, steps, groupOf) => {
      // Not before: a run that is aborted while it waits for its turn encodes nothing.
      const into = this.#gpu.device.createBuffer({ size, usage: usage.mapRead | usage.copyDst });
      seen = into;
      let count = 0;
      let at = 0;
      const end = start + steps.length;
      const lives = (g: { first: number; last: number }): boolean => g.last >= start && g.first <= end;
      const spans = this.#manifest.spans.filter(lives);
      const guards = this.#guards.filter(lives);
      const look = (g: Guard): void => {
        this.#copy(encoder, g.window, into, at);
        at += g.window.size;
        checked.push(g);
      };
      for (const g of guards) if (g.first < start) this.#write(encoder, g.window, canary);
      for (let i = start; i <= end; i++) {
        for (const s of spans) if (s.first === i) this.#write(encoder, s.window, poison);
        for (const g of guards) if (g.first === i) this.#write(encoder, g.window, canary);
        const step = steps[i - start];
        if (step) {
          const pass = encoder.beginComputePass();
          count += encodeSteps(pass, [step], groupOf);
          pass.end();
        }
        for (const g of guards) if (g.last === i || (i === end && g.last > end)) look(g);
        for (const s of spans) if (s.last === i && i < end) this.#write(encoder, s.window, poison);
      }
      return count;
    };
    return { passes, verify: async (options) => seen && this.#verify(seen, checked, options) };
  }

  async #verify(seen: GPUBuffer, checked: readonly Guard[], options: WaitOptions): Promise<void> {
    try {
      await this.#gpu.wait(
        "reading guards",
        pace(() => seen.mapAsync(mapModeRead)),
        options,
      );
      const words = new Uint32Array(seen.getMappedRange());
      let at = 0;
      for (const g of checked) {
        for (let i = 0; i < g.window.size / 4; i++, at++) {
          if (words[at] === canary) continue;
          fail("memory-damaged", `memory ${i * 4} bytes beyond the end of ${g.label} was written`, {
            cause: `a dispatch from ${g.first} to ${g.last} wrote outside of its tensors`,
            hint: "this is a bug in Sinter: please report the program",
          });
        }
      }
    } finally {
      seen.destroy();
    }
  }

  #write(encoder: GPUCommandEncoder, w: Window, word: number): void {
    const { buffer, offset } = this.#storage.places[w.buffer]!;
    const from = word === poison ? 0 : chunk;
    for (let at = 0; at < w.size; at += chunk) {
      encoder.copyBufferToBuffer(this.#fill, from, buffer, offset + w.offset + at, Math.min(chunk, w.size - at));
    }
  }

  #copy(encoder: GPUCommandEncoder, w: Window, to: GPUBuffer, at: number): void {
    const { buffer, offset } = this.#storage.places[w.buffer]!;
    encoder.copyBufferToBuffer(buffer, offset + w.offset, to, at, w.size);
  }
}

function guardsOf(m: Manifest): Guard[] {
  if (m.guard === 0) return [];
  const shared = new Set(m.spans.map((s) => s.window.buffer));
  const behind = ({ buffer, offset, size }: Window): Window => {
    return { buffer, offset: offset + size, size: guardSize(size, m) };
  };
  return [
    ...m.spans.map((s) => ({ window: behind(s.window), label: s.label, first: s.first, last: s.last })),
    ...m.buffers.flatMap((b, i) => {
      if (shared.has(i)) return [];
      const window = { buffer: i, offset: b.size - m.guard, size: m.guard };
      return [{ window, label: `a ${b.role} buffer`, first: -1, last: Number.MAX_SAFE_INTEGER }];
    }),
  ];
}
