import type { Place } from "../base/diagnostic.ts";
import type { DType } from "../base/dtype.ts";

/** What a text of WGSL says of its interface: plain data, read ahead by the build or when the kernel is made. */
export interface WgslSignature {
  /** Name of the entry point. */
  readonly entry: string;
  /** Buffers that the entry point uses, by binding number. */
  readonly bindings: readonly WgslBinding[];
  readonly overrides: readonly WgslOverride[];
  /** Named constants that sizes below are made of: name to expression. */
  readonly constants: Readonly<Record<string, string>>;
  /** Three constant expressions. */
  readonly workgroupSize: readonly string[];
  readonly workgroupMemory: readonly WgslWorkgroupArray[];
  /** Extensions that the text enables. */
  readonly requires: readonly ("f16" | "subgroups")[];
}

export interface WgslBinding {
  readonly name: string;
  readonly binding: number;
  readonly access: "read" | "read_write";
  /** dtype of the tensor that is bound; u32 for structs of several. */
  readonly dtype: Exclude<DType, "bool">;
  /** Elements of the tensor in one element of the buffer: 4 for `array<vec4<f32>>`. */
  readonly unit: number;
  /** Elements of the tensor where the type has a size; null for an array as long as the tensor. */
  readonly count: number | null;
  /** Text of the type. */
  readonly type: string;
  /** Fields by which numbers may be given instead of a tensor: of a struct that is only read, or one without a name for a value alone. */
  readonly fields?: readonly WgslField[];
}

export interface WgslField {
  readonly name: string;
  /** null for what cannot be given as numbers: matrices, halves, structs. */
  readonly scalar: "f32" | "i32" | "u32" | null;
  /** Text of the type. */
  readonly type: string;
  /** First 32-bit word. */
  readonly word: number;
  /** Lanes of a vector. */
  readonly lanes: number;
  /** Elements of an array and words between them; 1 and 0 without. */
  readonly count: number;
  readonly stride: number;
}

export interface WgslOverride {
  readonly name: string;
  /** null where neither a type nor a plain value tells it. */
  readonly type: "f32" | "f16" | "i32" | "u32" | "bool" | null;
  /** Text of its initial value; null for one that must be given. */
  readonly value: string | null;
}

/** An array in workgroup memory: bytes of an element, and as constant expressions how many there are, multiplied. */
export interface WgslWorkgroupArray {
  readonly bytes: number;
  readonly counts: readonly string[];
}

export interface WgslReflectorOptions {
  readonly name?: string | undefined;
  readonly entry?: string | undefined;
  /** Of the call of wgslKernel. */
  readonly place?: Place | undefined;
}

/** Reads a signature. @throws SinterError for a text that cannot be used in a program */
export type WgslReflector = (source: string, options?: WgslReflectorOptions) => WgslSignature;

let installed: WgslReflector | undefined;

/** Installs what reads signatures, as a build does; returns what was installed before. */
export function setWgslReflector(reflector: WgslReflector | undefined): WgslReflector | undefined {
  const before = installed;
  installed = reflector;
  return before;
}

export const wgslReflector = (): WgslReflector | undefined => installed;
