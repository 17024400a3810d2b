import { fail, SinterError } from "../base/diagnostic.ts";
import type { DType } from "../base/dtype.ts";
import { aborted, thrownError } from "./errors.ts";
import { checkGpu, type Gpu, type WaitOptions } from "./gpu.ts";
import { checkOptions } from "./options.ts";
import type { Lease } from "./pool.ts";
import { bytesOf, elements, fromBytes, type HostArray, type HostValue, toBytes } from "./values.ts";

/** Where a tensor's bytes lie. Without a lease the buffer is somebody else's. */
export interface Place {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly lease?: Lease | undefined;
}

/** A copy that already runs into a staging buffer. */
interface Prefetch {
  readonly staging: Lease;
  readonly epoch: number;
}

/** Gives buffers back whose tensors were forgotten instead of disposed. */
const forgotten = new FinalizationRegistry<Lease>((lease) => lease.release());

/**
 * A tensor on the GPU. A result of a run keeps its content whatever runs later, until it is disposed; `session.state`
 * and wrapped buffers show what their memory holds when they are read.
 */
export class GpuTensor {
  readonly gpu: Gpu;
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly #place: Place;
  readonly #epoch: number;
  readonly #owner: { readonly disposed: boolean } | undefined;
  #prefetch: Prefetch | undefined;
  #disposed = false;

  /** @internal */
  constructor(
    gpu: Gpu,
    type: { readonly name: string; readonly dtype: DType; readonly shape: readonly number[] },
    place: Place,
    more: { epoch?: number; owner?: { readonly disposed: boolean }; prefetch?: Prefetch } = {},
  ) {
    this.gpu = gpu;
    this.name = type.name;
    this.dtype = type.dtype;
    this.shape = type.shape;
    this.#place = place;
    this.#epoch = more.epoch ?? gpu.epoch;
    this.#owner = more.owner;
    this.#prefetch = more.prefetch;
    if (place.lease) forgotten.register(this, place.lease, this);
  }

  /** The buffer that holds the tensor, from byte `offset` on. */
  get buffer(): GPUBuffer {
    this.check();
    return this.#place.buffer;
  }

  get offset(): number {
    return this.#place.offset;
  }

  get size(): number {
    return elements(this.shape);
  }

  get disposed(): boolean {
    return this.#disposed || (this.#owner?.disposed ?? false);
  }

  /** @internal The memory, held until the lease is released again. */
  get place(): Place {
    this.check();
    return this.#place;
  }

  /** @internal Whether its memory belongs to a session that writes it. */
  get shared(): boolean {
    return this.#owner !== undefined;
  }

  /** @internal Fails with `disposed`. */
  check(): void {
    if (this.disposed) {
      fail("disposed", `tensor ${JSON.stringify(this.name)} was disposed`, {
        hint: "read or pass it on before disposing it",
      });
    }
  }

  /**
   * The elements in row-major order: Float32Array for f32 and f16, Int32Array, Uint32Array, and Uint8Array of 0 and 1
   * for bool. The content is that of the moment of the call.
   */
  async data(options: WaitOptions = {}): Promise<HostArray> {
    const [array] = await readTensors(this.gpu, [this], options);
    return array!;
  }

  /** @internal */
  takePrefetch(): Prefetch | undefined {
    const p = this.#prefetch;
    this.#prefetch = undefined;
    return p;
  }

  /** @internal Device errors after this position make the content doubtful. */
  get epoch(): number {
    return this.#owner ? this.gpu.epoch : this.#epoch;
  }

  /** Gives the memory back. Work that already uses it is not disturbed. State stays: it is its session's. */
  dispose(): void {
    if (this.#disposed || this.#owner) return;
    this.#disposed = true;
    this.#prefetch?.staging.release();
    this.#prefetch = undefined;
    if (this.#place.lease) {
      forgotten.unregister(this);
      this.#place.lease.release();
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The contents of several tensors, read back with one submit. */
export async function readTensors(
  gpu: Gpu,
  tensors: readonly GpuTensor[],
  options: WaitOptions = {},
): Promise<HostArray[]> {
  checkGpu("readTensors", gpu);
  checkOptions("data", options, ["signal"]);
  gpu.check();
  const { signal } = options;
  if (signal?.aborted) throw aborted("reading back", signal);
  for (const t of tensors) {
    if (t.gpu !== gpu)
      fail("wrong-device", `tensor ${JSON.stringify(t.name)} lives on another device`, {
        hint: "read it with its own data()",
      });
    t.check();
  }
  const reads = tensors.map(planRead);
  let jobs: Read[];
  try {
    jobs = await gpu.inOrder(() => startReads(gpu, reads, options));
  } catch (e) {
    for (const r of reads) r.prefetch?.staging.release("destroy");
    throw e;
  } finally {
    for (const r of reads) r.place.lease?.release();
  }
  const results = await Promise.allSettled(
    jobs.map((job) => job.staging && mapped(gpu, job.staging, job.bytes, options)),
  );
  return results.map((r, i) => {
    const { epoch, tensor } = jobs[i]!;
    if (r.status === "rejected") throw r.reason;
    const error = gpu.errorSince(epoch);
    if (error) throw error;
    return fromBytes(tensor.dtype, tensor.size, r.value ?? new ArrayBuffer(0));
  });
}

interface PlannedRead {
  readonly tensor: GpuTensor;
  /** Held until the copy is submitted: the tensor may be disposed as soon as its read was asked for. */
  readonly place: Place;
  /** 0 for an empty tensor, which needs no copy. */
  readonly bytes: number;
  readonly prefetch: Prefetch | undefined;
  readonly epoch: number;
}

interface Read {
  readonly tensor: GpuTensor;
  readonly staging: Lease | undefined;
  readonly bytes: number;
  readonly epoch: number;
}

function planRead(tensor: GpuTensor): PlannedRead {
  const { place } = tensor;
  place.lease?.retain();
  const bytes = tensor.size === 0 ? 0 : bytesOf(tensor);
  const prefetch = bytes > 0 ? tensor.takePrefetch() : undefined;
  return { tensor, place, bytes, prefetch, epoch: prefetch?.epoch ?? tensor.epoch };
}

function startReads(gpu: Gpu, reads: readonly PlannedRead[], options: WaitOptions): Read[] | Promise<Read[]> {
  const missing = reads.filter((r) => r.bytes > 0 && !r.prefetch);
  const finish = (leases: readonly Lease[]): Read[] => {
    const staging = new Map(missing.map((r, n) => [r, leases[n]!]));
    try {
      if (missing.length > 0) gpu.guard("read back results", () => submitCopies(gpu, staging));
    } catch (e) {
      for (const l of leases) l.release("destroy");
      throw e;
    }
    return reads.map((r) => ({ ...r, staging: r.prefetch?.staging ?? staging.get(r) }));
  };
  const free = missing.map((r) => gpu.pool.tryAcquire("staging", r.bytes));
  if (free.every((l) => l !== undefined)) return finish(free);
  for (const l of free) l?.release();
  const sizes = missing.map((r) => r.bytes);
  return gpu.pool.acquire("staging", sizes, "read back results", options.signal).then(finish);
}

function submitCopies(gpu: Gpu, staging: ReadonlyMap<PlannedRead, Lease>): void {
  const encoder = gpu.device.createCommandEncoder();
  for (const [{ place, bytes }, lease] of staging) {
    encoder.copyBufferToBuffer(place.buffer, place.offset, lease.buffer, 0, bytes);
  }
  gpu.submit([encoder.finish()]);
  gpu.counters.readbacks++;
}

async function mapped(gpu: Gpu, staging: Lease, bytes: number, options: WaitOptions): Promise<ArrayBuffer> {
  let clean = false;
  try {
    await gpu.wait("reading back", gpu.map(staging.buffer, bytes), options);
    const copy = staging.buffer.getMappedRange(0, bytes).slice(0);
    staging.buffer.unmap();
    clean = true;
    gpu.counters.bytesRead += bytes;
    return copy;
  } catch (e) {
    throw await gpu.reason(e instanceof SinterError ? e : thrownError("read back a result", e));
  } finally {
    // A buffer whose mapping failed or is still pending is of no use to the next.
    staging.release(clean ? "reuse" : "destroy");
  }
}

/**
 * A tensor on the GPU made of host data, or around a buffer that the caller owns (with usage STORAGE and COPY_SRC, and
 * at least as large as the tensor).
 */
export async function makeTensor(
  gpu: Gpu,
  value: HostValue | GPUBuffer,
  type: { readonly dtype: DType; readonly shape: readonly number[]; readonly name?: string; readonly offset?: number },
): Promise<GpuTensor> {
  checkGpu("makeTensor", gpu);
  gpu.check();
  const t = { name: type.name ?? "tensor", dtype: type.dtype, shape: [...type.shape] };
  if (isGpuBuffer(value)) {
    const offset = type.offset ?? 0;
    if (offset % 256 !== 0) {
      fail("bad-buffer", `offset ${offset} is not a multiple of 256`, {
        cause: "WebGPU binds buffers from multiples of 256 bytes on",
        hint: "copy the tensor to the start of a buffer of its own",
      });
    }
    if (offset + bytesOf(t) > value.size) {
      fail("bad-buffer", `a buffer of ${value.size} bytes does not hold ${bytesOf(t)} bytes from ${offset} on`, {
        hint: `create it with size ${offset + bytesOf(t)} or more`,
      });
    }
    return new GpuTensor(gpu, t, { buffer: value, offset });
  }
  const bytes = toBytes(t, value).slice();
  const lease = await gpu.inOrder(async () => {
    const [taken] = (await gpu.pool.acquire("storage", [bytesOf(t)], "make a tensor")) as [Lease];
    try {
      if (bytes.length > 0) gpu.guard("write a tensor", () => gpu.write(taken.buffer, 0, bytes));
      return taken;
    } catch (e) {
      taken.release();
      throw e;
    }
  });
  return new GpuTensor(gpu, t, { buffer: lease.buffer, offset: 0, lease });
}

/** By shape, not by class: several copies of WebGPU's classes may be loaded, and hosts differ in which are global. */
export const isGpuBuffer = (v: unknown): v is GPUBuffer =>
  typeof v === "object" && v !== null && "mapState" in v && "usage" in v && "size" in v && "destroy" in v;
