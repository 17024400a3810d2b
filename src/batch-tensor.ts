import { fail } from "./base/diagnostic.ts";
import type { DType } from "./base/dtype.ts";
import type { BatchTensor as RuntimeTensor } from "./runtime/batch.ts";
import type { WaitOptions } from "./runtime/gpu.ts";
import type { GpuTensor } from "./runtime/tensor.ts";
import type { HostArray } from "./runtime/values.ts";

/** A result of a batch: its shape is known at once, its content once the batch is submitted. */
export class BatchTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** @internal The batch it belongs to. */
  readonly batch: object;
  /** @internal Set when the batch is encoded. */
  inner: RuntimeTensor | undefined;
  #disposed = false;

  /** @internal */
  constructor(
    batch: object,
    type: { readonly name: string; readonly dtype: DType; readonly shape: readonly number[] },
  ) {
    this.batch = batch;
    this.name = type.name;
    this.dtype = type.dtype;
    this.shape = type.shape;
  }

  /** The tensor on the GPU. Fails with `not-submitted` before the batch's submit has ended. */
  get tensor(): GpuTensor {
    if (this.#disposed) fail("disposed", `batch result ${JSON.stringify(this.name)} was disposed`);
    return (
      this.inner?.tensor ??
      fail("not-submitted", `${JSON.stringify(this.name)} is a result of a batch that has not been submitted`, {
        hint: "await batch.submit() first",
      })
    );
  }

  /** The elements, as of a tensor on the GPU. Fails with `not-submitted` before the batch's submit has ended. */
  async data(options: WaitOptions = {}): Promise<HostArray> {
    return this.tensor.data(options);
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Gives the memory back; before the submit, the result is dropped as soon as it exists. */
  dispose(): void {
    this.#disposed = true;
    this.inner?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
