import type { DType } from "../base/dtype.ts";
import { tensorBytes } from "../base/dtype.ts";
import { toHalfBits } from "../base/half.ts";

/** Elements as the 32-bit words they occupy in a GPU buffer. */
export function encodeWords(dtype: DType, data: ArrayLike<number>): Uint32Array {
  const words = new Uint32Array(tensorBytes(dtype, data.length) / 4);
  if (dtype === "f16") {
    for (let i = 0; i < data.length; i++) {
      words[i >> 1] = ((words[i >> 1] as number) | (toHalfBits(data[i] as number) << (i % 2 ? 16 : 0))) >>> 0;
    }
    return words;
  }
  const view =
    dtype === "f32" ? new Float32Array(words.buffer) : dtype === "i32" ? new Int32Array(words.buffer) : words;
  for (let i = 0; i < data.length; i++) view[i] = dtype === "bool" ? (data[i] ? 1 : 0) : (data[i] as number);
  return words;
}
