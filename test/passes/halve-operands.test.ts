import { afterAll, describe, expect, test } from "vitest";
import { fromHalfBits, toHalfBits } from "../../src/base/half.ts";
import { compileGraph } from "../../src/compiler.ts";
import { compile, f32, gelu, matmul, type Program, sum, tanh, valueAndGrad } from "../../src/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { toHalves } from "../../src/ir/ops/halves.ts";
import { rowOf } from "../../src/ir/ops.ts";
import { parse } from "../../src/ir/parse.ts";
import { verify } from "../../src/ir/verify.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { type Gpu, openDevice } from "../../src/node/runtime.ts";
import { halveOperands } from "../../src/passes/halve-operands.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { variantInputs } from "../support/variants.ts";
import { kernelProblems } from "../wgsl/limits.ts";

const opened: Gpu[] = [];
afterAll(() => {
  for (const g of opened) g.dispose();
});

const h200: Capabilities = profiles.h200;
const precision = "f16x3" as const;
const copies = (graph: Graph): number => graph.nodes.filter((n) => n.op === "fromHalves").length;

/** A layer, its gradients and a sum that rides with one. */
const layer = (rows: number, width: number, wide: number) =>
  compile(
    { x: f32(rows, width), w: f32(width, wide), c: f32(wide) },
    ({ x, w, c }) =>
      valueAndGrad((p: { x: typeof x; w: typeof w; c: typeof c }) => sum(gelu(matmul(p.x, p.w).add(p.c))))({ x, w, c }),
    { precision },
  );

describe("a matrix in halves", () => {
  test("is the matrix, to 22 bits of all that is not far smaller than its block's largest", () => {
    const shape = [3, 260];
    const largest = (i: number): number => (i % 260 < 128 ? 1e24 : 1e-16);
    const data = Float64Array.from({ length: 780 }, (_, i) => Math.sin(i) * 10 ** -(i % 9) * largest(i));
    const [back] =
      rowOf("fromHalves").evaluate?.(toHalves(ndarray("f32", shape, data)), { shape }, [{ dtype: "f32", shape }]) ?? [];
    data.forEach((v, i) => {
      const error = Math.abs((back?.data[i] as number) - v);
      expect(error).toBeLessThanOrEqual(2 ** -22 * Math.abs(v) + 2 ** -38 * largest(i));
    });
  });

  test("has words for whole fours and blocks, and an exponent for each block", () => {
    const of = (words: string, exponents: string, shape: string): Graph =>
      parse(
        `graph(%w: ${words}, %e: ${exponents}) {\n  %0 = fromHalves(%w, %e) {shape: [${shape}]} : f32[${shape}]\n  return y: %0\n}\n`,
      );
    expect(() => of("u32[1, 1, 16384]", "u32[1, 1]", "4, 6")).toThrow(/no matrix of 4 by 6 in halves/);
    expect(() => of("u32[2, 1, 16384]", "u32[1, 1]", "129, 8")).toThrow(/no matrix of 129 by 8 in halves/);
    expect(() => of("u32[129, 8]", "u32[2, 1]", "129, 8")).toThrow(/no matrix of 129 by 8 in halves/);
    expect(copies(of("u32[2, 1, 16384]", "u32[2, 1]", "129, 8"))).toBe(1);
  });

  test("has fragments of 16 by 16, upper halves before lower ones; rows beyond the end repeat the last one, columns are zeros", () => {
    const [rows, columns] = [130, 132];
    const data = Float64Array.from({ length: rows * columns }, (_, i) => 1 + i / 2 ** 15);
    const [words, exponents] = toHalves(ndarray("f32", [rows, columns], data));
    expect([words.shape, exponents.shape]).toEqual([
      [2, 2, 16384],
      [2, 2],
    ]);
    const half = (row: number, column: number, lower: number): number => {
      const [block, fragment] = [
        Math.floor(row / 128) * 2 + Math.floor(column / 128),
        Math.floor((row % 128) / 16) * 8 + Math.floor((column % 128) / 16),
      ];
      const at = ((block * 64 + fragment) * 2 + lower) * 128 + (row % 16) * 8 + Math.floor((column % 16) / 2);
      return fromHalfBits(Math.floor((words.data[at] as number) / (column % 2 ? 2 ** 16 : 1)) % 2 ** 16);
    };
    for (const [row, column] of [
      [0, 0],
      [17, 33],
      [127, 131],
      [129, 128],
      [200, 3],
    ] as const) {
      const block = Math.floor(row / 128) * 2 + Math.floor(column / 128);
      const value = data[Math.min(row, rows - 1) * columns + column] as number;
      const scaled = value * 2 ** (141 - (exponents.data[block] as number));
      expect(half(row, column, 0)).toBe(fromHalfBits(toHalfBits(scaled)));
      expect(half(row, column, 0) + half(row, column, 1)).toBe(scaled);
    }
    expect([half(0, 132, 0), half(129, 255, 1)]).toEqual([0, 0]);
  });
});

describe("operands of products of f32 as halves", () => {
  test("are stored as halves once for all products that read them, with the sums that ride with one", () => {
    const { report } = compileGraph(layer(4096, 2048, 4096).graph, h200);
    const of = (variant: RegExp) => report.kernels.filter((k) => variant.test(k.variant));
    // x and w by one kernel, and the gradient of the product: three copies for three products.
    expect(of(/^wgsl_toHalves$/).map((k) => k.reads.length)).toEqual([2, 1]);
    const products = of(/f16x3_/);
    expect(products.flatMap((k) => k.ops.filter((op) => op === "matmul")).length).toBe(3);
    expect(products.flatMap((k) => k.ops.filter((op) => op === "fromHalves")).length).toBe(6);
    expect(products.some((k) => k.ops.includes("sum"))).toBe(true);
    // Nothing rides with a product in parts: such a sum is of what it was.
    const parts = compileGraph(layer(4096, 768, 3072).graph, h200).report.kernels;
    expect(parts.filter((k) => k.ops.includes("sum")).flatMap((k) => k.ops)).not.toContain("fromHalves");
  });

  test("the first one that is computed is stored with inputs", () => {
    const program = compile(
      { x: f32(4096, 2048), w: f32(2048, 4096) },
      ({ x, w }) => valueAndGrad((v: typeof w) => sum(gelu(matmul(tanh(x), v))))(w),
      { precision },
    );
    const { kernels } = compileGraph(program.graph, h200).report;
    const own = kernels.filter((k) => k.variant === "wgsl_toHalves").map((k) => k.reads.length);
    expect(own).toEqual([2, 1]);
    expect(kernels.filter((k) => /_(direct|staged)$/.test(k.variant)).length).toBe(2);
  });

  test("stay what they are where a copy does not pay, or nothing computes with it", () => {
    const able = layer(4096, 768, 3072).graph;
    const kernels = (graph: Graph, c: Capabilities): boolean =>
      compileGraph(graph, c).report.kernels.some((k) => k.variant.includes("toHalves"));
    expect(kernels(able, h200)).toBe(true);
    expect(kernels(layer(512, 768, 768).graph, h200)).toBe(false);
    expect(kernels(layer(4096, 768, 3070).graph, h200)).toBe(false);
    expect(kernels(able, { ...h200, software: true })).toBe(false);
    expect(kernels(able, { ...h200, features: { ...h200.features, subgroupMatrix: false } })).toBe(false);
    expect(kernels(compile({ x: f32(4096, 768), w: f32(768, 3072) }, ({ x, w }) => matmul(x, w)).graph, h200)).toBe(
      false,
    );
    const batched = compile({ x: f32(8, 1024, 768), w: f32(8, 768, 1024) }, ({ x, w }) => matmul(x, w), { precision });
    expect(kernels(batched.graph, h200)).toBe(false);
  });

  test("mean the same to the interpreter, and are halved once", () => {
    const { graph } = layer(36, 40, 44);
    const before = optimise(graph);
    const able = {
      software: false,
      features: { f16: true, subgroups: true, subgroupMatrix: true },
      limits: h200.limits,
    };
    const after = halveOperands(before, able, { worth: Number.NEGATIVE_INFINITY, least: 16 });
    verify(after, "decomposed");
    expect(copies(after)).toBe(3);
    expect(halveOperands(after, able, { worth: Number.NEGATIVE_INFINITY, least: 16 })).toBe(after);
    const inputs = variantInputs(graph);
    const [expected, got] = [before, after].map((g) => interpret(g, inputs)) as [
      Record<string, NDArray>,
      Record<string, NDArray>,
    ];
    for (const [name, { data }] of Object.entries(expected)) {
      data.forEach((v, i) => {
        expect(Math.abs((got[name]?.data[i] as number) - v)).toBeLessThan(1e-5 * Math.max(1, Math.abs(v)));
      });
    }
  });

  test("compile on a device that has subgroup matrices, within its limits", async () => {
    const gpu = await openDevice({ adapter: "null" });
    opened.push(gpu);
    const programs: readonly Pick<Program, "graph">[] = [
      layer(4096, 768, 3072),
      compile({ x: f32(4097, 4096), w: f32(3001, 4096) }, ({ x, w }) => matmul(x, w, { transposeB: true, precision })),
      compile({ x: f32(2501, 4100), w: f32(4100, 3076) }, ({ x, w }) =>
        matmul(w, x, { transposeA: true, transposeB: true, precision }),
      ),
    ];
    const texts = new Map(
      programs.flatMap((p) => compileGraph(p.graph, h200).manifest.kernels.map((k) => [k.wgsl, k])),
    );
    expect([...texts.keys()].filter((t) => t.includes("fn halve0")).length).toBe(4);
    for (const [code, kernel] of texts) {
      gpu.device.pushErrorScope("validation");
      const module = gpu.device.createShaderModule({ code });
      const messages = (await module.getCompilationInfo()).messages.filter((x) => x.type === "error");
      expect([messages.map((x) => x.message), await gpu.device.popErrorScope()], code).toEqual([[], null]);
      expect(kernelProblems(kernel, h200), code).toEqual([]);
    }
  });
});
