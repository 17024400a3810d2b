import { afterAll, beforeAll } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import { openDevice } from "../../src/node/device.ts";
import type { Gpu } from "../../src/runtime/gpu.ts";

/** Host data for a tensor: Float64 values as the typed array that a run takes. */
export function hostData(dtype: DType, data: ArrayLike<number>): Float32Array | Int32Array | Uint32Array | Uint8Array {
  if (dtype === "i32") return Int32Array.from(data);
  if (dtype === "u32") return Uint32Array.from(data);
  return dtype === "bool" ? Uint8Array.from(data) : Float32Array.from(data);
}

/** One device for the tests of a file, on the adapter that SINTER_ADAPTER names or the default one. */
export function sharedGpu(): () => Gpu {
  let gpu: Gpu | undefined;
  beforeAll(async () => {
    gpu = await openDevice();
  });
  afterAll(() => gpu?.dispose());
  return () => {
    if (!gpu) throw new Error("no device yet");
    return gpu;
  };
}
