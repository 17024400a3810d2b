import { fileDTypes } from "./dtypes.ts";
import { refuse } from "./refuse.ts";
import { repeatedKey } from "./unique-keys.ts";

/** One tensor of a file: its bytes are `begin` to `end` of the data after the header. */
export interface Entry {
  readonly name: string;
  /** A key of `fileDTypes`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their bytes, which follow each other without gaps. */
  readonly entries: readonly Entry[];
}

/** The most bytes a header may have, as in the reference implementation. */
export const headerLimit = 100_000_000;

const describe = (v: unknown): string => JSON.stringify(v)?.slice(0, 60) ?? String(v);
const isObject = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);

/**
 * The checked header of a file. The format: https://github.com/huggingface/safetensors#format
 * @throws SinterError `bad-safetensors`
 */
export function parseHeader(bytes: Uint8Array): Header {
  if (bytes[0] !== 0x7b) refuse("its header does not begin with {");
  const json = parseJson(bytes);
  const metadata = checkMetadata(json.__metadata__);
  const entries = Object.entries(json)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, info]) => entryOf(name, info))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkOrder(entries);
  return { metadata, entries };
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  let text = "";
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    refuse("its header is not UTF-8");
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (e) {
    refuse("its header is not JSON", e instanceof Error ? e.message : undefined);
  }
  const twice = repeatedKey(text);
  if (twice !== undefined) refuse(`its header has the key ${describe(twice)} twice`);
  return json as Record<string, unknown>;
}

function checkMetadata(metadata: unknown): Record<string, string> {
  if (metadata === undefined) return {};
  if (!isObject(metadata)) refuse(`__metadata__ is ${describe(metadata)}, not an object`);
  for (const [key, value] of Object.entries(metadata as Record<string, unknown>)) {
    if (typeof value !== "string") refuse(`${describe(key)} of __metadata__ is ${describe(value)}, not a string`);
  }
  return metadata as Record<string, string>;
}

const isCount = (v: unknown): v is number => typeof v === "number" && Number.isSafeInteger(v) && v >= 0;

function entryOf(name: string, info: unknown): Entry {
  const of = `tensor ${describe(name)}`;
  if (!isObject(info)) return refuse(`${of} is described by ${describe(info)}, not by an object`);
  const { dtype, shape, data_offsets: offsets } = info;
  if (typeof dtype !== "string" || !Object.hasOwn(fileDTypes, dtype)) {
    return refuse(`${of} has the dtype ${describe(dtype)}`, `known are ${Object.keys(fileDTypes).join(", ")}`);
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    return refuse(`${of} has the shape ${describe(shape)}`, "sizes are integers from 0 to 2^53 - 1");
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return refuse(`${of} has the offsets ${describe(offsets)}`, "they are two integers from 0 to 2^53 - 1");
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) refuse(`${of} begins at ${begin} and ends before, at ${end}`);
  const bytes = (shape.reduce((n, d) => n * d, 1) * (fileDTypes[dtype]?.bits as number)) / 8;
  if (bytes !== end - begin) {
    refuse(`${of} is ${dtype} of shape ${describe(shape)}, ${bytes} bytes, but has ${end - begin}`);
  }
  return { name, dtype, shape, begin, end };
}

/** Every byte belongs to one tensor. */
function checkOrder(entries: readonly Entry[]): void {
  let at = 0;
  for (const { name, begin, end } of entries) {
    if (begin < at) refuse(`tensor ${describe(name)} begins at ${begin}, inside the one that ends at ${at}`);
    if (begin > at) refuse(`bytes ${at} to ${begin} before tensor ${describe(name)} belong to none`);
    at = end;
  }
}
