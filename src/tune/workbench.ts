import type { DType } from "../base/dtype.ts";
import { fromHalfBits } from "../base/half.ts";
import { slotsOf } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import type { BoundRegion } from "../plan/bind.ts";
import type { Gpu, WaitOptions } from "../runtime/gpu.ts";
import { pace } from "../runtime/pace.ts";
import { mapModeRead, usage } from "../runtime/usage.ts";
import { Agreement } from "./agreement.ts";
import { toleranceOf, typicalOf } from "./compare.ts";
import { Filler, type Range } from "./fill.ts";
import type { Runnable } from "./timer.ts";

/** Bytes of a result by which its size is known: all, or as many at its beginning, its end and between. */
const mostSampled = 2 ** 20;
const slices = 8;
/** Offsets of bindings are multiples of it. */
const apart = 256;
/** Variants that run in one submit. */
const atOnce = 8;

interface Tensor extends Range {
  readonly dtype: DType;
  readonly written: boolean;
}

/** What one kernel binds, as tensors in the memory that it is bound to. */
function tensorsOf({ region }: BoundRegion, ranges: readonly Range[]): readonly Tensor[] {
  const kinds = slotsOf(region).flatMap(({ input, output, part }) => {
    const { dtype, shape } = ((input ?? output) as Node).type;
    const parts = part ? Math.ceil((shape as number[]).reduce((p, d) => p * d, 1) / part) : 1;
    return Array.from({ length: parts }, () => ({ dtype, written: output !== undefined }));
  });
  return ranges.map((r, i) => ({ ...r, ...(kinds[i] as (typeof kinds)[number]) }));
}

/** Finds out which variants of kernels compute the same numbers, on random data. */
export class Workbench {
  readonly #gpu: Gpu;
  readonly #agreement: Agreement;
  readonly filler: Filler;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#agreement = new Agreement(gpu);
    this.filler = new Filler(gpu);
  }

  /** Of each variant, whether its results are those of the first, within the tolerance. What the kernel binds is overwritten. */
  async agreeing(
    bound: BoundRegion,
    ranges: readonly Range[],
    runs: readonly Runnable[],
    options: WaitOptions,
  ): Promise<readonly boolean[]> {
    const [usual, ...others] = runs as [Runnable, ...Runnable[]];
    const tensors = tensorsOf(bound, ranges);
    const written = tensors.filter((t) => t.written);
    const bytes = written.reduce((n, t) => n + Math.ceil(t.size / apart) * apart, 0);
    const memory = await this.#allocate(bytes, written.length, others.length, options);
    try {
      let at = 0;
      const expected = written.map(({ size }): Range => {
        const range = { buffer: memory.expected, offset: at, size };
        at += Math.ceil(size / apart) * apart;
        return range;
      });
      await this.#expect(tensors, usual, expected, memory, toleranceOf(bound.region), options);
      const seen: boolean[] = [true];
      for (let i = 0; i < others.length; i += atOnce) {
        const { device } = this.#gpu;
        const encoder = device.createCommandEncoder();
        for (const [j, run] of others.slice(i, i + atOnce).entries()) {
          this.#run(encoder, tensors, run, false);
          const pass = encoder.beginComputePass();
          written.forEach((actual, k) => {
            const limits = { buffer: memory.limits, offset: k * apart, size: 8 };
            const wrong = { buffer: memory.wrong, offset: (i + j) * apart, size: 4 };
            this.#agreement.encode(pass, actual.dtype, { actual, expected: expected[k] as Range, limits, wrong });
          });
          pass.end();
        }
        this.#gpu.submit([encoder.finish()]);
      }
      if (others.length > 0) {
        const words = new Uint32Array(
          await this.#read([{ buffer: memory.wrong, offset: 0, size: apart * others.length }], options),
        );
        seen.push(...others.map((_, i) => words[(i * apart) / 4] === 0));
      }
      return seen;
    } finally {
      for (const buffer of Object.values(memory)) buffer.destroy();
    }
  }

  #allocate(bytes: number, results: number, variants: number, options: WaitOptions) {
    const make = (size: number): GPUBuffer =>
      this.#gpu.device.createBuffer({
        ...{ size: Math.max(apart, size), usage: usage.storage | usage.copySrc | usage.copyDst },
      });
    return this.#gpu.scoped(
      "allocate memory for measurements",
      () => ({ expected: make(bytes), limits: make(apart * results), wrong: make(apart * variants) }),
      options,
    );
  }

  /** Fills what a kernel binds, or only what it writes, whatever ran before, and runs it. */
  #run(encoder: GPUCommandEncoder, tensors: readonly Tensor[], run: Runnable, all: boolean): void {
    const pass = encoder.beginComputePass();
    tensors.forEach((t, i) => {
      if (all || t.written) this.filler.fill(pass, t, t.dtype, i);
    });
    pass.setPipeline(run.pipeline);
    pass.setBindGroup(0, run.group);
    pass.dispatchWorkgroups(...run.workgroups);
    pass.end();
  }

  /** Keeps what the usual variant makes of the data, and how large that is. */
  async #expect(
    tensors: readonly Tensor[],
    usual: Runnable,
    expected: readonly Range[],
    memory: { readonly limits: GPUBuffer },
    tolerance: number,
    options: WaitOptions,
  ): Promise<void> {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    this.#run(encoder, tensors, usual, true);
    const written = tensors.filter((t) => t.written);
    written.forEach((t, i) => {
      const to = expected[i] as Range;
      encoder.copyBufferToBuffer(t.buffer, t.offset, to.buffer, to.offset, t.size);
    });
    this.#gpu.submit([encoder.finish()]);
    const samples = expected.map((r) => sampled(r));
    const bytes = await this.#read(samples.flat(), options);
    const limits = new Float32Array((written.length * apart) / 4);
    let at = 0;
    for (const [i, { dtype }] of written.entries()) {
      const size = (samples[i] as readonly Range[]).reduce((n, r) => n + r.size, 0);
      limits.set([tolerance, typicalOf(numbers(dtype, bytes.slice(at, at + size)))], (i * apart) / 4);
      at += size;
    }
    this.#gpu.write(memory.limits, 0, new Uint8Array(limits.buffer));
  }

  /** The bytes of the ranges, one after the other. */
  async #read(ranges: readonly Range[], options: WaitOptions): Promise<ArrayBuffer> {
    const { device } = this.#gpu;
    const size = ranges.reduce((n, r) => n + r.size, 0);
    const staging = device.createBuffer({ size, usage: usage.mapRead | usage.copyDst });
    try {
      const encoder = device.createCommandEncoder();
      let at = 0;
      for (const r of ranges) {
        encoder.copyBufferToBuffer(r.buffer, r.offset, staging, at, r.size);
        at += r.size;
      }
      this.#gpu.submit([encoder.finish()]);
      await this.#gpu.wait(
        "reading results",
        pace(() => staging.mapAsync(mapModeRead)),
        options,
      );
      return staging.getMappedRange().slice(0);
    } finally {
      staging.destroy();
    }
  }

  dispose(): void {
    this.filler.dispose();
  }
}

/** All of a range, or slices of it. */
function sampled({ buffer, offset, size }: Range): readonly Range[] {
  if (size <= mostSampled) return [{ buffer, offset, size }];
  const each = mostSampled / slices;
  const step = (size - each) / 4 / (slices - 1);
  return Array.from({ length: slices }, (_, i) => ({ buffer, offset: offset + Math.floor(step * i) * 4, size: each }));
}

function numbers(dtype: DType, bytes: ArrayBuffer): Float64Array {
  if (dtype === "f32") return new Float64Array(new Float32Array(bytes));
  if (dtype === "f16") return Float64Array.from(new Uint16Array(bytes), fromHalfBits);
  return new Float64Array(dtype === "i32" ? new Int32Array(bytes) : new Uint32Array(bytes));
}
