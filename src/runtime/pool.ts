import { fail, SinterError } from "../base/diagnostic.ts";
import { thrownError } from "./errors.ts";
import type { Gpu } from "./gpu.ts";
import { usage } from "./usage.ts";

/** What a pooled buffer is for: kernels and copies, or reading back. */
export type BufferKind = "storage" | "staging" | "indirect";

const usageOf: Readonly<Record<BufferKind, number>> = {
  storage: usage.storage | usage.copySrc | usage.copyDst,
  staging: usage.mapRead | usage.copyDst,
  indirect: usage.indirect | usage.copyDst,
};

/** A buffer out of the pool, counted: it goes back when the last holder releases it. */
export class Lease {
  readonly buffer: GPUBuffer;
  readonly kind: BufferKind;
  readonly size: number;
  #holders = 1;
  readonly #pool: BufferPool;

  constructor(pool: BufferPool, buffer: GPUBuffer, kind: BufferKind, size: number) {
    this.#pool = pool;
    this.buffer = buffer;
    this.kind = kind;
    this.size = size;
  }

  retain(): this {
    this.#holders++;
    return this;
  }

  /** `destroy`: the buffer is in a state that makes it useless for others. */
  release(how: "reuse" | "destroy" = "reuse"): void {
    if (--this.#holders === 0) this.#pool.take(this, how);
  }
}

/** Free bytes that are kept in any case; beyond, no more than were ever in use at a time. */
const alwaysKept = 64 * 2 ** 20;

/** The size of the buffer to make for so many bytes, both at most `most`. */
export type Sizing = (bytes: number, most: number) => number;

/** Quarter steps between powers of two: a buffer wastes at most a fifth of its bytes, and fits more than one size. */
export const sizeClass: Sizing = (bytes, most) => {
  if (bytes <= 256) return 256;
  const step = 2 ** Math.floor(Math.log2(bytes)) / 4;
  return Math.max(bytes, Math.min(Math.ceil(bytes / step) * step, most));
};

/** Buffers by size class, shared by the sessions of a device. */
export class BufferPool {
  /** Buffers that were asked for, and how many of them were there. */
  readonly counts = { acquisitions: 0, hits: 0 };
  readonly #gpu: Gpu;
  readonly #sizing: Sizing;
  readonly #free = new Map<string, GPUBuffer[]>();
  readonly #known = new WeakMap<GPUBuffer, { readonly size: number; readonly age: number }>();
  #created = 0;
  #freeBytes = 0;
  #mostUsed = 0;

  constructor(gpu: Gpu, sizing: Sizing = sizeClass) {
    this.#gpu = gpu;
    this.#sizing = sizing;
  }

  classOf(bytes: number): number {
    return this.#sizing(bytes, this.#gpu.capabilities.limits.maxBufferSize);
  }

  /** A free buffer, or undefined when one has to be created. */
  tryAcquire(kind: BufferKind, bytes: number): Lease | undefined {
    const size = this.classOf(bytes);
    const buffer = this.#free.get(`${kind} ${size}`)?.pop();
    if (!buffer) return undefined;
    this.counts.hits++;
    this.#freeBytes -= size;
    return this.#lend(buffer, kind, size);
  }

  #lend(buffer: GPUBuffer, kind: BufferKind, size: number): Lease {
    this.counts.acquisitions++;
    this.#mostUsed = Math.max(this.#mostUsed, this.#gpu.counters.bytesHeld - this.#freeBytes);
    return new Lease(this, buffer, kind, size);
  }

  /**
   * Buffers for all of `sizes`, created where none is free. When memory runs out, free buffers are destroyed and it is
   * tried once more. Fails with `out-of-memory`, or `buffer-too-large`, naming the bytes; then nothing is held.
   */
  async acquire(kind: BufferKind, sizes: readonly number[], what: string, signal?: AbortSignal): Promise<Lease[]> {
    const { maxBufferSize } = this.#gpu.capabilities.limits;
    const largest = Math.max(0, ...sizes);
    if (largest > maxBufferSize) {
      fail("buffer-too-large", `${what} needs a buffer of ${largest} bytes, and this device allows ${maxBufferSize}`, {
        hint: "use smaller shapes, or split the tensor into several",
      });
    }
    const leases: (Lease | undefined)[] = sizes.map((bytes) => this.tryAcquire(kind, bytes));
    const give = (): void => {
      for (const l of leases) l?.release();
    };
    for (let attempt = 0; ; attempt++) {
      const missing = sizes.flatMap((_, i) => (leases[i] ? [] : [i]));
      if (missing.length === 0) return leases as Lease[];
      const created: GPUBuffer[] = [];
      try {
        await this.#gpu.scoped(
          what,
          () => {
            for (const i of missing) {
              created.push(this.#gpu.device.createBuffer({ size: this.classOf(sizes[i]!), usage: usageOf[kind] }));
              this.#gpu.counters.buffers++;
            }
          },
          { signal },
        );
        missing.forEach((i, n) => {
          leases[i] = this.#adopt(kind, created[n]!, this.classOf(sizes[i]!));
        });
        return leases as Lease[];
      } catch (e) {
        for (const b of created) destroy(b);
        const memory = e instanceof SinterError && e.code === "out-of-memory";
        if (memory && attempt === 0) {
          this.trim();
          continue;
        }
        give();
        if (!memory) throw e;
        const wanted = missing.reduce((n, i) => n + this.classOf(sizes[i]!), 0);
        throw new SinterError(
          {
            code: "out-of-memory",
            message: `${what} needs ${wanted} bytes more on the GPU, which holds ${this.#gpu.counters.bytesHeld} for Sinter`,
            cause: e.diagnostic.cause ?? e.message,
            hint: "dispose results and sessions that are done with, or use smaller shapes",
          },
          { cause: e },
        );
      }
    }
  }

  #adopt(kind: BufferKind, buffer: GPUBuffer, size: number): Lease {
    this.#known.set(buffer, { size, age: this.#created++ });
    this.#gpu.counters.bytesHeld += size;
    return this.#lend(buffer, kind, size);
  }

  /** @internal Called by the last holder of a lease. */
  take(lease: Lease, how: "reuse" | "destroy"): void {
    const tooMuch = this.#freeBytes + lease.size > Math.max(alwaysKept, this.#mostUsed);
    if (how === "destroy" || this.#gpu.ended || tooMuch) {
      this.#drop(lease.buffer);
      return;
    }
    this.#freeBytes += lease.size;
    const key = `${lease.kind} ${lease.size}`;
    const list = this.#free.get(key) ?? [];
    this.#free.set(key, list);
    // Oldest last, which is taken first: the same calls then get the same buffers every time, whatever order they were
    // given back in, and find the bind groups they made for them.
    const age = this.#ageOf(lease.buffer);
    let low = 0;
    for (let high = list.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#ageOf(list[middle]!) > age) low = middle + 1;
      else high = middle;
    }
    list.splice(low, 0, lease.buffer);
  }

  #ageOf(buffer: GPUBuffer): number {
    return this.#known.get(buffer)?.age ?? 0;
  }

  #drop(buffer: GPUBuffer): number {
    const size = this.#known.get(buffer)?.size ?? 0;
    this.#known.delete(buffer);
    this.#gpu.counters.bytesHeld -= size;
    destroy(buffer);
    return size;
  }

  /** Destroys every free buffer; returns the bytes. */
  trim(): number {
    let bytes = 0;
    for (const list of this.#free.values()) for (const b of list) bytes += this.#drop(b);
    this.#free.clear();
    this.#freeBytes = 0;
    return bytes;
  }

  /** Bytes of buffers that nothing uses. */
  get freeBytes(): number {
    return this.#freeBytes;
  }
}

function destroy(buffer: GPUBuffer): void {
  try {
    buffer.destroy();
  } catch (e) {
    // A device in its last moments may throw here; the memory goes with it.
    if (!(e instanceof Error)) throw thrownError("destroy a buffer", e);
  }
}
