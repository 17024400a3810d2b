import { fail } from "../../base/diagnostic.ts";
import { type DType, dtypes } from "../../base/dtype.ts";
import type { HostArray, HostTensor } from "../../frontend/host.ts";
import { readOptions } from "../../frontend/options.ts";
import { flatten, type Leaf } from "../../frontend/tree.ts";
import { shapeText } from "../../ir/dim.ts";
import { count } from "../../ir/ndarray.ts";
import { writtenAs } from "./dtypes.ts";

/** A tensor elsewhere, such as a result of a run or a part of `session.state`, whose elements are fetched when their turn comes. */
export interface RemoteTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  data(): Promise<HostArray>;
}

/** A tensor to be saved: in memory, or one that is read when its turn comes. */
export type SavedTensor = HostTensor | RemoteTensor;

/** Options of {@link writeSafetensors}. */
export interface SaveSafetensorsOptions {
  /** Strings to go with the tensors. Python's transformers asks for `{ format: "pt" }`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

const isTensor = (v: unknown): v is SavedTensor => {
  const { dtype, shape, data } = (v ?? {}) as Partial<SavedTensor>;
  return typeof dtype === "string" && Array.isArray(shape) && data !== undefined;
};

/**
 * The bytes of a safetensors file of a tree of {@link SavedTensor}s, each under its path: keys joined by dots.
 * @throws SinterError `bad-tree`, `wrong-size`, `bad-option`
 */
export async function saveSafetensors(
  tensors: object,
  options?: SaveSafetensorsOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeSafetensors(tensors, options)) chunks.push(chunk);
  const out = new Uint8Array(chunks.reduce((n, c) => n + c.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.byteLength;
  }
  return out;
}

/** The same bytes in pieces, the header and then each tensor, so that one at a time is in memory. As {@link saveSafetensors} otherwise. */
export async function* writeSafetensors(tensors: object, options?: SaveSafetensorsOptions): AsyncGenerator<Uint8Array> {
  const { metadata } = readOptions("saveSafetensors", options, { metadata: undefined });
  const leaves = flatten(tensors, isTensor, "tensor", {
    tree: "the tensors to save",
    leaf: "a tensor",
    hint: "give tensor(data, shape), results of runs, or session.state",
  });
  const sorted = leaves.sort((a, b) => sizeOf(b) - sizeOf(a) || (a.path < b.path ? -1 : 1));
  yield header(sorted, metadata);
  for (const leaf of sorted) yield await body(leaf);
}

const sizeOf = ({ path, value }: Leaf<SavedTensor>): number => {
  if (!dtypes.includes(value.dtype) || path === "__metadata__") {
    fail("bad-tree", `the tensors to save: ${JSON.stringify(path)} of dtype ${value.dtype} cannot be written`, {
      hint: `a tensor has one of the dtypes ${dtypes.join(", ")} and another name than __metadata__`,
    });
  }
  return writtenAs[value.dtype].size;
};

/** Larger elements come first, so that all are aligned: the header fills whole groups of 8 bytes. */
function header(
  leaves: readonly Leaf<SavedTensor>[],
  metadata: Readonly<Record<string, string>> | undefined,
): Uint8Array {
  for (const [key, value] of Object.entries(metadata ?? {})) {
    if (typeof value !== "string") {
      fail("bad-option", `saveSafetensors: ${JSON.stringify(key)} of the metadata is no string`, {
        hint: "write it as text: String(value)",
      });
    }
  }
  let at = 0;
  const entries = leaves.map((leaf) => {
    const { dtype, shape } = leaf.value;
    const begin = at;
    at += count(shape) * sizeOf(leaf);
    return [leaf.path, { dtype: writtenAs[dtype].name, shape, data_offsets: [begin, at] }] as const;
  });
  const json = JSON.stringify(
    Object.fromEntries([...(metadata ? [["__metadata__", metadata] as const] : []), ...entries]),
  );
  const text = new TextEncoder().encode(json);
  const out = new Uint8Array(8 + Math.ceil(text.byteLength / 8) * 8).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(out.byteLength - 8), true);
  out.set(text, 8);
  return out;
}

async function body({ path, value }: Leaf<SavedTensor>): Promise<Uint8Array> {
  const data = typeof value.data === "function" ? await value.data() : value.data;
  if (data.length !== count(value.shape)) {
    fail("wrong-size", `${JSON.stringify(path)} has ${data.length} elements for the shape ${shapeText(value.shape)}`, {
      hint: "give as many elements as the shape has",
    });
  }
  return writtenAs[value.dtype].bytes(data);
}
