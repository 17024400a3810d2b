import { readFileSync } from "node:fs";
import type { DType } from "../../../src/base/dtype.ts";

/** A tensor among a sample's arguments: an input of the program. */
export interface TorchTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** An argument with tensors replaced by what a program has for them. */
export type Value<T> = T | number | boolean | string | null | undefined | readonly Value<T>[];

export interface TorchOutput {
  readonly shape: readonly number[];
  readonly data: readonly number[];
  readonly type: string;
}

export interface TorchCase {
  /** `addmm #3`: operator and number of the sample. */
  readonly id: string;
  readonly op: string;
  readonly inputs: readonly TorchTensor[];
  readonly input: Value<TorchTensor>;
  readonly args: readonly Value<TorchTensor>[];
  readonly kwargs: Readonly<Record<string, Value<TorchTensor>>>;
  readonly outputs: readonly TorchOutput[];
  /** Absent where no output is differentiable. */
  readonly gradient?: TorchGradient;
}

/** The derivative of the sum of (output * cotangent) by input tensors. */
export interface TorchGradient {
  /** By the index of an output. */
  readonly cotangents: ReadonlyMap<number, TorchTensor>;
  /** By the index of an input tensor. */
  readonly grads: ReadonlyMap<number, TorchOutput>;
}

interface Raw {
  readonly t: string;
  readonly shape: readonly number[];
  readonly b64: string;
}

const views: Readonly<Record<string, (b: Uint8Array) => readonly number[]>> = {
  f32: (b) => Array.from(new Float32Array(b.buffer, b.byteOffset, b.length / 4)),
  f64: (b) => Array.from(new Float64Array(b.buffer, b.byteOffset, b.length / 8)),
  i32: (b) => Array.from(new Int32Array(b.buffer, b.byteOffset, b.length / 4)),
  i64: (b) => Array.from(new BigInt64Array(b.buffer, b.byteOffset, b.length / 8), Number),
  u8: (b) => Array.from(b),
  bool: (b) => Array.from(b),
};

const dtypes: Readonly<Record<string, DType>> = { f32: "f32", i32: "i32", i64: "i32", u8: "i32", bool: "bool" };

function elements(raw: Raw): readonly number[] {
  // A copy of its own, so that every element type is aligned.
  const read = views[raw.t];
  if (!read) throw new Error(`unknown element type ${raw.t}`);
  return read(new Uint8Array(Buffer.from(raw.b64, "base64")));
}

const tensor = (name: string, t: Raw): TorchTensor => ({
  name,
  dtype: dtypes[t.t] as DType,
  shape: t.shape,
  data: elements(t),
});

const output = (o: Raw): TorchOutput => ({ type: o.t, shape: o.shape, data: elements(o) });

function readCase(raw: {
  readonly op: string;
  readonly sample: number;
  readonly input: unknown;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly outputs: readonly Raw[];
  readonly cotangents?: readonly Raw[];
  readonly diff_outputs?: readonly number[];
  readonly grad_of?: readonly number[];
  readonly grads?: readonly Raw[];
}): TorchCase {
  const inputs: TorchTensor[] = [];
  const value = (v: unknown): Value<TorchTensor> => {
    if (Array.isArray(v)) return v.map(value);
    if (v === null || typeof v !== "object") return v as Value<TorchTensor>;
    if ("num" in v) return Number(String(v.num).replace("inf", "Infinity").replace("nan", "NaN"));
    const made = tensor(`t${inputs.length}`, (v as { tensor: Raw }).tensor);
    inputs.push(made);
    return made;
  };
  const input = value(raw.input);
  const args = raw.args.map(value);
  const kwargs = Object.fromEntries(Object.entries(raw.kwargs).map(([k, v]) => [k, value(v)]));
  const outputs = raw.outputs.map(output);
  const { cotangents, diff_outputs: of, grad_of: by, grads } = raw;
  const gradient = cotangents && {
    cotangents: new Map(cotangents.map((t, i) => [of?.[i] as number, tensor(`c${i}`, t)])),
    grads: new Map(grads?.map((g, i) => [by?.[i] as number, output(g)])),
  };
  const id = `${raw.op} #${raw.sample}`;
  return { id, op: raw.op, inputs, input, args, kwargs, outputs, ...(gradient ? { gradient } : {}) };
}

/** The samples of a JSONL file, in its order. */
export function readTorchCases(path: string): TorchCase[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => readCase(JSON.parse(line)));
}
