import { describe, expect, test } from "vitest";
import { overheads } from "../../bench/gpt2-measure.ts";
import { configs } from "../../bench/gpt2-model.ts";
import { makeTrainer, trainingStep } from "../../bench/gpt2-step.ts";
import { profileFigures } from "../../bench/profile-figures.ts";
import { parseStep, type StepOptions, stepOptionsHelp } from "../../bench/step-options.ts";
import { divided } from "../../bench/submits.ts";
import { tableText } from "../../bench/table.ts";
import { openDevice } from "../../src/node/index.ts";
import { sizeClass } from "../../src/runtime/pool.ts";

const parse = (line: string) => parseStep(line.split(" ").filter(Boolean), 5);

describe("options of submits, pool and graph", () => {
  test("defaults, and each option", () => {
    expect(parse("")).toMatchObject({ config: "tiny", sizes: configs.tiny, dtype: "f32", steps: 5, rounds: 3 });
    const given = parse("--config distil --batch 8 --dtype f16 --steps 20 --rounds 1 --json") as StepOptions;
    expect(given).toMatchObject({ config: "distil", dtype: "f16", steps: 20, rounds: 1, json: true });
    expect(given.sizes).toEqual({ ...configs.distil, batch: 8 });
  });

  test.each([
    ["--config huge", '--config is "huge", but must be one of tiny, small, distil'],
    ["--rounds 0", '--rounds is "0", but must be a whole number from 1 on'],
    ["--wat", "Unknown option '--wat'"],
  ])("%s is refused", (line, why) => {
    expect(parse(line)).toBe(why);
  });

  test("pool and graph have no rounds", () => {
    const without = { rounds: false } as const;
    expect(parseStep(["--rounds", "2"], 5, without)).toBe("Unknown option '--rounds'");
    expect(parseStep(["--dtype", "f16"], 5, without)).toMatchObject({ dtype: "f16", steps: 5 });
    expect([stepOptionsHelp(5), stepOptionsHelp(5, without)].map((h) => h.includes("--rounds"))).toEqual([true, false]);
    expect(stepOptionsHelp(5, without)).toBe(stepOptionsHelp(5).replace(/ +--rounds.*\n/, ""));
  });
});

test.each([1, 2, 4, 7, 16, 64])("10 dispatches in %i submits: all of them, in order, nearly equal", (count) => {
  const list = Array.from({ length: 10 }, (_, i) => i);
  const parts = divided(list, count);
  expect(parts).toHaveLength(Math.min(count, 10));
  expect(parts.flat()).toEqual(list);
  const lengths = parts.map((p) => p.length);
  expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
});

test("a size class holds what it is for, wastes a fifth at most, and exceeds no limit", () => {
  for (let bytes = 1; bytes < 2 ** 20; bytes = Math.ceil(bytes * 1.07)) {
    const size = sizeClass(bytes, 2 ** 19);
    expect(size).toBeGreaterThanOrEqual(bytes);
    if (bytes > 256) expect(bytes / size).toBeGreaterThanOrEqual(0.8);
    if (bytes <= 2 ** 19) expect(size).toBeLessThanOrEqual(2 ** 19);
    expect(sizeClass(size, 2 ** 19)).toBe(size);
  }
});

test("what a step costs on the CPU: its time up to the first wait, and what it allocates", async () => {
  const kept: Float64Array[][] = [];
  const step = async (): Promise<void> => {
    const until = performance.now() + 4;
    kept.push(Array.from({ length: 2000 }, () => new Float64Array(4)));
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve, 20));
  };
  const found = await overheads(step, async () => undefined, 9);
  expect(kept).toHaveLength(9);
  expect(found.encode_ms).toBeGreaterThanOrEqual(4);
  expect(found.encode_ms).toBeLessThan(20);
  expect(found.heap_bytes).toBeGreaterThan(2000 * 32);
  expect(found.gc_share).toBeGreaterThanOrEqual(0);
});

test("a steady training step allocates less than 64 KiB of JavaScript heap", async () => {
  const gpu = await openDevice({ adapter: "null" });
  const sizes = { ...configs.tiny, layers: 6, width: 16 };
  const trainer = await makeTrainer(gpu, sizes, trainingStep(sizes));
  const step = async () => (await trainer.step(false)).dispose();
  for (let i = 0; i < 200; i++) await step();
  const { heap_bytes } = await overheads(step, () => gpu.idle(), 100);
  expect(heap_bytes).toBeLessThan(64 * 1024);
  trainer.dispose();
  gpu.dispose();
});

test("a table's columns are as wide as their widest cell", () => {
  expect(
    tableText(
      ["name", "n"],
      [
        ["a", "100"],
        ["longer", "1"],
      ],
      1,
    ),
  ).toBe(["name      n", "a       100", "longer    1"].join("\n"));
});

test("the figures of a profile are its rows, in units of the field", () => {
  const sum = {
    ...{ phase: "forward" as const, count: 2, totalUs: 10, averageUs: 5, share: 1, bytesRead: 3e6, bytesWritten: 1e6 },
    ...{ flops: 2e7, bytesPerSecond: 4e11, flopsPerSecond: 2e12, floorUs: 1 },
  };
  const row = { ...sum, kernel: "contraction: matmul", variant: "tiled", place: "a.ts:1", dispatches: [0, 3] };
  const figures = profileFigures({
    ...{ adapter: "x", runs: 5, rows: [row], phases: [sum], totalUs: 10, passUs: 12, passMinUs: 11 },
    ...{ copyBytesPerSecond: 4.3e12, spans: [], trace: () => "" },
  });
  expect(figures).toMatchObject({ steps: 5, pass_us: 12, pass_min_us: 11, total_us: 10, copy_tb_per_s: 4.3 });
  expect(figures.rows[0]).toMatchObject({ kernel: "contraction: matmul", dispatches: [0, 3], place: "a.ts:1" });
  expect(figures.phases[0]).toMatchObject({ tb_per_s: 0.4, tflop_per_s: 2, floor_us: 1, bytes_read: 3e6 });
});
