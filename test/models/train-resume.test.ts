import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Gpu, openDevice, readTensors } from "sinter";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadCheckpoint, type Recipe } from "../../examples/train/checkpoint.ts";
import { type LoopOptions, trainingLoop } from "../../examples/train/loop.ts";
import { openTraining, type Training } from "../../examples/train/training.ts";
import { splitWords } from "../../examples/train/words.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";

const letters = "abcdefghij";
const words = [...letters].flatMap((a) => [...letters].map((b) => `${a}${b}${a}`));
const recipe: Recipe = {
  ...{ layers: 1, width: 16, heads: 2, batch: 4, length: 5, steps: 8, lr: 3e-3, warmup: 2, seed: 5 },
};
const corpus = splitWords(words, recipe.length);
const folder = mkdtempSync(join(tmpdir(), "sinter-resume-"));
let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => {
  gpu.dispose();
  rmSync(folder, { recursive: true });
});

const options: LoopOptions = { every: 3, temperature: 1, heldOut: [10, 10] };

test("a run with a break and a resume gives the bits of one without", async ({ skip }) => {
  skip(leftOut("training resumed"), leftOutWhy);
  const whole = await openTraining(gpu, recipe, corpus, undefined, () => {});
  expect(await trainingLoop(whole, options)).toBe(true);

  const first = await openTraining(gpu, recipe, corpus, undefined, () => {});
  const stop = new AbortController();
  const stepped = (): void => {
    if (first.history.losses.length === 4) stop.abort();
  };
  expect(await trainingLoop(first, { ...options, signal: stop.signal, stepped })).toBe(false);
  const steps = first.history.losses.length;
  expect(steps).toBeLessThan(recipe.steps);
  const path = join(folder, "checkpoint.safetensors");
  await first.save(path);
  first.dispose();

  const second = await openTraining(gpu, recipe, corpus, await loadCheckpoint(path), () => {});
  expect(second.history.losses).toHaveLength(steps);
  expect(await trainingLoop(second, options)).toBe(true);
  expect(second.history.losses).toEqual(whole.history.losses);
  expect(samplesOf(second)).toEqual(samplesOf(whole));
  expect(await bitsOf(second)).toEqual(await bitsOf(whole));
  // What is compared did change: the run learned.
  expect(whole.history.losses.at(-1)).toBeLessThan(whole.history.losses[0] as number);
  whole.dispose();
  second.dispose();
});

const samplesOf = ({ history }: Training) =>
  history.evaluations.map(({ step, heldOut, samples }) => ({ step, heldOut, samples }));

/** Parameters, moments and step count, bit for bit. */
async function bitsOf({ state }: Training): Promise<Record<string, number[]>> {
  const tensors = [...leaves(state, "")];
  const arrays = await readTensors(
    gpu,
    tensors.map(([, t]) => t),
  );
  return Object.fromEntries(
    arrays.map((a, i) => [tensors[i]?.[0], [...new Uint32Array(a.buffer, a.byteOffset, a.length)]]),
  );
}

type Leaf = Parameters<typeof readTensors>[1][number];
function* leaves(tree: unknown, path: string): Generator<[string, Leaf]> {
  if ("data" in (tree as object)) yield [path, tree as Leaf];
  else for (const [k, v] of Object.entries(tree as object)) yield* leaves(v, `${path}.${k}`);
}
