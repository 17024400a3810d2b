import { fail } from "../../base/diagnostic.ts";
import type { DType } from "../../base/dtype.ts";
import { fromHalfBits, toHalfBits } from "../../base/half.ts";
import type { HostArray } from "../../frontend/host.ts";

/** How a dtype of the file format is read: its size, and what its elements become. */
export interface FileDType {
  /** Of one element. */
  readonly bits: number;
  readonly dtype?: DType;
  /** The elements of `bytes`, whose memory is the function's own; absent where no dtype of ours holds them. */
  read?(bytes: Uint8Array<ArrayBuffer>, name: string): HostArray;
}

type View<T> = new (buffer: ArrayBuffer, offset: number, length: number) => T;

/** The bytes as numbers, copied only where they begin off the alignment of the numbers. */
function view<T>(Of: View<T> & { readonly BYTES_PER_ELEMENT: number }, bytes: Uint8Array<ArrayBuffer>): T {
  const aligned = bytes.byteOffset % Of.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new Of(aligned.buffer, aligned.byteOffset, aligned.byteLength / Of.BYTES_PER_ELEMENT);
}

/** bfloat16 is the upper half of an f32. */
function widenBrain(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16;
  return new Float32Array(words.buffer);
}

/** 64-bit integers in 32 bits. @throws SinterError `bad-number` where one does not fit */
function narrow<A extends Int32Array | Uint32Array>(from: BigInt64Array | BigUint64Array, to: A, name: string): A {
  for (let i = 0; i < from.length; i++) {
    to[i] = Number(from[i]);
    if (BigInt(to[i] as number) === from[i]) continue;
    fail("bad-number", `tensor ${JSON.stringify(name)} holds ${from[i]}, which does not fit 32 bits`, {
      cause: "there are no 64-bit dtypes on the GPU",
      hint: "leave the tensor out with { select }, or store it with 32 bits",
    });
  }
  return to;
}

/** The dtypes of the format, by their names in files. Those of 4, 6 and 8 bits are known so that their sizes can be checked. */
export const fileDTypes: Readonly<Record<string, FileDType>> = {
  F64: { bits: 64, dtype: "f32", read: (b) => Float32Array.from(view(Float64Array, b)) },
  F32: { bits: 32, dtype: "f32", read: (b) => view(Float32Array, b) },
  F16: { bits: 16, dtype: "f16", read: (b) => Float32Array.from(view(Uint16Array, b), fromHalfBits) },
  BF16: { bits: 16, dtype: "f32", read: (b) => widenBrain(view(Uint16Array, b)) },
  I64: {
    bits: 64,
    dtype: "i32",
    read: (b, name) => narrow(view(BigInt64Array, b), new Int32Array(b.length / 8), name),
  },
  U64: {
    bits: 64,
    dtype: "u32",
    read: (b, name) => narrow(view(BigUint64Array, b), new Uint32Array(b.length / 8), name),
  },
  I32: { bits: 32, dtype: "i32", read: (b) => view(Int32Array, b) },
  U32: { bits: 32, dtype: "u32", read: (b) => view(Uint32Array, b) },
  I16: { bits: 16, dtype: "i32", read: (b) => Int32Array.from(view(Int16Array, b)) },
  U16: { bits: 16, dtype: "u32", read: (b) => Uint32Array.from(view(Uint16Array, b)) },
  I8: { bits: 8, dtype: "i32", read: (b) => Int32Array.from(view(Int8Array, b)) },
  U8: { bits: 8, dtype: "u32", read: (b) => Uint32Array.from(b) },
  BOOL: { bits: 8, dtype: "bool", read: (b) => b.map((x) => Number(x !== 0)) },
  C64: { bits: 64 },
  F8_E5M2: { bits: 8 },
  F8_E4M3: { bits: 8 },
  F8_E8M0: { bits: 8 },
  F6_E2M3: { bits: 6 },
  F6_E3M2: { bits: 6 },
  F4: { bits: 4 },
};

const bytesOf = (x: ArrayBufferView): Uint8Array => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);

/** How our dtypes are written. `bytes` shares memory with the elements where the format stores them as they are. */
export const writtenAs: Readonly<
  Record<DType, { readonly name: string; readonly size: number; bytes(x: HostArray): Uint8Array }>
> = {
  f32: { name: "F32", size: 4, bytes: bytesOf },
  i32: { name: "I32", size: 4, bytes: bytesOf },
  u32: { name: "U32", size: 4, bytes: bytesOf },
  f16: { name: "F16", size: 2, bytes: (x) => bytesOf(Uint16Array.from(x, toHalfBits)) },
  bool: { name: "BOOL", size: 1, bytes: bytesOf },
};
