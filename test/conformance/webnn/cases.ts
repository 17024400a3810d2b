import { readFileSync } from "node:fs";
import type { DType } from "../../../src/base/dtype.ts";
import { roundTo } from "../../support/ulp.ts";

/** A tensor of a case, in a dtype of ours. `data` holds `count` values, or one value that fills the tensor. */
export interface CaseTensor {
  readonly name: string;
  readonly webnnType: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly constant: boolean;
  readonly data: readonly number[];
  readonly fill: boolean;
}

export type Argument = string | number | boolean | null | readonly Argument[] | { readonly [key: string]: Argument };

export interface CaseOperator {
  readonly name: string;
  /** Positional arguments by name, and `options` flattened into `options`. */
  readonly args: Readonly<Record<string, Argument>>;
  readonly options: Readonly<Record<string, Argument>>;
  readonly outputs: readonly string[];
}

export interface Tolerance {
  readonly metricType: "ULP" | "ATOL";
  readonly value: number;
}

export interface WebnnCase {
  /** `abs.https.any.js: abs float32 1D tensor`: unique, and what known-failures.json lists. */
  readonly id: string;
  readonly file: string;
  readonly name: string;
  readonly tolerance: Tolerance | undefined;
  readonly inputs: readonly CaseTensor[];
  readonly operators: readonly CaseOperator[];
  readonly outputs: readonly CaseTensor[];
  /** Why the case has no form in our dtypes. */
  readonly unfit: string | undefined;
}

const dtypeOf: Readonly<Record<string, DType>> = {
  float32: "f32",
  float16: "f16",
  int32: "i32",
  uint32: "u32",
  int64: "i32",
  int8: "i32",
  uint64: "u32",
  uint8: "u32",
  int4: "i32",
  uint4: "u32",
};

const range: Readonly<Partial<Record<DType, readonly [number, number]>>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
};

/** Special numbers and big integers appear as `{"__num": "-0"}`, `{"__bigint": "12"}`, `"12n"`, `"12"` and `"-Infinity"`. */
function readNumber(v: unknown): number {
  if (typeof v === "number") return v;
  if (typeof v === "string" && /^-?\d+n?$/.test(v)) return Number(v.replace("n", ""));
  if (typeof v === "string" && /^(NaN|[+-]?Infinity|-?0)$/.test(v)) return Number(v);
  if (typeof v === "object" && v !== null && "__num" in v) return readNumber(v.__num);
  if (typeof v === "object" && v !== null && "__bigint" in v) return readNumber(v.__bigint);
  throw new Error(`not a number: ${JSON.stringify(v)}`);
}

interface RawTensor {
  readonly data: unknown;
  readonly descriptor: { readonly shape: readonly number[]; readonly dataType: string };
  readonly constant?: boolean;
}
interface RawCase {
  readonly file: string;
  readonly name: string;
  readonly tolerance?: Tolerance | null;
  readonly graph: {
    readonly inputs?: Readonly<Record<string, RawTensor>>;
    readonly operators: readonly {
      readonly name: string;
      readonly arguments: readonly (Readonly<Record<string, Argument>> | null)[];
      readonly outputs: string | readonly string[];
    }[];
    readonly expectedOutputs: Readonly<Record<string, RawTensor>>;
  };
}

function readTensor(name: string, raw: RawTensor): CaseTensor {
  const webnnType = raw.descriptor.dataType;
  const dtype = dtypeOf[webnnType];
  if (!dtype) throw new Error(`unknown WebNN type ${webnnType}`);
  const list = Array.isArray(raw.data);
  const values = (list ? (raw.data as unknown[]) : [raw.data]).map((v) => roundTo(dtype, readNumber(v)));
  return {
    name,
    webnnType,
    dtype,
    shape: raw.descriptor.shape,
    constant: raw.constant === true,
    data: values,
    fill: !list,
  };
}

function readOperator(raw: RawCase["graph"]["operators"][number]): CaseOperator {
  const all: Record<string, Argument> = Object.assign({}, ...raw.arguments.filter((a) => a !== null));
  const { options, ...args } = all;
  return {
    name: raw.name,
    args,
    options: (options ?? {}) as Record<string, Argument>,
    outputs: typeof raw.outputs === "string" ? [raw.outputs] : raw.outputs,
  };
}

function unfitReason(tensors: readonly CaseTensor[]): string | undefined {
  for (const t of tensors) {
    const r = range[t.dtype];
    const wide = r && t.data.find((x) => x < r[0] || x > r[1]);
    if (wide !== undefined) return `${t.webnnType} value ${wide} does not fit ${t.dtype}`;
  }
  return undefined;
}

function readCase(raw: RawCase): WebnnCase {
  const inputs = Object.entries(raw.graph.inputs ?? {}).map(([n, t]) => readTensor(n, t));
  const outputs = Object.entries(raw.graph.expectedOutputs).map(([n, t]) => readTensor(n, t));
  return {
    id: `${raw.file}: ${raw.name}`,
    file: raw.file,
    name: raw.name,
    tolerance: raw.tolerance ?? undefined,
    inputs,
    operators: raw.graph.operators.map(readOperator),
    outputs,
    unfit: unfitReason([...inputs, ...outputs]),
  };
}

/** Every case of a JSONL file, in its order. */
export function readCases(path: string): WebnnCase[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => readCase(JSON.parse(line) as RawCase));
}
