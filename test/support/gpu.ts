import { afterAll, beforeAll } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import { toHalfBits } from "../../src/base/half.ts";
import { openDevice } from "../../src/node/device.ts";
import type { Gpu } from "../../src/runtime/gpu.ts";

export type HostData = Float32Array | Uint16Array | Int32Array | Uint32Array | Uint8Array;

/** Numbers as the typed array that a run takes. */
export function hostData(dtype: DType, data: ArrayLike<number>): HostData {
  if (dtype === "i32") return Int32Array.from(data);
  if (dtype === "u32") return Uint32Array.from(data);
  return dtype === "bool" ? Uint8Array.from(data) : Float32Array.from(data);
}

/** Host data of `count` equal elements; halves as their bits, so that large tensors are cheap. */
export function filledData(dtype: DType, value: number, count: number): HostData {
  return dtype === "f16" ? new Uint16Array(count).fill(toHalfBits(value)) : filled[dtype](count).fill(value);
}
const filled: Readonly<Record<Exclude<DType, "f16">, (n: number) => Exclude<HostData, Uint16Array>>> = {
  f32: (n) => new Float32Array(n),
  i32: (n) => new Int32Array(n),
  u32: (n) => new Uint32Array(n),
  bool: (n) => new Uint8Array(n),
};

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
