import { describe, expect, test } from "vitest";
import { relativeDifference } from "../../bench/gpt2-measure.ts";
import { configs, hashWeights, oracleOf } from "../../bench/gpt2-model.ts";
import { type Gpt2Options, parseGpt2 } from "../../bench/gpt2-options.ts";
import { figuresText } from "../../bench/gpt2-report.ts";
import { trainingStep, treeOf } from "../../bench/gpt2-step.ts";

const parse = (line: string) => parseGpt2(line.split(" ").filter(Boolean)) as Gpt2Options;

describe("options of gpt2-train", () => {
  test("the configuration's sizes, each of which can be changed", () => {
    expect(parse("").sizes).toEqual(configs.tiny);
    expect(parse("--config distil").sizes).toEqual(configs.distil);
    const changed = parse("--config small --layers 3 --width 60 --heads 5 --vocab 97 --batch 1 --seq 11").sizes;
    expect(changed).toEqual({ layers: 3, width: 60, heads: 5, vocab: 97, batch: 1, seq: 11, positions: 256 });
  });

  test("a sequence longer than the position table lengthens the table", () => {
    expect(parse("--seq 100").sizes.positions).toBe(100);
  });

  test.each([
    ["--config huge", '--config is "huge", but must be one of tiny, small, distil'],
    ["--dtype bf16", '--dtype is "bf16", but must be one of f32, f16x3, f16'],
    ["--steps 0", '--steps is "0", but must be a whole number from 1 on'],
    ["--layers 2.5", '--layers is "2.5", but must be a whole number from 1 on'],
    ["--heads 3", "--heads is 3, which does not divide the width 64"],
    ["--vs torch", '--vs is "torch", but must be one of jax-js'],
    ["--for h200", "--for goes with --plan: a device has its own limits"],
    ["--plan --check", "--plan runs nothing, so it cannot go with --check"],
    ["--plan --vs jax-js", "--plan runs nothing, so it cannot go with --vs"],
    ["--plan --profile", "--plan runs nothing, so it cannot go with --profile"],
    ["--plan --trace t.json", "--plan runs nothing, so it cannot go with --trace"],
    ["--plan --for a100", '--for is "a100", but must be one of base, subgroups, f16, lavapipe, h200'],
    [
      "--check --seq 8",
      "--check has no reference losses for these sizes, only for tiny, distil, and distil with --batch 8",
    ],
    [
      "--config small --check",
      "--check has no reference losses for these sizes, only for tiny, distil, and distil with --batch 8",
    ],
    ["--wat", "Unknown option '--wat'"],
    ["tiny", "Unexpected argument 'tiny'"],
  ])("%s is refused", (line, why) => {
    expect(parseGpt2(line.split(" "))).toBe(why);
  });

  test("what --plan is for is said by --for, or by --profile with a name", () => {
    expect(parse("--plan").plan).toBe("base");
    for (const line of ["--plan --for h200", "--plan --profile h200", "--profile=h200 --plan"])
      expect(parse(line)).toMatchObject({ plan: "h200", profile: false });
    expect(parse("--profile")).toMatchObject({ plan: undefined, profile: true });
  });

  test("PyTorch's losses are known where --check is allowed", () => {
    expect(oracleOf(parse("--check").sizes)).toMatchObject({ tolerance: 1e-5 });
    expect(oracleOf(parse("--config distil --batch 8 --check").sizes)?.losses).toHaveLength(4);
  });
});

test("the weights by name are the leaves of the model's tree, in shape too", () => {
  const sizes = { ...configs.tiny, layers: 1, width: 8, heads: 2, vocab: 11, positions: 6, seq: 5 };
  const inputs = trainingStep(sizes).graph.inputs.filter((n) => String(n.attrs.name).startsWith("params."));
  const shapes = Object.fromEntries(
    inputs.map((n) => [
      String(n.attrs.name).slice("params.".length),
      (n.type.shape as number[]).reduce((a, b) => a * b, 1),
    ]),
  );
  const weights = Object.fromEntries(Object.entries(hashWeights(sizes)).map(([name, w]) => [name, w.length]));
  expect(shapes).toEqual(weights);
});

test("treeOf makes objects and lists from dotted names", () => {
  expect(treeOf({ "a.b": 1, "a.h.0.w": 2, "a.h.1.w": 3 })).toEqual({ a: { b: 1, h: [{ w: 2 }, { w: 3 }] } });
});

describe("relativeDifference", () => {
  test("is over as many values as both have", () => {
    expect(relativeDifference([1, 2.2], [1, 2, 3])).toBeCloseTo(0.1, 12);
    expect(relativeDifference([1, 2, 3], [1, 2])).toBe(0);
  });
  test("NaN wins, so that no check passes by it", () => {
    expect(relativeDifference([1, Number.NaN, 1], [1, 1, 1])).toBeNaN();
  });
});

test("the report names the check and the ratio", () => {
  const times = { losses: [5.5, 5.25], median_ms: 12, min_ms: 11, pipelined_ms: 9 };
  const compared = { losses: [5.5], max_relative_difference: 2e-7, tolerance: 1e-5 };
  const text = figuresText({
    ...{ bench: "gpt2-train", config: "tiny", sizes: configs.tiny, dtype: "f32", adapter: "x", steps: 2, ...times },
    ...{ gpu_ms: 8.5, gpu_min_ms: 8.25, encode_ms: 0.5, heap_bytes: 2048, gc_share: 0.001 },
    ...{ first_step_ms: 1, warmup_ms: 1, compile_ms: 1, dispatches: 70, submits: 1, create_buffer: 0 },
    ...{
      create_bind_group: 0,
      late_pipelines: 0,
      planned_bytes: 2 ** 20,
      lower_bound_bytes: 2 ** 20,
      peak_bytes: 2 ** 21,
    },
    check: { reference: "PyTorch", ...compared },
    jax_js: { reference: "jax-js", ...compared, ...times, median_ms: 30, first_step_ms: 99 },
    ratio: 2.5,
    pipelined_ratio: 3,
  });
  expect(text).toContain("70 dispatches, 1 submits");
  expect(text).toContain("8.50 ms in one pass (least 8.25 ms)");
  expect(text).toContain("0.500 ms to encode and submit, 2.0 KiB of heap a step, 0.10 % garbage collection");
  expect(text).toContain("losses differ by 2.0e-7 at most, relatively (0.00001 allowed)");
  expect(text).toContain("2.50 times faster synced, 3.00 pipelined");
});
