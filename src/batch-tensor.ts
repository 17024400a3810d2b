import { fail } from "./base/diagnostic.ts";
import type { DType } from "./base/dtype.ts";
import type { BatchTensor as RuntimeTensor } from "./runtime/batch.ts";
import type { WaitOptions } from "./runtime/gpu.ts";
import { GpuTensor } from "./runtime/tensor.ts";
import type { HostArray } from "./runtime/values.ts";

/** A result of a batch: its shape is known at once, its content once the batch is submitted. */
export class BatchTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** @internal The batch it belongs to. */
  readonly batch: object;
  #inner: RuntimeTensor | GpuTensor | undefined;
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

  /** @internal What stands for it in the batch that is encoded: a result, or a session's state, which is not its own. */
  get inner(): RuntimeTensor | GpuTensor | undefined {
    return this.#inner;
  }

  /** @internal */
  resolve(inner: RuntimeTensor | GpuTensor | undefined): void {
    this.#inner = inner;
    if (this.#disposed) this.dispose();
  }

  /** The tensor on the GPU. Fails with `not-submitted` before the batch's submit has ended. */
  get tensor(): GpuTensor {
    if (this.#disposed)
      fail("disposed", `batch result ${JSON.stringify(this.name)} was disposed`, {
        hint: "read or pass it on before disposing it",
      });
    const inner = this.#inner;
    if (inner === undefined) {
      fail("not-submitted", `${JSON.stringify(this.name)} is a result of a batch that has not been submitted`, {
        hint: "await batch.submit() first",
      });
    }
    return inner instanceof GpuTensor ? inner : inner.tensor;
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
    if (!(this.#inner instanceof GpuTensor)) this.#inner?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
