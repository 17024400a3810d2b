import type { DType } from "../base/dtype.ts";

/**
 * A number that depends on sizes, as plain data: a JSON array in prefix form. `["ceil", a, b]` is the least integer not
 * below a / b, `["floor", a, b]` the greatest not above it.
 */
export type SizeExpr =
  | number
  | string
  | readonly ["add" | "sub" | "mul" | "ceil" | "floor" | "mod" | "max" | "min", SizeExpr, SizeExpr];

/** One word of a kernel's argument block. */
export type ArgumentSpec =
  /** A u32 made of sizes. */
  | { readonly kind: "size"; readonly value: SizeExpr }
  /** An f32 made of sizes: the value, 1 / value, its square root or 1 / its square root. */
  | { readonly kind: "float"; readonly value: SizeExpr; readonly fn?: "inverse" | "root" | "inverseRoot" }
  /** A scalar input. */
  | { readonly kind: "scalar"; readonly name: string; readonly dtype: "f32" | "i32" | "u32" }
  /** Where the tensor of a binding begins in it, in units of `unit` elements. */
  | { readonly kind: "offset"; readonly binding: number; readonly unit: number };

/** A tensor of the kernel's signature. */
export interface UniformTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly SizeExpr[];
  /** `update`: read and then replaced. */
  readonly access: "read" | "write" | "update";
}

export interface UniformBinding {
  /** Index into the kernel's tensors or, for intermediate results, into `scratch` of the variant. */
  readonly tensor?: number;
  readonly scratch?: number;
  readonly access: "read" | "read_write";
  readonly dtype: DType;
}

/** One dispatch. Storage bindings come first, from 0; the argument block is the uniform binding after them. */
export interface UniformStep {
  readonly label: string;
  readonly wgsl: string;
  /** SHA-256 of text, layout and toolchain version. */
  readonly key: string;
  readonly bindings: readonly UniformBinding[];
  readonly args: readonly ArgumentSpec[];
  /** Workgroups in all; folded to two dimensions where there are more than 65,535. */
  readonly groups: SizeExpr;
  /**
   * Of a text of the user's own: workgroups along x, y and z. It has no arguments, and its buffers must be bound exactly to
   * their tensors, which begin where a binding may begin.
   */
  readonly grid?: readonly [SizeExpr, SizeExpr, SizeExpr];
  readonly workgroupSize: readonly [number, number, number];
  readonly requires: { readonly f16: boolean; readonly subgroups: boolean; readonly workgroupBytes: number };
}

/** Texts for a class of sizes. */
export interface UniformVariant {
  readonly name: string;
  /** What the sizes must be. Absent means no condition. */
  readonly multiples: Readonly<Record<string, number>>;
  readonly min: Readonly<Record<string, number>>;
  readonly max: Readonly<Record<string, number>>;
  /** Element offsets of all tensors must be multiples of this. */
  readonly align: number;
  /** Bytes of intermediate results. */
  readonly scratch: readonly SizeExpr[];
  readonly steps: readonly UniformStep[];
}

/** The texts for one dtype and one capability profile. */
export interface UniformCode {
  readonly dtype: "f32" | "f16";
  readonly profile: "base" | "subgroups";
  /** Tried in order; the last one takes all sizes that the kernel can be called with. */
  readonly variants: readonly UniformVariant[];
}

/** A kernel whose sizes are data. */
export interface UniformKernel {
  readonly name: string;
  readonly dims: readonly string[];
  readonly scalars: readonly { readonly name: string; readonly dtype: "f32" | "i32" | "u32" }[];
  /** For each dtype the signature; the same but for dtypes of floating point. */
  readonly tensors: Readonly<Partial<Record<"f32" | "f16", readonly UniformTensor[]>>>;
  readonly codes: readonly UniformCode[];
}
