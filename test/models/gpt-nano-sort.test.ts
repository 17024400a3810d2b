import { argMax, compile, type Gpu, i32, openDevice, type Tensor } from "sinter";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GptOptions, gpt, gptSpecs } from "./gpt.ts";
import { letters, type NanoSort, nanoSort, partialNames, sortLetters, wrongRows } from "./nano-sort.ts";
import { oracle } from "./oracle.ts";

/** The published values were computed in f32 by PyTorch. */
const tolerance = 2e-5;
const samples = 200;

const model = nanoSort("the trained GPT that sorts letters");
if (model) suite(model);
else describe.skip("gpt-nano-sort", () => test("its weights are not at hand", () => {}));

function suite({ sizes, weights, partials, ids }: NanoSort): void {
  /** Every intermediate that the model shows, as an output. */
  const probed = (attention: NonNullable<GptOptions["attention"]>) =>
    compile(
      { ids: i32(3, 11), params: gptSpecs(sizes) },
      ({ ids, params }) => {
        const seen: Record<string, Tensor> = {};
        const probe = (name: string, value: Tensor): void => {
          seen[name] = value;
        };
        gpt(params, ids, sizes, { attention, probe });
        return seen;
      },
      { weights: ["params"] },
    );

  /** The likeliest next token at every position: i32[rows, 11]. */
  const chooser = (rows: number) =>
    compile({ ids: i32(rows, 11), params: gptSpecs(sizes) }, ({ ids, params }) => argMax(gpt(params, ids, sizes)), {
      weights: ["params"],
    });

  function compare(name: string, values: ArrayLike<number> | undefined): void {
    const published = partials.get(name) as Float32Array;
    expect(values?.length, name).toBe(published.length);
    const at = (i: number): number => values?.[i] as number;
    // Masked scores are -Infinity on both sides; a NaN fails.
    const bad = Array.from(published).findIndex((v, i) => !(v === at(i) || Math.abs(v - at(i)) <= tolerance));
    expect(bad, `${name}: element ${bad} is ${at(bad)}, ${published[bad]} published`).toBe(-1);
  }

  describe("gpt-nano-sort on the interpreter", () => {
    test("every published intermediate", () => {
      const program = probed("spelled");
      expect(partialNames).toHaveLength(24);
      expect(program.graph.outputs.map((o) => o.name).sort()).toEqual([...partialNames].sort());
      const out = oracle(program, { ids, params: weights });
      for (const name of partialNames) compare(name, out[name]?.data);
    });

    test("the attention op gives what spelled-out attention gives", () => {
      const out = oracle(probed("op"), { ids, params: weights });
      for (const name of ["y", "block0", "block2", "probs"]) compare(name, out[name]?.data);
    });

    test("sorts 8 inputs", async () => {
      const input = letters(8);
      const program = chooser(8);
      const sorted = await sortLetters(input, async (ids, length) =>
        column(oracle(program, { ids, params: weights }).out?.data as Float64Array, length - 1),
      );
      expect(wrongRows(input, sorted).slice(0, 5)).toEqual([]);
    });
  });

  // Software adapters take seconds to compile some of the pipelines.
  describe("gpt-nano-sort on the GPU", { timeout: 300_000 }, () => {
    let gpu: Gpu;
    beforeAll(async () => {
      gpu = await openDevice();
    });
    afterAll(() => gpu?.dispose());

    test.each(["spelled", "op"] as const)("every published intermediate, attention as %s", async (attention) => {
      const program = probed(attention);
      const session = await program.load(gpu, { weights: { params: weights }, strict: true });
      const out = await session.run({ ids });
      const names = partialNames.filter((name) => name in out);
      expect(names).toHaveLength(attention === "spelled" ? 24 : 22);
      for (const name of names) compare(name, await out[name]?.data());
      session.dispose();
    });

    test(`sorts ${samples} inputs, one submit a token`, async () => {
      const session = await chooser(samples).load(gpu, { weights: { params: weights }, strict: true });
      const input = letters(samples);
      const before = gpu.counters.snapshot();
      const sorted = await sortLetters(input, async (ids, length) => {
        const out = await session.run({ ids }, { read: true });
        const data = await out.data();
        out.dispose();
        return column(data, length - 1);
      });
      expect(wrongRows(input, sorted).slice(0, 5)).toEqual([]);
      expect(gpu.counters.submits - before.submits).toBe(6);
      expect(gpu.counters.latePipelines).toBe(before.latePipelines);
      session.dispose();
    });
  });
}

/** Column `index` of a row-major matrix [n, 11]. */
const column = (data: ArrayLike<number>, index: number): number[] =>
  Array.from({ length: data.length / 11 }, (_, row) => data[row * 11 + index] as number);
