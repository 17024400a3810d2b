import type { Manifest, PortSpec, Window } from "../manifest/manifest.ts";
import type { Gpu, WaitOptions } from "../runtime/gpu.ts";
import { makeStorage, type Step, type Storage, takeMemory } from "../runtime/storage.ts";
import type { Filler, Range } from "./fill.ts";
import type { Runnable } from "./timer.ts";

/** A program in memory of its own, with its dispatches in order: kernels are measured where they run, by whatever is in the caches there. */
export class Course {
  readonly steps: readonly Step[];
  /** The steps as they are timed; kernels of the user's are left out, for nobody knows what they do with random data. */
  readonly runs: readonly Runnable[];
  readonly #gpu: Gpu;
  readonly #manifest: Manifest;
  readonly #storage: Storage;

  private constructor(gpu: Gpu, manifest: Manifest, storage: Storage) {
    this.#gpu = gpu;
    this.#manifest = manifest;
    this.#storage = storage;
    this.steps = [...storage.setup, ...storage.steps];
    this.runs = this.steps.map(({ pipeline, group, workgroups }) => ({
      ...{ pipeline: pipeline.pipeline, group, workgroups: pipeline.kernel.own ? ([0, 0, 0] as const) : workgroups },
    }));
  }

  /** Fails with `out-of-memory` where the device has not enough. */
  static async load(gpu: Gpu, manifest: Manifest, options: WaitOptions): Promise<Course> {
    const pipelines = await Promise.all(
      manifest.kernels.map((k) => gpu.pipelines.get(k, { warmup: true, signal: options.signal })),
    );
    const memory = await takeMemory(gpu, manifest, new Map(), options);
    return new Course(gpu, manifest, await makeStorage(gpu, manifest, pipelines, memory, options));
  }

  /** Where the tensors that a step binds lie. */
  rangesOf(step: number): readonly Range[] {
    return (this.steps[step] as Step).spec.bindings.map((w) => this.#range(w));
  }

  #range({ buffer, offset, size }: Window): Range {
    const place = this.#storage.places[buffer] as { readonly buffer: GPUBuffer; readonly offset: number };
    return { buffer: place.buffer, offset: place.offset + offset, size };
  }

  /** Gives everything that comes from outside random data, and constants their values. */
  fill(filler: Filler): void {
    const { buffers, inputs, weights, state } = this.#manifest;
    const encoder = this.#gpu.device.createCommandEncoder();
    const ports: readonly PortSpec[] = [...inputs, ...weights, ...state];
    const pass = encoder.beginComputePass();
    for (const [i, { window, dtype }] of ports.entries()) filler.fill(pass, this.#range(window), dtype, i);
    pass.end();
    buffers.forEach(({ init, clear, size }, i) => {
      const { buffer, offset } = this.#range({ buffer: i, offset: 0, size });
      if (clear) encoder.clearBuffer(buffer, offset, size);
      if (init) this.#gpu.write(buffer, offset, new Uint8Array(init.buffer, init.byteOffset, init.byteLength));
    });
    this.#gpu.submit([encoder.finish()]);
  }

  release(): void {
    this.#storage.release();
  }
}
