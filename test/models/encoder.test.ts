import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compile, type Gpu, openDevice, SinterError } from "sinter";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { architecture, loadWeights } from "../../examples/encoder/architecture.ts";
import { toBatch } from "../../examples/encoder/batch.ts";
import { encode, specs } from "../../examples/encoder/model.ts";
import { openReference } from "../../examples/encoder/reference.ts";
import { sentences } from "../../examples/encoder/sentences.ts";
import { cosine, maxAbsDiff, rowsOf } from "../../examples/encoder/similarity.ts";
import { createTokenizer } from "../../examples/encoder/tokenizer.ts";
import { modelFolder, readGraphModel, readVocabulary } from "../../examples/encoder/weights.ts";
import { projectRoot } from "../support/shared.ts";
import { oracle } from "./oracle.ts";

interface Case {
  readonly sentence: string;
  readonly ids: readonly number[];
  readonly embedding: string;
}

const tolerance = 1e-4;
const cases = JSON.parse(readFileSync(join(projectRoot, "fixtures/use-lite/embeddings.json"), "utf8")) as Case[];
const embeddingOf = (c: Case): Float32Array =>
  new Float32Array(Uint8Array.from(atob(c.embedding), (ch) => ch.charCodeAt(0)).buffer);
const folder = modelFolder();
const tokenizer = createTokenizer(readVocabulary(folder));
const params = loadWeights(readGraphModel(folder));
const program = compile(specs, encode, { weights: ["params"] });

describe("tokenizer", () => {
  test.each(cases)("has the reference's ids of $sentence", ({ sentence, ids }) => {
    expect(tokenizer.encode(sentence)).toEqual(ids);
  });

  test("pads to the longest sentence and drops tokens beyond the limit", () => {
    const batch = toBatch(tokenizer, ["cat", "word ".repeat(200), ""]);
    expect([batch.B, batch.T]).toEqual([3, architecture.maxTokens]);
    expect([...batch.lengths]).toEqual([1, architecture.maxTokens, 0]);
    expect(batch.ids).toHaveLength(3 * architecture.maxTokens);
  });
});

describe("encoder on the interpreter", () => {
  test("has the reference's embeddings", () => {
    const some = cases.filter((c) => ["cat", "", "x"].includes(c.sentence));
    const { ids, lengths, B, T } = toBatch(
      tokenizer,
      some.map((c) => c.sentence),
    );
    const out = oracle(program, { ids, lengths, params }, { B, T }).out;
    some.forEach((c, i) => {
      const row = out?.data.subarray(i * architecture.width, (i + 1) * architecture.width) as Float64Array;
      expect(maxAbsDiff(row, embeddingOf(c)), c.sentence).toBeLessThan(2e-6);
    });
  });
});

// Software adapters take seconds to compile some of the pipelines.
describe("encoder on the GPU", { timeout: 300_000 }, () => {
  // One batch of the demo's sentences and the short cases serves most tests: making pipelines takes longest.
  const short = cases.filter((c) => c.ids.length < 20);
  const batch = toBatch(tokenizer, [...sentences, ...short.map((c) => c.sentence)]);
  const inputs = { ids: batch.ids, lengths: batch.lengths };
  const dims = { B: batch.B, T: batch.T };
  const load = () => program.load(gpu, { weights: { params }, dims, strict: true });
  let gpu: Gpu;
  let session: Awaited<ReturnType<typeof load>>;
  let rows: Float32Array[];

  beforeAll(async () => {
    gpu = await openDevice();
    session = await load();
    const out = await session.run(inputs);
    expect(out.shape).toEqual([batch.B, architecture.width]);
    rows = rowsOf((await out.data()) as Float32Array, architecture.width);
  }, 300_000);
  afterAll(() => gpu?.dispose());

  test("has the reference's embeddings of sentences of every length, the empty one and unknown characters too", () => {
    expect(short.map((c) => c.ids.length)).toContain(0);
    expect(short.some((c) => c.ids.includes(0))).toBe(true);
    short.forEach((c, i) => {
      expect(maxAbsDiff(rows[sentences.length + i] as Float32Array, embeddingOf(c)), c.sentence).toBeLessThan(
        tolerance,
      );
    });
  });

  test("has the running reference's embeddings and similarities of the demo's sentences", async () => {
    const expected = await (await openReference())(sentences);
    expect(expected).toHaveLength(sentences.length);
    expected.forEach((row, i) => {
      expect(maxAbsDiff(rows[i] as Float32Array, row), sentences[i]).toBeLessThan(tolerance);
    });
    const [cat, kitten, stocks] = [rows[0], rows[1], rows[6]] as [Float32Array, Float32Array, Float32Array];
    const [a, b] = [expected[0], expected[1]] as [Float32Array, Float32Array];
    expect(cosine(cat, kitten)).toBeCloseTo(cosine(a, b), 4);
    expect(cosine(cat, kitten)).toBeGreaterThan(cosine(cat, stocks) + 0.1);
  });

  test("a steady run is one submit, creates nothing and repeats its bits", async () => {
    const run = async (): Promise<Float32Array> => {
      const out = await session.run(inputs, { read: true });
      const data = (await out.data()) as Float32Array;
      out.dispose();
      return data;
    };
    const first = await run();
    const before = gpu.counters.snapshot();
    const again = await run();
    const after = gpu.counters.snapshot();
    expect(after.submits - before.submits).toBe(1);
    expect(after.dispatches - before.dispatches).toBe(
      program.explain({ dims, capabilities: gpu.capabilities }).totals.kernels,
    );
    for (const made of ["buffers", "bindGroups", "pipelines", "latePipelines"] as const) {
      expect(after[made], made).toBe(before[made]);
    }
    expect(again).toEqual(first);
  });

  // Other sizes are other pipelines, which lavapipe takes a minute to compile.
  const patient = process.env.SINTER_ADAPTER !== "lavapipe";
  test.runIf(patient)("has the reference's embedding of a sentence that is cut at 128 tokens", async () => {
    const long = cases.find((c) => c.ids.length > architecture.maxTokens) as Case;
    const { ids, lengths, B, T } = toBatch(tokenizer, [long.sentence]);
    const one = await program.load(gpu, { weights: { params }, dims: { B, T }, strict: true });
    const out = await one.run({ ids, lengths });
    expect(maxAbsDiff(await out.data(), embeddingOf(long))).toBeLessThan(tolerance);
    one.dispose();
  });
});

describe("corrupted weight files", () => {
  let copy: string | undefined;
  afterEach(() => {
    if (copy) rmSync(copy, { recursive: true });
    copy = undefined;
  });

  /** A folder like the package's, in which `spoil` may change copies of files. */
  function spoiled(file: string, spoil: (path: string) => void): string {
    copy = mkdtempSync(join(tmpdir(), "sinter-weights-"));
    const shards = Array.from({ length: 7 }, (_, i) => `group1-shard${i + 1}of7`);
    for (const name of ["model.json", "vocab.json", ...shards]) {
      if (name === file) copyFileSync(join(folder, name), join(copy, name));
      else symlinkSync(join(folder, name), join(copy, name));
    }
    spoil(join(copy, file));
    return copy;
  }
  /** A folder in which the embedding table's entry of model.json says something else. */
  const edited = (change: { dtype?: string; shape?: number[] }): string =>
    spoiled("model.json", (path) => {
      const json = JSON.parse(readFileSync(path, "utf8"));
      const entry = json.weightsManifest[0].weights.find((w: { name: string }) => w.name === "module/Embeddings_en");
      writeFileSync(
        path,
        JSON.stringify(json, (_, v) => (v === entry ? { ...entry, ...change } : v)),
      );
    });
  function refusal(body: () => unknown): string {
    try {
      body();
    } catch (e) {
      expect(e).toBeInstanceOf(SinterError);
      expect((e as SinterError).code).toBe("corrupted-weights");
      return (e as SinterError).message;
    }
    return expect.fail("nothing was refused");
  }

  test("a truncated shard names the file, its bytes and the bytes expected", () => {
    const dir = spoiled("group1-shard3of7", (path) => truncateSync(path, 1000));
    const message = refusal(() => readGraphModel(dir));
    expect(message).toContain("group1-shard3of7");
    expect(message).toContain("1000 bytes, 4194304 expected");
    expect(message).toMatch(/corrupted weight file/);
  });

  test("a missing shard", () => {
    const dir = spoiled("group1-shard7of7", (path) => rmSync(path));
    expect(refusal(() => readGraphModel(dir))).toMatch(/group1-shard7of7: the file is missing/);
  });

  test("a shard with values that are not numbers", () => {
    const dir = spoiled("group1-shard2of7", (path) => writeFileSync(path, new Uint8Array(4194304).fill(0xff)));
    expect(refusal(() => readGraphModel(dir))).toMatch(/group1-shard2of7: .* holds NaN, which is not a finite number/);
  });

  test("a model.json cut short", () => {
    const dir = spoiled("model.json", (path) => truncateSync(path, 100));
    expect(refusal(() => readGraphModel(dir))).toMatch(/model\.json: it is not JSON/);
  });

  test("another dtype", () => {
    const dir = edited({ dtype: "float16" });
    expect(refusal(() => readGraphModel(dir))).toMatch(/Embeddings_en has dtype "float16", float32 or int32 expected/);
  });

  test("integers for floats", () => {
    const dir = edited({ dtype: "int32" });
    expect(refusal(() => loadWeights(readGraphModel(dir)))).toMatch(/Embeddings_en is int32, float32 expected/);
  });

  test("another size", () => {
    const dir = edited({ shape: [8000, 256] });
    expect(refusal(() => readGraphModel(dir))).toMatch(/group1-shard7of7: it has 2737832 bytes, 2735784 expected/);
  });

  test("another shape of the same size", () => {
    const dir = edited({ shape: [256, 8002] });
    expect(refusal(() => loadWeights(readGraphModel(dir)))).toContain("[256, 8002], [8002, 256] expected");
  });

  test("a vocabulary that is not one", () => {
    const dir = spoiled("vocab.json", (path) => writeFileSync(path, '{"a": 1}'));
    expect(refusal(() => readVocabulary(dir))).toMatch(/vocab\.json: it is not a list/);
  });
});
