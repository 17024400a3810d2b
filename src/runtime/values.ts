import { fail } from "../base/diagnostic.ts";
import { type DType, storageBytes, tensorBytes } from "../base/dtype.ts";
import { fromHalfBits, toHalfBits } from "../base/half.ts";
import { describe, withArticle } from "./describe.ts";

/** Numbers or booleans nested like the tensor's axes. */
export type Nested = number | boolean | readonly Nested[];

/**
 * What the caller may give for a tensor from the CPU: a typed array or a flat list in row-major order, nested lists of
 * the tensor's shape, or one number for a tensor of one element. f16 takes 16-bit patterns in a Uint16Array, a
 * Float16Array, or floats that are rounded; bool takes booleans or numbers (nonzero is true).
 */
export type HostValue = ArrayBufferView | Nested;

/** What `data()` gives: f16 is widened to f32, bool is 0 or 1 in bytes. */
export type HostArray = Float32Array | Int32Array | Uint32Array | Uint8Array;

export interface TensorLike {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

type Source = ArrayLike<number> & ArrayBufferView;

interface Conversion {
  /** Typed arrays whose bytes are already what the GPU wants. */
  readonly same: readonly string[];
  /** Typed arrays whose elements are converted one by one. */
  readonly convert: readonly string[];
  make(count: number): Float32Array | Int32Array | Uint32Array | Uint16Array;
  /** The least and the greatest integer; elements of other dtypes take any number. */
  readonly range?: readonly [number, number];
  /** The element as stored; undefined when the value does not fit the dtype. */
  store(x: number): number | undefined;
  load(bytes: ArrayBuffer, count: number): HostArray;
}

const i32Range = [-(2 ** 31), 2 ** 31 - 1] as const;
const u32Range = [0, 2 ** 32 - 1] as const;
const within =
  ([low, high]: readonly [number, number]) =>
  (x: number) =>
    Number.isInteger(x) && x >= low && x <= high ? x : undefined;

/** Elements converted one by one: `from` of typed arrays makes a list of all of them first. */
function loaded<T extends Float32Array | Uint8Array>(out: T, stored: ArrayLike<number>, convert = (x: number) => x): T {
  for (let i = 0; i < out.length; i++) out[i] = convert(stored[i] as number);
  return out;
}

const conversions: Readonly<Record<DType, Conversion>> = {
  f32: {
    same: ["Float32Array"],
    convert: ["Float64Array"],
    make: (n) => new Float32Array(n),
    store: (x) => x,
    load: (b, n) => new Float32Array(b, 0, n),
  },
  f16: {
    same: ["Uint16Array", "Float16Array"],
    convert: ["Float32Array", "Float64Array"],
    make: (n) => new Uint16Array(n),
    store: toHalfBits,
    load: (b, n) => loaded(new Float32Array(n), new Uint16Array(b, 0, n), fromHalfBits),
  },
  i32: {
    same: ["Int32Array"],
    convert: ["Int8Array", "Int16Array", "Uint8Array", "Uint16Array"],
    make: (n) => new Int32Array(n),
    range: i32Range,
    store: within(i32Range),
    load: (b, n) => new Int32Array(b, 0, n),
  },
  u32: {
    same: ["Uint32Array"],
    convert: ["Uint8Array", "Uint16Array"],
    make: (n) => new Uint32Array(n),
    range: u32Range,
    store: within(u32Range),
    load: (b, n) => new Uint32Array(b, 0, n),
  },
  bool: {
    same: [],
    convert: ["Uint8Array", "Uint32Array", "Int32Array"],
    make: (n) => new Uint32Array(n),
    store: (x) => (x ? 1 : 0),
    load: (b, n) => loaded(new Uint8Array(n), new Uint32Array(b, 0, n)),
  },
};

export const elements = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** Bytes of a tensor in a buffer. */
export const bytesOf = (t: { readonly dtype: DType; readonly shape: readonly number[] }): number =>
  tensorBytes(t.dtype, elements(t.shape));

/**
 * The bytes to write for a tensor, padded to whole words. They may be the caller's own memory: use them before
 * returning to the caller, or copy. Fails with `wrong-size`, `wrong-dtype` or `wrong-value`, naming the tensor.
 */
export function toBytes(t: TensorLike, value: HostValue): Uint8Array {
  const c = conversions[t.dtype];
  const count = elements(t.shape);
  if (ArrayBuffer.isView(value)) {
    const name = Object.prototype.toString.call(value).slice(8, -1);
    const source = value as Source;
    if (c.same.includes(name)) {
      if (source.length !== count) wrongSize(t, source.length);
      return whole(source);
    }
    if (!c.convert.includes(name)) {
      fail("wrong-dtype", `${title(t)} cannot be given as ${withArticle(name)}`, {
        hint: isItsBytes(t, name, value)
          ? `these may be its bytes: give new ${c.same[0]}(bytes.buffer, bytes.byteOffset, ${count})`
          : `give a ${[...c.same, ...c.convert].join(", ")} or a list of numbers`,
      });
    }
    if (source.length !== count) wrongSize(t, source.length);
    return fill(t, source);
  }
  if (typeof value === "number" || typeof value === "boolean") {
    if (count !== 1) wrongSize(t, 1);
    return fill(t, [Number(value)]);
  }
  if (!Array.isArray(value)) {
    return fail("wrong-value", `${title(t)} cannot be given as ${describe(value)}`, {
      hint: hintFor(value),
    });
  }
  return fill(t, flatten(t, value));
}

/** Bytes out of a file, as Node and fetch give them. */
const isItsBytes = (t: TensorLike, name: string, value: ArrayBufferView): boolean =>
  (name === "Uint8Array" || name === "DataView") && value.byteLength === elements(t.shape) * storageBytes[t.dtype];

function hintFor(value: unknown): string {
  if (value instanceof Promise) return "await it first";
  if (value instanceof ArrayBuffer) return "wrap it in a typed array: new Float32Array(buffer)";
  return "give a typed array, a list of numbers, a tensor on the GPU or a GPUBuffer";
}

function fill(t: TensorLike, source: ArrayLike<number>): Uint8Array {
  const c = conversions[t.dtype];
  const out = c.make(t.dtype === "f16" ? source.length + (source.length % 2) : source.length);
  for (let i = 0; i < source.length; i++) {
    const stored = c.store(source[i] as number);
    if (stored === undefined) {
      fail("wrong-value", `${title(t)} has ${source[i]} at position ${i}, which no ${t.dtype} holds`, {
        hint: `give integers from ${c.range?.join(" to ")}`,
      });
    }
    out[i] = stored;
  }
  return new Uint8Array(out.buffer);
}

function flatten(t: TensorLike, value: readonly unknown[]): number[] {
  const out: number[] = [];
  // A flat list is taken for any shape; a nested one must have the tensor's.
  const nested = value.some(Array.isArray);
  const walk = (v: unknown, axis: number): void => {
    if (Array.isArray(v)) {
      if (nested && v.length !== t.shape[axis]) {
        fail(
          "wrong-size",
          `${title(t)} was given a list of ${v.length} along axis ${axis}, ${axis < t.shape.length ? `which has ${t.shape[axis]}` : "which it does not have"}`,
          { hint: "nest lists as deep and as long as the shape, or give one flat list in row-major order" },
        );
      }
      for (const x of v) walk(x, axis + 1);
    } else if ((typeof v === "number" || typeof v === "boolean") && (!nested || axis === t.shape.length)) {
      out.push(Number(v));
    } else {
      fail("wrong-value", `${title(t)} has ${describe(v)} inside its list`, {
        hint: "nest lists as deep as the shape",
      });
    }
  };
  walk(value, 0);
  if (out.length !== elements(t.shape)) wrongSize(t, out.length);
  return out;
}

/** A view's bytes, copied only when they are not whole words. */
function whole(view: ArrayBufferView): Uint8Array {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  if (bytes.length % 4 === 0) return bytes;
  const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  padded.set(bytes);
  return padded;
}

/** Elements out of the bytes of a buffer. */
export function fromBytes(dtype: DType, count: number, bytes: ArrayBuffer): HostArray {
  return conversions[dtype].load(bytes, count);
}

const title = (t: TensorLike): string => `${JSON.stringify(t.name)} (${t.dtype}[${t.shape.join(", ")}])`;

function wrongSize(t: TensorLike, given: number): never {
  const count = elements(t.shape);
  return fail("wrong-size", `${title(t)} has ${count} elements, and ${given} were given`, {
    hint: `give ${count} elements, ${count * storageBytes[t.dtype]} bytes on the GPU`,
  });
}
