import { compile, f16, f32, layerNorm, matmul, type Program } from "sinter";
import { describe, expect, test } from "vitest";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { trialOf } from "../../src/trial.ts";
import { promising } from "../../src/tune/estimate.ts";
import { emptyTable } from "../../src/tune/table.ts";
import { candidatesOf } from "../../src/wgsl/write.ts";

const none = emptyTable({ vendor: "", architecture: "", device: "" });

/** The variants of a program's first kernel, all and those that are measured. */
function variants(program: unknown, capabilities: Capabilities = profiles.h200) {
  const { bound } = trialOf((program as Program).bind({}), capabilities, none);
  const { region } = bound[0]!;
  const all = candidatesOf(region, capabilities).map((c) => c.name);
  return { all, measured: all.filter(promising(region, capabilities, all)) };
}

const product = (m: number, n: number, k: number, spec: typeof f32 | typeof f16 = f32) =>
  compile({ a: spec(m, k), b: spec(k, n) }, ({ a, b }) => matmul(a, b));

describe("variants that are measured", () => {
  test("of a large product are the tiles that may be the quickest, the usual one first", () => {
    const { all, measured } = variants(product(512, 3072, 768));
    expect(measured[0]).toBe(all[0]);
    expect(all.filter((n) => n.startsWith("direct")).length).toBeGreaterThan(0);
    expect(measured.filter((n) => n.startsWith("direct"))).toEqual([]);
    expect(measured).toEqual(expect.arrayContaining(["tile_64x64x16_by2", "tile_64x32x16", "tile_128x64x16"]));
    expect(measured).not.toContain("tile_32x32x16");
  });

  test("of a small product may be without workgroup memory", () => {
    const { measured } = variants(product(64, 64, 64));
    expect(measured.some((n) => n.startsWith("direct"))).toBe(true);
  });

  test("of halves are by matrices alone", () => {
    const { all, measured } = variants(product(512, 3072, 768, f16));
    expect(all.some((n) => n.startsWith("tile_"))).toBe(true);
    expect(measured.filter((n) => !n.startsWith("matrix_"))).toEqual([]);
    expect(measured).toEqual(expect.arrayContaining(["matrix_64x64x32", "matrix_128x64x32"]));
  });

  test("of rows have not many times as many or as few invocations", () => {
    const { all, measured } = variants(compile({ x: f32(512, 768) }, ({ x }) => layerNorm(x)));
    const usual = Number(/^row_(\d+)x/.exec(all[0] as string)?.[1]);
    const threads = measured.map((n) => Number(/^row_(\d+)x/.exec(n)?.[1]));
    expect(Math.max(...threads)).toBeLessThanOrEqual(8 * usual);
    expect(Math.min(...threads)).toBeGreaterThanOrEqual(usual / 8);
    expect(measured.length).toBeGreaterThan(6);
    expect(all).toContain("row_1x64");
    expect(measured).not.toContain("row_1x64");
  });

  test("are all on software adapters", () => {
    const capabilities = { ...profiles.base, software: true };
    const { all, measured } = variants(product(512, 3072, 768), capabilities);
    expect(measured).toEqual(all);
  });
});
