import {
  and,
  cast,
  defineKernel,
  dim,
  dimMul,
  iota,
  matmul,
  shiftLeft,
  shiftRight,
  sub,
  type Tensor,
  u32,
} from "sinter";
import { like, wide } from "./precision.ts";

const rows = dim("rows", { hint: 1024 });
const cols = dim("cols", { hint: 768 });
const groups = dim("groups", { hint: 24 });

/**
 * y = x wᵀ with a weight of `bits` to a value and one scale for `size` values in a row of it: w [cols, inner] is
 * value · scales[col, k / size], inner = groups · size.
 */
const quantised = (name: string, bits: 4 | 8, size: number) => {
  const perWord = 32 / bits;
  const words = size / perWord;
  /** Value i of each word, from its lowest bits on. */
  const values = (w: Tensor): Tensor => {
    const each = w.reshape([cols, groups, words, 1]);
    const shift = iota([perWord], { dtype: "u32" }).mul(bits);
    if (bits === 4) return cast(and(shiftRight(each, shift), 15), "f32").sub(8);
    // Signed: the byte goes to the top of the word and comes back with its sign.
    const top = shiftLeft(each, sub(24, shift));
    return cast(shiftRight(cast(top, "i32"), 24), "f32");
  };
  return defineKernel(
    {
      name,
      inputs: (float) => ({
        x: float(rows, dimMul(groups, size)),
        w: u32(cols, dimMul(groups, words)),
        scales: float(cols, groups),
      }),
    },
    ({ x, w, scales }) => {
      const weight = values(w).mul(wide(scales).reshape([cols, groups, 1, 1]));
      return { y: like(matmul(wide(x), weight.reshape([cols, dimMul(groups, size)]), { transposeB: true }), x) };
    },
  );
};

/**
 * y = x wᵀ with int4 weights, dequantised as they are read: value k of row `col` is bits 4 (k mod 8) … of word k / 8, 0 … 15, and
 * stands for (value - 8) · scales[col, k / 32]. The layout of ONNX's MatMulNBits without zero points, 32 to a group.
 */
export const matmulInt4 = quantised("matmulInt4", 4, 32);

/** `matmulInt4` with a scale for each 128 values. */
export const matmulInt4Group128 = quantised("matmulInt4Group128", 4, 128);

/**
 * y = x wᵀ with int8 weights, dequantised as they are read: value k of row `col` is the signed byte k mod 4 of word k / 4 and
 * stands for value · scales[col, k / 32].
 */
export const matmulInt8 = quantised("matmulInt8", 8, 32);

/** `matmulInt8` with a scale for each 128 values. */
export const matmulInt8Group128 = quantised("matmulInt8Group128", 8, 128);
