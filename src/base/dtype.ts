/** Element types of tensors. */
export type DType = "f32" | "f16" | "i32" | "u32" | "bool";

export const dtypes: readonly DType[] = ["f32", "f16", "i32", "u32", "bool"];

export const isFloat = (d: DType): boolean => d === "f32" || d === "f16";
export const isInteger = (d: DType): boolean => d === "i32" || d === "u32";

/**
 * Bytes of one element in a GPU buffer: f16 is two to a 32-bit word in every mode, bool is a u32 holding 0 or 1.
 */
export const storageBytes: Readonly<Record<DType, number>> = { f32: 4, f16: 2, i32: 4, u32: 4, bool: 4 };

/** Bytes a tensor of `count` elements occupies in a GPU buffer, padded to whole words and never zero. */
export const tensorBytes = (dtype: DType, count: number): number =>
  Math.max(4, Math.ceil((count * storageBytes[dtype]) / 4) * 4);
