import { SinterError } from "../../base/diagnostic.ts";

/** What a kernel runtime has done since it was made. */
export interface KernelCounters {
  /** Pipelines created. */
  pipelines: number;
  /** Those of them that a `run` had to create, because no warm-up had. */
  latePipelines: number;
  bindGroups: number;
  buffers: number;
  /** Argument blocks written. */
  slots: number;
  dispatches: number;
  /** `queue.submit` calls, those of warm-ups included. */
  submits: number;
}

/** What the parts of one runtime share: its device, and that every wait ends. */
export interface Core {
  readonly device: GPUDevice;
  readonly features: ReadonlySet<string>;
  readonly counters: KernelCounters;
  /** Throws once the device is lost or the runtime disposed. */
  check(): void;
  end(code: string, message: string, hint: string): void;
  /**
   * The promise's value; rejects when the device is lost, the runtime disposed, or `stop` rejects. After a loss WebGPU's
   * own promises resolve as if nothing had happened, or never.
   */
  wait<T>(promise: Promise<T>, stop?: Promise<never>): Promise<T>;
  buffer(label: string, size: number, usage: number): GPUBuffer;
  submit(encoder: GPUCommandEncoder): void;
}

export function makeCore(device: GPUDevice, features: Iterable<string>): Core {
  let ended: SinterError | undefined;
  let reject: (error: SinterError) => void;
  const over = new Promise<never>((_, r) => {
    reject = r;
  });
  over.catch(() => undefined);
  const core: Core = {
    device,
    features: new Set([...features].filter((f) => device.features.has(f))),
    counters: { pipelines: 0, latePipelines: 0, bindGroups: 0, buffers: 0, slots: 0, dispatches: 0, submits: 0 },
    check() {
      if (ended) throw ended;
    },
    end(code, message, hint) {
      ended ??= new SinterError({ code, message, hint });
      reject(ended);
    },
    async wait(promise, stop = over) {
      const value = await Promise.race([stop, over, promise]);
      core.check();
      return value;
    },
    buffer(label, size, usage) {
      core.counters.buffers++;
      return device.createBuffer({ label, size, usage });
    },
    submit(encoder) {
      core.counters.submits++;
      device.queue.submit([encoder.finish()]);
    },
  };
  device.lost.then(({ reason, message }) => {
    const why = message || reason || "unknown reason";
    core.end("device-lost", `the GPU device was lost (${why})`, "open a new device and make a runtime for it");
  });
  return core;
}
