import { fail, SinterError } from "../base/diagnostic.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import type { Tuning } from "../manifest/tuning.ts";
import { after, nextTurn } from "./after.ts";
import { Batch } from "./batch.ts";
import type { CompileQueue } from "./compiling.ts";
import { type Counters, makeCounters } from "./counters.ts";
import { describe } from "./describe.ts";
import { aborted, gpuError, thrownError, timedOut } from "./errors.ts";
import { checkOptions } from "./options.ts";
import { pace } from "./pace.ts";
import { PipelineCache } from "./pipelines.ts";
import { BufferPool } from "./pool.ts";
import { type Fault, type TestedFeature, without } from "./self-test.ts";
import { mapModeRead } from "./usage.ts";

/** Options of calls that wait for the device. */
export interface WaitOptions {
  /** Ends a pending call with the error `aborted`. */
  readonly signal?: AbortSignal | undefined;
}

export interface GpuOptions {
  /** The adapter's name, for people. */
  readonly adapterName: string;
  readonly info?: GPUAdapterInfo | undefined;
  /** Longest time any one wait for the device may take, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** The device belongs to the caller: `dispose` leaves it alive. */
  readonly borrowed?: boolean | undefined;
  /** Who compiles what in a warm-up, for hosts whose WebGPU has few threads of its own for that; `ended`: is the device gone? */
  readonly compilers?: ((ended: () => boolean) => CompileQueue) | undefined;
  readonly checkMemory?: boolean | undefined;
  readonly tuning?: Tuning | undefined;
}

/**
 * An open device with what its sessions share: compiled pipelines, pooled buffers, counters, and the rule that every
 * wait ends. After the device is lost or disposed every call rejects with `device-lost` or `disposed`.
 */
export class Gpu {
  readonly device: GPUDevice;
  readonly counters: Counters = makeCounters();
  readonly pipelines: PipelineCache;
  /** Resolves when the device is gone, with the reason; never rejects. */
  readonly lost: Promise<GPUDeviceLostInfo>;
  readonly adapterName: string;
  readonly info: GPUAdapterInfo | undefined;
  /** Whether programs run so that misuse of memory shows: see {@link MemoryChecks}. */
  readonly checkMemory: boolean;
  /** The measurements that programs are compiled by. */
  readonly tuning: Tuning;
  /** @internal */
  readonly pool: BufferPool;
  /** @internal Who compiles what in a warm-up; undefined where WebGPU sees to that. */
  readonly compilers: CompileQueue | undefined;

  /** @internal What cost the device its features. */
  readonly losses = new Map<TestedFeature, Fault>();

  readonly #timeoutMs: number;
  readonly #borrowed: boolean;
  #capabilities: Capabilities;
  #ended: SinterError | undefined;
  #waiting = new Set<(error: SinterError) => void>();
  #errorCount = 0;
  #lastError: SinterError | undefined;
  #unreported: SinterError | undefined;
  #tail: Promise<void> | undefined;

  constructor(device: GPUDevice, capabilities: Capabilities, options: GpuOptions) {
    this.device = device;
    this.#capabilities = capabilities;
    this.adapterName = options.adapterName;
    this.info = options.info;
    this.#timeoutMs = options.timeoutMs ?? 300_000;
    this.#borrowed = options.borrowed ?? false;
    this.compilers = options.compilers?.(() => this.ended);
    this.checkMemory = options.checkMemory ?? false;
    this.tuning = options.tuning ?? "auto";
    this.pipelines = new PipelineCache(this);
    this.pool = new BufferPool(this);
    device.addEventListener("uncapturederror", this.#onError);
    this.lost = device.lost.then((info) => {
      this.#end(
        new SinterError({
          code: "device-lost",
          message: `the GPU device was lost (${info.reason || "unknown reason"})`,
          ...(info.message ? { cause: info.message } : {}),
          hint: "open a new device and load the program again",
        }),
      );
      return info;
    });
  }

  /** What kernels may use. A feature that fails its self-test, when a program that uses it is loaded, is gone from then on. */
  get capabilities(): Capabilities {
    return this.#capabilities;
  }

  /** @internal Takes a faulty feature away. */
  lose(feature: TestedFeature, fault: Fault): void {
    this.#capabilities = without(this.#capabilities, feature);
    this.losses.set(feature, fault);
  }

  readonly #onError = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault?.();
    const error = gpuError(event.error, "the GPU refused work of an earlier call");
    this.#errorCount++;
    this.#lastError = error;
    this.#unreported = error;
  };

  #end(error: SinterError): void {
    this.#ended ??= error;
    for (const reject of this.#waiting) reject(this.#ended);
    this.#waiting.clear();
    this.compilers?.close();
  }

  /** Throws when the device is gone, or once for an error that the device reported outside any call. */
  check(): void {
    if (this.#ended) throw this.#ended;
    const error = this.#unreported;
    this.#unreported = undefined;
    if (error) throw error;
  }

  /**
   * @internal Why a call failed: where its device was lost, that. WebGPU may throw before it tells of the loss.
   */
  async reason(error: unknown): Promise<unknown> {
    if (!(error instanceof SinterError && error.code === "gpu-internal")) return error;
    await Promise.race([this.lost, nextTurn()]);
    return this.#ended ?? error;
  }

  /** Whether the device is lost or disposed. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** @internal How many errors the device has reported outside any call; {@link errorSince} tells whether one came after. */
  get epoch(): number {
    return this.#errorCount;
  }

  /** @internal A result of work that an error may have hit is never handed out. */
  errorSince(epoch: number): SinterError | undefined {
    if (this.#errorCount === epoch) return undefined;
    this.#unreported = undefined;
    return this.#lastError;
  }

  /**
   * The promise's value; rejects when the device is lost or disposed, the signal aborts, or the time is over, whichever
   * comes first. After device loss most of WebGPU's promises resolve as if nothing had happened, and some never do.
   */
  wait<T>(what: string, promise: Promise<T>, options: WaitOptions = {}): Promise<T> {
    const { signal } = options;
    return new Promise<T>((resolve, reject) => {
      const finish = (settle: () => void): void => {
        this.#waiting.delete(fail);
        signal?.removeEventListener("abort", onAbort);
        clearTimeout(timer);
        settle();
      };
      const fail = (error: unknown): void => finish(() => reject(error));
      const onAbort = (): void => fail(aborted(what, signal));
      const timer = after(this.#timeoutMs, () => fail(timedOut(what, this.#timeoutMs)));
      promise.then(
        (value) => (this.#ended ? fail(this.#ended) : finish(() => resolve(value))),
        (error) => fail(this.#ended ?? error),
      );
      if (this.#ended) fail(this.#ended);
      else if (signal?.aborted) onAbort();
      else {
        this.#waiting.add(fail);
        signal?.addEventListener("abort", onAbort, { once: true });
      }
    });
  }

  /** @internal Runs `body` with validation and out-of-memory errors captured; resolves once the device has answered. */
  async scoped<T>(what: string, body: () => T, options: WaitOptions = {}): Promise<T> {
    const { device } = this;
    const filters = ["out-of-memory", "validation"] as const;
    let pushed = 0;
    let result: { value: T } | { thrown: unknown };
    try {
      for (const f of filters) {
        device.pushErrorScope(f);
        pushed++;
      }
      result = { value: body() };
    } catch (thrown) {
      result = { thrown };
    }
    try {
      const answers = filters.slice(0, pushed).map(() => pace(() => device.popErrorScope()));
      for (const a of answers) a.catch(() => undefined);
      const [validation, memory] = await this.wait(what, Promise.all(answers), options);
      if ("thrown" in result) throw result.thrown;
      const error = memory ?? validation;
      if (error) throw gpuError(error, `the GPU refused to ${what}`);
      return result.value;
    } catch (e) {
      throw await this.reason(e instanceof SinterError ? e : thrownError(what, e));
    }
  }

  /** @internal What `body` throws becomes a diagnostic. */
  guard<T>(what: string, body: () => T): T {
    try {
      return body();
    } catch (e) {
      throw e instanceof SinterError ? e : thrownError(what, e);
    }
  }

  /** @internal Whether jobs of {@link inOrder} are pending. */
  get busy(): boolean {
    return this.#tail !== undefined;
  }

  /**
   * @internal Jobs take effect on the queue in the order of calls, although some have to wait for memory first. A job
   * runs at once when none is pending.
   */
  inOrder<T>(job: () => T | Promise<T>): Promise<T> {
    const before = this.#tail;
    let result: Promise<T>;
    if (before) {
      result = before.then(job);
    } else {
      try {
        const value = job();
        if (!(value instanceof Promise)) return Promise.resolve(value);
        result = value;
      } catch (e) {
        result = Promise.reject(e);
      }
    }
    result = result.catch(async (e: unknown) => {
      throw await this.reason(e);
    });
    const tail: Promise<void> = result
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => {
        if (this.#tail === tail) this.#tail = undefined;
      });
    this.#tail = tail;
    return result;
  }

  /** @internal */
  submit(commands: GPUCommandBuffer[]): void {
    this.device.queue.submit(commands);
    this.counters.submits++;
  }

  /** @internal */
  write(buffer: GPUBuffer, offset: number, data: Uint8Array): void {
    this.device.queue.writeBuffer(buffer, offset, data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    this.counters.bytesWritten += data.byteLength;
  }

  /** @internal WebGPU's own promise of {@link idle}. */
  done(): Promise<undefined> {
    return pace(() => this.device.queue.onSubmittedWorkDone());
  }

  /** @internal Maps a buffer for reading, once what was submitted has written it. */
  map(buffer: GPUBuffer, size?: number): Promise<undefined> {
    return pace(() => buffer.mapAsync(mapModeRead, 0, size));
  }

  /** Resolves when everything submitted so far is done. */
  async idle(options: WaitOptions = {}): Promise<void> {
    checkOptions("idle", options, ["signal"]);
    this.check();
    const { epoch } = this;
    try {
      await this.wait("finishing submitted work", this.done(), options);
    } catch (e) {
      throw await this.reason(e instanceof SinterError ? e : thrownError("finish submitted work", e));
    }
    const error = this.errorSince(epoch);
    if (error) throw error;
  }

  /** A batch: runs recorded one by one that go to the GPU in one submit. */
  batch(): Batch {
    this.check();
    return new Batch(this);
  }

  /** Destroys buffers that nothing uses; returns the bytes freed. */
  trim(): number {
    return this.pool.trim();
  }

  /** Ends every session and pending call, and destroys the device unless it is the caller's. */
  dispose(): void {
    if (this.#ended?.code === "disposed") return;
    this.pool.trim();
    this.#ended = new SinterError({
      code: "disposed",
      message: "the GPU was disposed",
      hint: "open a device that lives as long as its sessions",
    });
    this.#end(this.#ended);
    this.device.removeEventListener("uncapturederror", this.#onError);
    if (!this.#borrowed) this.device.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Fails with `bad-arguments` unless a value is an open device, whichever copy of this module opened it. */
export function checkGpu(call: string, v: unknown): asserts v is Gpu {
  if (typeof v === "object" && v !== null && "pipelines" in v && "capabilities" in v) return;
  let hint = "open one: const gpu = await openDevice()";
  if (v instanceof Promise) hint = "await it: const gpu = await openDevice()";
  else if (typeof v === "object" && v !== null && "createBuffer" in v) hint = "wrap it: await openDevice({ device })";
  fail("bad-arguments", `${call} takes the device that openDevice gives, not ${describe(v)}`, { hint });
}
