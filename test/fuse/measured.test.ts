import { compile, f32, gelu, layerNorm, matmul, relu, softmax, type TuningTable, valueAndGrad } from "sinter";
import { describe, expect, test } from "vitest";
import { compileGraph, type Inspected } from "../../src/compiler.ts";
import { signatureOf } from "../../src/fuse/signature.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { emptyTable } from "../../src/tune/table.ts";

const none = emptyTable({ vendor: "made", architecture: "up", device: "" });
const capabilities = profiles.h200;

const mlp = compile({ x: f32(256, 512), w: f32(512, 512), b: f32(512) }, ({ x, w, b }) => gelu(matmul(x, w).add(b)));
const layer = compile({ x: f32(256, 512), w: f32(512, 512), b: f32(512) }, ({ x, w, b }) => {
  const { grad } = valueAndGrad((p: { w: typeof w; b: typeof b }) => relu(matmul(x, p.w).add(p.b)).sum())({ w, b });
  return grad;
});
const rows = compile({ x: f32(256, 512) }, ({ x }) => softmax(x));
const shared = compile({ x: f32(256, 512), w: f32(512, 512) }, ({ x, w }) => {
  const y = relu(x.mul(2).add(1));
  return [layerNorm(y), matmul(y, w)];
});

/** The fusions of a program that a table can decide, and its kernels. */
function asked(program: typeof mlp, tuning: TuningTable): Inspected {
  let seen: Inspected | undefined;
  const inspect = (i: Inspected): void => {
    seen = i;
  };
  compileGraph(program.bind(), capabilities, { tuning, inspect, bundles: false });
  return seen as unknown as Inspected;
}

const against = (name: string, { fused = 20, apart = 10 } = {}): TuningTable => ({
  ...none,
  fusions: { [name]: { fused, apart } },
});

describe("fusions that a table measured", () => {
  const kinds: readonly (readonly [string, string, typeof mlp])[] = [
    ["an epilogue of a product", "epilogue | add f32[256,512] | contraction", mlp as never],
    ["sums that ride with a product", "rider | sum f32[256,512]", layer as never],
    ["a reduction that joins another's kernel", "join | sum f32[256,512]", rows as never],
    ["a value that its readers compute for themselves", "repeat | ", shared as never],
  ];
  test.each(kinds)("%s", (_, prefix, program) => {
    const before = asked(program, none);
    const name = [...before.fusions.keys()].find((k) => k.startsWith(prefix)) as string;
    expect(name, [...before.fusions.keys()].join("\n")).toBeDefined();
    expect(before.fusions.get(name)).toBe(true);
    const usual = program.explain({ capabilities });
    expect(usual.apart).toEqual([]);

    const lost = program.explain({ capabilities, tuning: against(name) });
    expect(lost.kernels.length).toBeGreaterThan(usual.kernels.length);
    const [first] = lost.apart;
    expect(first?.detail).toMatch(/10 µs apart and 20 µs fused/);
    expect(String(lost)).toContain("not fused, as measured:");
    // What is less than noise decides nothing, and neither does a table that speaks for what is usual.
    for (const times of [{ apart: 19.8 }, { apart: 30 }]) {
      expect(String(program.explain({ capabilities, tuning: against(name, times) }))).toBe(String(usual));
    }
  });

  test("an edge names the measurement as its reason", () => {
    const [name] = [...asked(mlp as never, none).fusions.keys()].filter((k) => k.startsWith("epilogue | add"));
    const { edges } = mlp.explain({ capabilities, tuning: against(name as string) });
    expect(edges.map((e) => e.reason)).toEqual(["measured"]);
  });

  test("an empty table, and one of fusions that are not there, change nothing", () => {
    for (const program of [mlp, layer, rows, shared]) {
      const plain = program.manifest({ capabilities });
      expect(program.manifest({ capabilities, tuning: none })).toEqual(plain);
      expect(program.manifest({ capabilities, tuning: against("epilogue | frobnicate f32[1]") })).toEqual(plain);
    }
  });

  test("without profit as the measure, measurements do not count", () => {
    const [name] = [...asked(rows as never, none).fusions.keys()].filter((k) => k.startsWith("join"));
    const fused = rows.explain({ capabilities, fuse: "legal", tuning: against(name as string) });
    expect(fused.kernels).toHaveLength(1);
  });
});

describe("variants that a table names", () => {
  // The tile that nothing is small enough for here.
  const other = "tile_128x64x16";
  test("the table's choice is what is written, and explain shows it", () => {
    const { main } = asked(mlp as never, none);
    expect(main).toHaveLength(1);
    const [bound] = main;
    const signature = signatureOf(bound!.region);
    const choose = (variant: string): TuningTable => ({
      ...none,
      kernels: { [signature]: { variant, time: 1, usual: "tile_64x64x16", usualTime: 2 } },
    });
    const variant = (tuning: TuningTable) => mlp.explain({ capabilities, tuning }).kernels[0]?.variant;
    const usual = mlp.explain({ capabilities }).kernels[0]?.variant;
    expect(usual).not.toBe(other);
    expect(variant(choose(other))).toBe(other);
    // A name of another release, one that does not fit, and the name of something that every object has.
    for (const unknown of ["tile_7x7x7", "matrix_128x128x32", "toString"]) expect(variant(choose(unknown))).toBe(usual);
  });

  test("a manifest made by a table is not the one made without", () => {
    const [bound] = asked(mlp as never, none).main;
    const kernels = {
      [signatureOf(bound!.region)]: { variant: other, time: 1, usual: "", usualTime: 2 },
    };
    const tuned = mlp.manifest({ capabilities, tuning: { ...none, kernels } });
    expect(tuned.kernels[0]?.key).not.toBe(mlp.manifest({ capabilities }).kernels[0]?.key);
    // Kept apart in the program's cache, whichever was asked for last.
    expect(mlp.manifest({ capabilities, tuning: { ...none, kernels } })).toEqual(tuned);
  });
});

test("a product as halves has another name than the same one in f32: their variants are not each other's", () => {
  const product = (precision: "f32" | "f16x3") =>
    compile({ x: f32(256, 512), w: f32(512, 512) }, ({ x, w }) => matmul(x, w, { precision }));
  const names = (["f32", "f16x3"] as const).map((p) => signatureOf(asked(product(p) as never, none).main[0]!.region));
  expect(new Set(names).size).toBe(2);
});
