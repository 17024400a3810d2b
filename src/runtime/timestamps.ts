import { fail } from "../base/diagnostic.ts";
import type { EncodePasses } from "./encode.ts";
import type { Gpu, WaitOptions } from "./gpu.ts";
import { pace } from "./pace.ts";
import { encodeSteps, type Step } from "./storage.ts";
import { mapModeRead, usage } from "./usage.ts";

/** Dawn and the specification allow 4096 queries a set; a pass takes two. */
const mostPasses = 2048;

/** When a compute pass began and ended, in nanoseconds of the GPU's clock. */
export interface Stamp {
  readonly begin: number;
  readonly end: number;
}

/** Fails with `no-timestamps` where a device cannot time compute passes. */
export function requireTimestamps(gpu: Gpu): void {
  gpu.check();
  if (gpu.device.features.has("timestamp-query")) return;
  fail("no-timestamps", "this device has no timestamp queries", {
    hint: "measure whole runs with gpu.idle() instead",
  });
}

/** Times compute passes: queries and the buffers that they are read through, to be used one run after the other. */
export class Stopwatch {
  readonly #gpu: Gpu;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #staging: GPUBuffer;
  #count = 0;

  private constructor(gpu: Gpu, queries: GPUQuerySet, resolved: GPUBuffer, staging: GPUBuffer) {
    this.#gpu = gpu;
    this.#queries = queries;
    this.#resolved = resolved;
    this.#staging = staging;
  }

  /** For at most `passes` passes at a time. Fails with `no-timestamps` or `too-many-dispatches`. */
  static async open(gpu: Gpu, passes: number, options: WaitOptions = {}): Promise<Stopwatch> {
    requireTimestamps(gpu);
    if (passes > mostPasses) {
      fail("too-many-dispatches", `the program has ${passes} dispatches, and ${mostPasses} can be timed`, {
        hint: "time a part of the program",
      });
    }
    const count = 2 * Math.max(1, passes);
    return gpu.scoped(
      "make timestamp queries",
      () =>
        new Stopwatch(
          gpu,
          gpu.device.createQuerySet({ type: "timestamp", count }),
          gpu.device.createBuffer({ size: 8 * count, usage: usage.queryResolve | usage.copySrc }),
          gpu.device.createBuffer({ size: 8 * count, usage: usage.mapRead | usage.copyDst }),
        ),
      options,
    );
  }

  /** Encodes a run as one timed pass for each group of its dispatches. */
  passes(groups: readonly (readonly Step[])[]): EncodePasses {
    return (encoder, _, groupOf) => {
      this.start();
      let dispatches = 0;
      for (const group of groups) {
        const pass = this.beginPass(encoder);
        dispatches += encodeSteps(pass, group, groupOf);
        pass.end();
      }
      this.finish(encoder);
      return dispatches;
    };
  }

  /** Forgets what was timed. */
  start(): void {
    this.#count = 0;
  }

  beginPass(encoder: GPUCommandEncoder): GPUComputePassEncoder {
    const beginningOfPassWriteIndex = 2 * this.#count++;
    return encoder.beginComputePass({
      timestampWrites: {
        querySet: this.#queries,
        beginningOfPassWriteIndex,
        endOfPassWriteIndex: beginningOfPassWriteIndex + 1,
      },
    });
  }

  finish(encoder: GPUCommandEncoder): void {
    if (this.#count === 0) return;
    encoder.resolveQuerySet(this.#queries, 0, 2 * this.#count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#staging, 0, 16 * this.#count);
  }

  /** The passes of the last submit, in order; waits for it. */
  async read(options: WaitOptions = {}): Promise<Stamp[]> {
    if (this.#count === 0) return [];
    await this.#gpu.wait(
      "reading timestamps",
      pace(() => this.#staging.mapAsync(mapModeRead)),
      options,
    );
    const stamps = new BigUint64Array(this.#staging.getMappedRange().slice(0, 16 * this.#count));
    this.#staging.unmap();
    const first = stamps[0] as bigint;
    // Differences are exact in a double; the clock itself need not be.
    const base = Number(first);
    return Array.from({ length: this.#count }, (_, i) => ({
      begin: base + Number((stamps[2 * i] as bigint) - first),
      end: base + Number((stamps[2 * i + 1] as bigint) - first),
    }));
  }

  dispose(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
    this.#staging.destroy();
  }
}
