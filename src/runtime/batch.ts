import { fail } from "../base/diagnostic.ts";
import type { DType } from "../base/dtype.ts";
import type { PortSpec } from "../manifest/manifest.ts";
import { checkSession } from "./check-session.ts";
import type { Gpu, WaitOptions } from "./gpu.ts";
import { bindInputs, checkType, type InputValue } from "./inputs.ts";
import { checkOptions } from "./options.ts";
import { type Call, makeCall, startCalls } from "./run.ts";
import type { Session } from "./session.ts";
import type { GpuTensor, Place } from "./tensor.ts";
import type { HostArray } from "./values.ts";

/** What a run of a batch takes for one input: also results of earlier runs of the same batch. */
export type BatchInput = InputValue | BatchTensor;

/** A result that exists once its batch is submitted. */
export class BatchTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** @internal */
  readonly batch: Batch;
  readonly #call: Call;
  readonly #index: number;
  /** @internal Set by the batch. */
  result: GpuTensor | undefined;
  #disposed = false;

  /** @internal */
  constructor(batch: Batch, call: Call, port: PortSpec, index: number) {
    this.batch = batch;
    this.name = port.name;
    this.dtype = port.dtype;
    this.shape = port.shape;
    this.#call = call;
    this.#index = index;
  }

  /** @internal Known while the batch is encoded. */
  get place(): Place {
    const lease = this.#call.results[this.#index];
    if (!lease) return this.tensor.place;
    return { buffer: lease.buffer, offset: 0 };
  }

  /** The tensor, after the batch was submitted. */
  get tensor(): GpuTensor {
    if (this.#disposed)
      fail("disposed", `batch result ${JSON.stringify(this.name)} was disposed`, {
        hint: "read or pass it on before disposing it",
      });
    return (
      this.result ??
      fail("not-submitted", `${JSON.stringify(this.name)} is a result of a batch that has not been submitted`, {
        hint: "await batch.submit() first",
      })
    );
  }

  /** As {@link GpuTensor.data}. Fails with `not-submitted` before the batch's submit has ended. */
  async data(options: WaitOptions = {}): Promise<HostArray> {
    return this.tensor.data(options);
  }

  /** Gives the memory back; before the submit, the result is dropped as soon as it exists. */
  dispose(): void {
    this.#disposed = true;
    this.result?.dispose();
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Runs that are recorded one by one and go to the GPU together in one submit. Every run sees its own inputs, also when
 * several are of one session: host data is copied when it is given. Sessions must live until the submit.
 */
export class Batch {
  readonly gpu: Gpu;
  readonly #calls: { readonly call: Call; readonly handles: readonly BatchTensor[] }[] = [];
  #state: "open" | "submitted" | "disposed" = "open";

  /** @internal Use `gpu.batch()`. */
  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /** Records a run of `session`; returns one handle for each of the session's outputs, by name. */
  run(session: Session, inputs: Readonly<Record<string, BatchInput>> = {}): Record<string, BatchTensor> {
    this.#checkOpen();
    this.gpu.check();
    checkSession("batch.run", session, "loaded");
    if (session.gpu !== this.gpu)
      fail("wrong-device", "the session lives on another device than the batch", {
        hint: "load the program on the batch's device, or start a batch there",
      });
    const { manifest, loaded } = session;
    const bound = bindInputs(this.gpu, "input", manifest.inputs, inputs, loaded.storage.rebindable, (value, port) => {
      if (!(value instanceof BatchTensor)) return undefined;
      this.#checkHandle(value, port);
      return { source: value, bind: true };
    });
    const own = bound.inputs.map((i) => (i.kind === "bytes" ? { ...i, bytes: i.bytes.slice() } : i));
    const call = makeCall(session, { ...bound, inputs: own });
    const handles = session.outputs.map((port, i) => new BatchTensor(this, call, port, i));
    this.#calls.push({ call, handles });
    return Object.fromEntries(handles.map((h) => [h.name, h]));
  }

  #checkOpen(): void {
    if (this.#state === "submitted") {
      fail("already-submitted", "the batch was already submitted", { hint: "start a new batch" });
    }
    if (this.#state === "disposed") fail("disposed", "the batch was disposed", { hint: "start a new batch" });
  }

  #checkHandle(handle: BatchTensor, port: PortSpec): void {
    const name = JSON.stringify(port.name);
    if (handle.batch !== this) {
      fail("foreign-handle", `the value given for ${name} is a result of another batch`, {
        hint: "submit that batch first and pass its result's .tensor",
      });
    }
    if (handle.disposed)
      fail("disposed", `the batch result given for ${name} was disposed`, {
        hint: "read or pass it on before disposing it",
      });
    checkType(port, handle);
  }

  /** Sends every recorded run to the GPU in one submit. A batch is submitted once. */
  async submit(options: WaitOptions = {}): Promise<void> {
    this.#checkOpen();
    checkOptions("submit", options, ["signal"]);
    this.gpu.check();
    this.#state = "submitted";
    if (this.#calls.length === 0) return;
    const results = await startCalls(
      this.gpu,
      this.#calls.map((c) => c.call),
      { ...options, slots: true },
    );
    this.#calls.forEach(({ handles }, n) => {
      for (const h of handles) {
        const tensor = results[n]![h.name]!;
        h.result = tensor;
        if (h.disposed) tensor.dispose();
      }
    });
  }

  /** Drops a batch that is not to be submitted. */
  dispose(): void {
    if (this.#state === "open") this.#state = "disposed";
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
