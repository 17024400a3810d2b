import { afterAll, describe, expect, test } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import { fuse } from "../../src/fuse/fuse.ts";
import { legalise } from "../../src/fuse/legalise.ts";
import type { Region } from "../../src/fuse/region.ts";
import {
  checkpoint,
  compile,
  einsum,
  f16,
  f32,
  gelu,
  layerNorm,
  matmul,
  type Program,
  sum,
  valueAndGrad,
} from "../../src/index.ts";
import type { Node } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { parse } from "../../src/ir/parse.ts";
import { print } from "../../src/ir/print.ts";
import type { Capabilities, KernelSpec } from "../../src/manifest/manifest.ts";
import { linear, mlp, selfAttention } from "../../src/nn/index.ts";
import { type Gpu, openDevice } from "../../src/node/runtime.ts";
import { halfProducts } from "../../src/passes/half-products.ts";
import { halveOperands } from "../../src/passes/halve-operands.ts";
import {
  matrixThreads,
  pairBytes,
  pairTiles,
  storedBytes,
  storedName,
  storedTiles,
} from "../../src/passes/matrix-tiles.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { splitProducts } from "../../src/passes/split-products.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { writePairs } from "../../src/wgsl/contraction-matrix-f16x3.ts";
import { writeStored } from "../../src/wgsl/contraction-matrix-f16x3-stored.ts";
import { variantInputs } from "../support/variants.ts";
import { kernelProblems } from "./limits.ts";

const opened: Gpu[] = [];
afterAll(() => {
  for (const g of opened) g.dispose();
});

const h200: Capabilities = profiles.h200;
const without: Capabilities = { ...h200, features: { ...h200.features, subgroupMatrix: false } };

/** A product of these sizes, by transposes, with what a contraction may carry besides. */
function product(m: number, n: number, k: number, transposeA: boolean, transposeB: boolean, more: boolean) {
  const a = f32(...(transposeA ? [k, m] : [m, k]));
  const b = f32(...(transposeB ? [n, k] : [k, n]));
  return compile({ a, b, c: f32(n), r: f32(m, n) }, ({ a, b, c, r }) => {
    const y = matmul(a, b, { transposeA, transposeB, precision: "f16x3" });
    if (!more) return { y };
    const rows = sum(a, { axes: transposeA ? 0 : 1 });
    return { y: gelu(y.add(c)).add(r), rows, columns: sum(b, { axes: transposeB ? 1 : 0 }) };
  });
}

function regionOf(program: Pick<Program, "graph">): Region {
  const legal = legalise(optimise(program.graph), h200.limits.maxStorageBuffersPerShaderStage);
  const { regions } = fuse(legal, h200, "legal");
  expect(regions.length).toBe(1);
  return regions[0] as Region;
}

describe("kernels of f32 as halves compile, within the limits of their device", () => {
  const sizes: readonly (readonly [number, number, number])[] = [
    [512, 768, 768],
    [129, 131, 67],
    [100, 36, 20],
    [512, 768, 50257],
  ];
  for (const t of pairTiles) {
    test(`${t.m}×${t.n}×${t.k}`, async () => {
      const gpu = await openDevice({ adapter: "null" });
      opened.push(gpu);
      expect(matrixThreads(t)).toBeLessThanOrEqual(h200.limits.maxComputeInvocationsPerWorkgroup);
      expect(pairBytes(t)).toBeLessThanOrEqual(h200.limits.maxComputeWorkgroupStorageSize);
      for (const [m, n, k] of sizes) {
        for (let form = 0; form < 8; form++) {
          const region = regionOf(product(m, n, k, (form & 1) > 0, (form & 2) > 0, (form & 4) > 0));
          const kernel = writePairs(region, h200, t);
          const where = `${m}×${n}×${k}, form ${form}\n${kernel.wgsl}`;
          gpu.device.pushErrorScope("validation");
          const module = gpu.device.createShaderModule({ code: kernel.wgsl });
          const messages = (await module.getCompilationInfo()).messages.filter((x) => x.type === "error");
          expect([messages.map((x) => x.message), await gpu.device.popErrorScope()], where).toEqual([[], null]);
          const spec = { ...kernel, key: "", label: "test", entryPoint: "main" } as KernelSpec;
          expect(kernelProblems(spec, h200), where).toEqual([]);
          expect(kernel.requires.workgroupBytes).toBeLessThanOrEqual(pairBytes(t));
        }
      }
    });
  }

  for (const t of storedTiles) {
    test(storedName(t), async () => {
      const gpu = await openDevice({ adapter: "null" });
      opened.push(gpu);
      expect(matrixThreads(t)).toBeLessThanOrEqual(h200.limits.maxComputeInvocationsPerWorkgroup);
      expect(storedBytes(t)).toBeLessThanOrEqual(h200.limits.maxComputeWorkgroupStorageSize);
      for (const [m, n, k] of [
        [512, 768, 768],
        [132, 136, 68],
        [100, 36, 20],
      ] as const) {
        for (let form = 0; form < 8; form++) {
          if ((form & 1) > 0 === t.direct) continue;
          const graph = halveOperands(optimise(product(m, n, k, (form & 1) > 0, (form & 2) > 0, false).graph), h200, {
            ...{ worth: Number.NEGATIVE_INFINITY, least: 16 },
          });
          const legal = legalise(graph, h200.limits.maxStorageBuffersPerShaderStage);
          const region = fuse(legal, h200, "legal").regions.find((r) => r.family === "contraction") as Region;
          const kernel = writeStored(region, h200, t);
          const where = `${m}×${n}×${k}, form ${form}\n${kernel.wgsl}`;
          gpu.device.pushErrorScope("validation");
          const module = gpu.device.createShaderModule({ code: kernel.wgsl });
          const messages = (await module.getCompilationInfo()).messages.filter((x) => x.type === "error");
          expect([messages.map((x) => x.message), await gpu.device.popErrorScope()], where).toEqual([[], null]);
          expect(kernelProblems({ ...kernel, key: "", label: "test", entryPoint: "main" } as KernelSpec, h200)).toEqual(
            [],
          );
          expect(kernel.requires.workgroupBytes).toBeLessThanOrEqual(storedBytes(t));
          const loads = [...kernel.wgsl.matchAll(/subgroup_matrix_left<f16, 16, 16>, (\w+)>\(&(\w+),/g)];
          expect(new Set(loads.map((x) => x[2]))).toEqual(new Set([t.direct ? "b0" : "sh"]));
        }
      }
    });
  }

  test("places in workgroup memory are made of constants and the invocation's number alone", () => {
    const { wgsl } = writePairs(regionOf(product(512, 768, 768, true, false, true)), h200, pairTiles[0]!);
    const places = [...wgsl.matchAll(/\bsh\[([^\]]*)\]/g), ...wgsl.matchAll(/&sh, ([^;]*)\)/g)].map((m) => m[1]!);
    expect(places.length).toBeGreaterThan(40);
    for (const p of places) {
      expect(p.replace(/\b(lid|sg|unit\d+|at|own|acc\d+|i)\b/g, "").replace(/\d+u/g, "")).toMatch(/^[\s+*/%(),]*$/);
    }
  });
});

const variantsOf = (program: Pick<Program, "graph">, c: Capabilities): readonly string[] =>
  compileGraph(program.graph, c).report.kernels.map((k) => k.variant);
const precisions = (graph: Program["graph"]): unknown[] =>
  graph.nodes.flatMap((n: Node) => (n.op === "matmul" ? [n.attrs.precision ?? null] : []));

describe("who asks for it, gets it where the device can", () => {
  const specs = { x: f32(512, 768), w: f32(768, 768) };

  test("a product, all products of a program, and their gradients", () => {
    const one = compile(specs, ({ x, w }) => matmul(x, w, { precision: "f16x3" }));
    expect(variantsOf(one, h200).some((v) => v.startsWith("f16x3_"))).toBe(true);
    const grads = (options: object) =>
      compile(specs, ({ x, w }) => valueAndGrad((v: typeof w) => sum(gelu(matmul(x, v))))(w), options);
    const [all, none] = [grads({ precision: "f16x3" }), grads({})];
    expect(precisions(optimise(all.graph))).toEqual(["f16x3", "f16x3"]);
    expect(precisions(optimise(none.graph))).toEqual([null, null]);
    expect(variantsOf(all, h200).filter((v) => v.startsWith("f16x3_")).length).toBeGreaterThan(0);
    expect(variantsOf(none, h200).filter((v) => v.startsWith("f16x3_"))).toEqual([]);
  });

  test("a long product is divided until workgroups fill the device evenly", () => {
    const groupsOf = (program: Pick<Program, "graph">): readonly number[] =>
      compileGraph(program.graph, h200).report.kernels.flatMap((k) =>
        /^f16x3_\d+x/.test(k.variant) ? [k.workgroups[0] as number] : [],
      );
    const long = compile({ x: f32(4096, 3072), w: f32(3072, 768) }, ({ x, w }) => layerNorm(matmul(x, w)), {
      precision: "f16x3",
    });
    // 192 tiles would keep 132 multiprocessors busy for two turns: 384 halves of them take three of half the time.
    expect(groupsOf(long)).toEqual([384]);
    const short = compile({ x: f32(4096, 768), w: f32(768, 2304) }, ({ x, w }) => layerNorm(matmul(x, w)), {
      precision: "f16x3",
    });
    expect(groupsOf(short)).toEqual([576]);
  });

  test("layers, einsum and checkpoints hand it on; a call's own word counts", () => {
    const p = compile(
      specs,
      ({ x, w }) => ({
        a: einsum("ij,jk->ik", x, w),
        b: einsum("ij,jk->ik", x, w, { precision: "f32" }),
        c: checkpoint((y: typeof x) => matmul(y, w))(x),
      }),
      { precision: "f16x3" },
    );
    expect(precisions(optimise(p.graph)).sort()).toEqual(["f16x3", "f32"]);
    const precision = "f16x3" as const;
    const layers = compile({ x: f32(2, 32, 64), w: f32(64, 64), qkv: f32(64, 192) }, ({ x, w, qkv }) => [
      linear(x, { weight: w }, { precision }),
      mlp(x, { up: { weight: w }, down: { weight: w } }, { precision }),
      selfAttention(x, { qkv: { weight: qkv }, out: { weight: w } }, { heads: 4, precision }),
    ]);
    expect(new Set(precisions(optimise(layers.graph)))).toEqual(new Set(["f16x3"]));
  });

  test("f16 products are what they are; small ones and few rows are computed in f32", () => {
    const half = compile({ x: f16(512, 768), w: f16(768, 768) }, ({ x, w }) => matmul(x, w), { precision: "f16x3" });
    expect(variantsOf(half, h200)[0]).toMatch(/^matrix_/);
    for (const [m, k, n] of [
      [1, 768, 768],
      [512, 8, 768],
    ] as const) {
      const p = compile({ x: f32(m, k), w: f32(k, n) }, ({ x, w }) => matmul(x, w), { precision: "f16x3" });
      for (const v of variantsOf(p, h200)) expect(v).not.toMatch(/f16x3/);
    }
  });

  test("without subgroup matrices a program is the same, kernel by kernel", () => {
    const of = (options: object) =>
      compile(specs, ({ x, w }) => valueAndGrad((v: typeof w) => sum(gelu(matmul(x, v))))(w), options);
    for (const c of [without, { ...h200, software: true }, profiles.base]) {
      const [plain, asked] = [of({}), of({ precision: "f16x3" })].map((p) => compileGraph(p.graph, c).manifest);
      expect(asked).toEqual(plain);
    }
  });

  test("what is neither is refused", () => {
    const bad = { precision: "f16x2" } as object;
    expect(() => compile(specs, ({ x, w }) => matmul(x, w, bad))).toThrow(/precision cannot be "f16x2"/);
    expect(() => compile(specs, ({ x, w }) => matmul(x, w), bad)).toThrow(/precision cannot be "f16x2"/);
    expect(() => compile(specs, ({ x, w }) => einsum("ij,jk->ik", x, w, bad))).toThrow(/precision cannot be "f16x2"/);
  });
});

describe("the attribute", () => {
  const text = `graph(%a: f32[64, 1024], %b: f32[1024, 64]) {
  %0 = matmul(%a, %b) {precision: "f16x3"} : f32[64, 64]
  return y: %0
}
`;

  test("is printed and parsed, and means nothing to the interpreter", () => {
    const graph = parse(text);
    expect(print(graph)).toBe(text);
    const plain = parse(text.replace(' {precision: "f16x3"}', ""));
    const inputs = variantInputs(graph);
    expect(interpret(graph, inputs)).toEqual(interpret(plain, inputs));
  });

  test("stays when a product is divided, and goes where the device cannot", () => {
    const { limits } = profiles.h200;
    const able = { ...h200, features: { f16: true, subgroups: true, subgroupMatrix: true }, limits };
    const graph = parse(text);
    expect(halfProducts(graph, able)).toBe(graph);
    const [divided] = splitProducts(graph, able, { least: 256 }).nodes.filter((n) => n.op === "matmul");
    expect(divided?.attrs).toMatchObject({ precision: "f16x3", parts: 4, depth: 256 });
    const unable = halfProducts(graph, { ...able, features: { f16: true, subgroups: true } });
    expect(precisions(unable)).toEqual([null]);
  });
});
