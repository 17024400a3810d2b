import { fail } from "../../base/diagnostic.ts";
import type { HostTensor } from "../../frontend/host.ts";
import { readOptions } from "../../frontend/options.ts";
import { fileDTypes } from "./dtypes.ts";
import { type Entry, type Header, headerLimit, parseHeader } from "./header.ts";
import { refuse } from "./refuse.ts";
import { type ByteReader, readerOf, type SafetensorsSource } from "./source.ts";

/** Options of {@link loadSafetensors}. */
export interface LoadSafetensorsOptions {
  /** Which tensors to load, by name; all by default. The others are checked, and skipped. */
  readonly select?: (name: string) => boolean;
}

/** The content of a file: tensors by name, and the strings that came with them. */
export interface Safetensors {
  readonly tensors: Readonly<Record<string, HostTensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * The tensors of a safetensors file. BF16 is widened to f32, F64 rounded to it; F16 stays f16; I8, I16 and I64 become i32, U8, U16
 * and U64 u32, where 64-bit values must fit. The file is checked strictly: nothing of it is believed that its bytes do
 * not bear out.
 *
 * @throws SinterError `bad-safetensors`, `unsupported-dtype` for the dtypes of 8 and fewer bits, `bad-number`
 */
export async function loadSafetensors(
  source: SafetensorsSource,
  options?: LoadSafetensorsOptions,
): Promise<Safetensors> {
  const tensors: Record<string, HostTensor> = Object.create(null) as Record<string, HostTensor>;
  let metadata: Safetensors["metadata"] = {};
  for await (const part of readParts(source, options)) {
    if ("metadata" in part) metadata = part.metadata;
    else tensors[part.name] = part.tensor;
  }
  return { tensors, metadata };
}

/** The tensors of a file one after the other, in the order of their bytes, so that one at a time is in memory. As {@link loadSafetensors} otherwise. */
export async function* readSafetensors(
  source: SafetensorsSource,
  options?: LoadSafetensorsOptions,
): AsyncGenerator<{ readonly name: string; readonly tensor: HostTensor }> {
  for await (const part of readParts(source, options)) if ("name" in part) yield part;
}

async function* readParts(
  source: SafetensorsSource,
  options?: LoadSafetensorsOptions,
): AsyncGenerator<Pick<Header, "metadata"> | { readonly name: string; readonly tensor: HostTensor }> {
  const { select } = readOptions("loadSafetensors", options, { select: undefined });
  const reader = readerOf(source);
  try {
    const { metadata, entries } = await readHeader(reader);
    yield { metadata };
    for (const entry of entries) {
      if (select && !select(entry.name)) await reader.skip(entry.end - entry.begin);
      else yield { name: entry.name, tensor: await readTensor(reader, entry) };
    }
    if (!(await reader.ended())) refuse("bytes follow the last tensor");
  } finally {
    await reader.close();
  }
}

async function readHeader(reader: ByteReader): Promise<Header> {
  const { size } = reader;
  if (size !== undefined && size < 8) refuse(`it has ${size} bytes, and the size of its header alone takes 8`);
  const first = await reader.take(8);
  const length = new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true);
  if (length > headerLimit) refuse(`its header would have ${length} bytes`, `at most ${headerLimit} are allowed`);
  if (size !== undefined && Number(length) > size - 8) {
    refuse(`its header would have ${length} bytes, and ${size - 8} are there`);
  }
  const header = parseHeader(await reader.take(Number(length)));
  const total = header.entries.at(-1)?.end ?? 0;
  if (size !== undefined && total !== size - 8 - Number(length)) {
    refuse(`its tensors have ${total} bytes, and ${size - 8 - Number(length)} follow the header`);
  }
  return header;
}

async function readTensor(reader: ByteReader, entry: Entry): Promise<HostTensor> {
  const { name, dtype, shape } = entry;
  const how = fileDTypes[dtype];
  if (!how?.read || !how.dtype) {
    return fail("unsupported-dtype", `tensor ${JSON.stringify(name)} is ${dtype}, which has no dtype here`, {
      cause: "f32, f16, i32, u32 and bool are there",
      hint: "leave it out with { select }, or convert the file to BF16 or F32",
    });
  }
  return { dtype: how.dtype, shape, data: how.read(await reader.take(entry.end - entry.begin), name) };
}
