/**
 * The form of a generated kernel module. Sizes are data: functions of them give what a dispatch needs. Kept small, since
 * pages ship it: positions stand for names, and everything that has a usual value may be left out.
 */

/** Sizes and scalars of a call by name. */
export type Sizes = Readonly<Record<string, number>>;

/** One dispatch of a kernel. Binding i of group 0 is a storage buffer, the argument block the uniform binding after them. */
export interface KernelStep {
  readonly wgsl: string;
  /** SHA-256 of text, layout and toolchain version: pipelines are shared by it. */
  readonly key: string;
  /** For each storage binding the tensor's position in the signature, or -1 - i for the i-th intermediate result. */
  readonly bindings: readonly number[];
  /** Bit i is set where binding i is written. */
  readonly writes: number;
  /** Words of the argument block. */
  readonly words: number;
  /** Fills the argument block: `u` and `f` are one memory, `o` holds each binding's element offset. */
  args(d: Sizes, o: ArrayLike<number>, u: Uint32Array, f: Float32Array, i: Int32Array): void;
  /** Workgroups in all. */
  groups(d: Sizes): number;
  /** Workgroups along x, y and z for a text of the user's own, which asks how long its buffers are: they are bound exactly. */
  grid?(d: Sizes): readonly number[];
}

/** Texts for a class of sizes. */
export interface KernelVariant {
  /** Whether it takes these sizes; all, if absent. */
  when?(d: Sizes): boolean;
  /** Element offsets must be multiples of this; 1 if absent. */
  readonly align?: number;
  /** Bytes of each intermediate result. */
  scratch?(d: Sizes): readonly number[];
  readonly steps: readonly KernelStep[];
}

/** The texts of one dtype for devices of one capability profile. */
export interface KernelCode {
  /** Tried in order; the last one takes all sizes that the kernel can be called with. */
  readonly variants: readonly KernelVariant[];
}

/** `read` and `write` tensors of one call must not overlap; `update` ones are read and then replaced. */
export type KernelAccess = "read" | "write" | "update";
/** dtype of a tensor; `float` is what the dtype option says. */
export type KernelTensorDType = "float" | "f32" | "f16" | "i32" | "u32" | "bool";

/** A tensor of a kernel's signature. */
export interface KernelTensorSpec {
  readonly name: string;
  readonly dtype: KernelTensorDType;
  readonly access: KernelAccess;
}

/** Which texts a device gets: the richest whose features it has. */
export type KernelProfile = "f32" | "f16" | "f32-subgroups" | "f16-subgroups";

/**
 * A generated kernel. `T` names its tensors, `S` its sizes and scalars.
 */
export interface Kernel<T extends string = string, S extends string = string> {
  readonly name: string;
  readonly tensors: readonly KernelTensorSpec[];
  /** Names of sizes, then of scalars. */
  readonly sizes: readonly string[];
  readonly scalars: readonly string[];
  /** Elements of tensor `i`. */
  count(d: Sizes, i: number): number;
  /** Texts by profile: at hand, or as a module to be loaded when a device has what it needs. */
  readonly code: Readonly<Partial<Record<KernelProfile, KernelCode | (() => Promise<{ readonly code: KernelCode }>)>>>;
  /** Never there: carries the names' types. */
  readonly types?: { readonly tensors: T; readonly sizes: S };
}
