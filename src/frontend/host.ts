import { fail } from "../base/diagnostic.ts";
import type { DType } from "../base/dtype.ts";
import { dtypes } from "../base/dtype.ts";
import { fromHalfBits, halfRound } from "../base/half.ts";
import { shapeText, sizeOf } from "../ir/dim.ts";
import { oneOf } from "./options.ts";
import { describe, exactly } from "./tensor.ts";

/** Arrays of numbers that hold elements of tensors. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array;

/** Elements nested by axes: [[1, 2], [3, 4]] has shape [2, 2]. */
export type NestedNumbers = readonly (number | boolean | NestedNumbers)[];
/** Elements of a tensor, in a flat array or nested as its shape is. */
export type HostData = TypedArray | NestedNumbers;

/** Elements on the CPU as programs take them: f32 and f16 in a Float32Array, i32, u32, and bool in a Uint8Array. */
export type HostArray = Float32Array | Int32Array | Uint32Array | Uint8Array;

/** A tensor on the CPU: elements in row-major order with their shape. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: HostArray;
}

const ofArray: Readonly<Record<string, DType>> = {
  Float32Array: "f32",
  Float64Array: "f32",
  Float16Array: "f16",
  Int8Array: "i32",
  Int16Array: "i32",
  Int32Array: "i32",
  Uint8Array: "u32",
  Uint8ClampedArray: "u32",
  Uint16Array: "u32",
  Uint32Array: "u32",
};

const arrayName = (v: unknown): string => Object.prototype.toString.call(v).slice(8, -1);

/** The dtype that data has when nobody says otherwise. */
export function dtypeOf(value: unknown): DType {
  let v = value;
  while (Array.isArray(v)) v = v[0];
  return typeof v === "boolean" ? "bool" : (ofArray[arrayName(v)] ?? "f32");
}

const containers: Readonly<Record<DType, new (n: number) => HostArray>> = {
  f32: Float32Array,
  f16: Float32Array,
  i32: Int32Array,
  u32: Uint32Array,
  bool: Uint8Array,
};

/**
 * A copy of `value` as elements of `dtype`, with its own shape: one axis for a typed array, the nesting for arrays. A
 * Uint16Array given as f16 holds binary16 bit patterns. Fails with `bad-number` on a value that `dtype` cannot hold.
 */
export function elements(op: string, value: unknown, dtype: DType): { data: HostArray; shape: readonly number[] } {
  const name = arrayName(value);
  const nested = Array.isArray(value);
  if (!nested && !(name in ofArray)) {
    fail("bad-data", `${op} takes numbers in a typed array or in nested arrays, not ${describe(value)}`, {
      hint: "wrap the elements in a Float32Array",
    });
  }
  const shape = nested ? nestedShape(op, value) : [(value as TypedArray).length];
  const from = nested ? (value.flat(Number.POSITIVE_INFINITY) as number[]) : (value as TypedArray);
  if (from.length !== sizeOf(shape)) ragged(op);
  const Container = containers[dtype];
  const data = new Container(from.length);
  if (dtype === "f16" && name === "Uint16Array")
    for (let i = 0; i < from.length; i++) data[i] = fromHalfBits(from[i] as number);
  else if (dtype === "f32" || (dtype === ofArray[name] && dtype !== "f16")) data.set(from as ArrayLike<number>);
  else if (dtype === "f16") for (let i = 0; i < from.length; i++) data[i] = halfRound(from[i] as number);
  else for (let i = 0; i < from.length; i++) data[i] = exactly(op, from[i] as number, dtype);
  return { data, shape };
}

function nestedShape(op: string, value: readonly unknown[]): number[] {
  const shape: number[] = [];
  let level: unknown = value;
  while (Array.isArray(level)) {
    shape.push(level.length);
    level = level[0];
  }
  const check = (v: unknown, depth: number): void => {
    const length = Array.isArray(v) ? v.length : undefined;
    if (length !== shape[depth]) ragged(op);
    if (Array.isArray(v)) for (const e of v) check(e, depth + 1);
    else if (typeof v !== "number" && typeof v !== "boolean") {
      fail("bad-data", `${op} takes nested arrays of numbers, but found ${describe(v)}`, {
        hint: "leave gaps out, or fill them with a number",
      });
    }
  };
  check(value, 0);
  return shape;
}

const ragged = (op: string): never =>
  fail("bad-data", `${op}: nested arrays have different lengths`, { hint: "give every row as many elements" });

/**
 * A tensor on the CPU, to feed programs whose dims follow from their inputs: elements in row-major order and their shape.
 * The dtype follows the array unless it is given.
 */
export function tensor(data: HostData, shape?: readonly number[], dtype?: DType): HostTensor {
  const type = dtype === undefined ? dtypeOf(data) : oneOf("tensor", "dtype", dtype, dtypes);
  const host = elements("tensor", data, type);
  const to = shape ?? host.shape;
  if (sizeOf(to) !== host.data.length) {
    fail("shape-mismatch", `tensor: ${host.data.length} elements do not fill shape ${shapeText(to)}`, {
      cause: `the shape has ${sizeOf(to)} elements`,
      hint: "give as many elements as the shape has",
    });
  }
  return { dtype: type, shape: [...to], data: host.data };
}
