import { afterAll, describe, expect, test } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import { attention, compile, f16, f32, grad, type Program, type Tensor } from "../../src/index.ts";
import type { Capabilities, KernelSpec } from "../../src/manifest/manifest.ts";
import { type Gpu, openDevice } from "../../src/node/runtime.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { kernelProblems } from "./limits.ts";

const h200: Capabilities = profiles.h200;
const opened: Gpu[] = [];
afterAll(() => {
  for (const g of opened) g.dispose();
});

async function nullDevice(): Promise<Gpu> {
  const gpu = await openDevice({ adapter: "null" });
  opened.push(gpu);
  return gpu;
}

async function refusals(device: GPUDevice, wgsl: string): Promise<string[]> {
  device.pushErrorScope("validation");
  device.createShaderModule({ code: wgsl });
  const error = await device.popErrorScope();
  return error ? [error.message] : [];
}

interface Form {
  readonly dtype: "f16" | "f32";
  readonly query: readonly number[];
  readonly key: readonly number[];
  /** Depth of the values, that of the keys by default. */
  readonly values?: number;
  readonly causal?: boolean;
}

type Operands = { q: Tensor; k: Tensor; v: Tensor };

/** The gradients by q, k and v: a kernel forward and two backward. */
function gradients({ dtype, query, key, values = key.at(-1) as number, causal = true }: Form): Pick<Program, "graph"> {
  const spec = dtype === "f16" ? f16 : f32;
  const deep = (shape: readonly number[]): number[] => [...shape.slice(0, -1), values];
  const operands = { q: spec(...query), k: spec(...key), v: spec(...deep(key)), dout: spec(...deep(query)) };
  return compile(operands, ({ dout, ...x }) =>
    grad((y: Operands) => attention(y.q, y.k, y.v, { causal }).mul(dout).sum())(x),
  );
}

const heads = (n: number, positions: number, depth: number): number[] => [1, n, positions, depth];
const form = (dtype: Form["dtype"], n: number, positions: number, depth: number, more: Partial<Form> = {}): Form => ({
  ...{ dtype, query: heads(n, positions, depth), key: heads(n, positions, depth) },
  ...more,
});

/** What is taken for each of the three kernels, by tiles alone. */
function tilesOf(f: Form, c: Capabilities): string[] {
  const { kernels } = compileGraph(gradients(f).graph, c, { bundles: false }).report;
  return kernels
    .map((k) => k.variant)
    .filter((v) => v.startsWith("attention"))
    .map((v) => v.replace(/^attention_(grad_query_|grad_key_value_)?/, ""));
}

describe("kernels for GPUs compile, within the limits of their device", () => {
  const forms: readonly Form[] = [
    form("f16", 12, 512, 64),
    form("f16", 96, 512, 64),
    form("f16", 96, 2048, 64, { causal: false }),
    form("f16", 32, 1024, 128),
    form("f16", 2, 70, 128, { causal: false }),
    form("f16", 4, 100, 48),
    { dtype: "f16", query: [1, 4, 77, 20], key: [1, 2, 101, 20], values: 12 },
    form("f32", 96, 512, 64),
    form("f32", 32, 1024, 128, { causal: false }),
    { dtype: "f32", query: [1, 300, 77, 64], key: [1, 150, 101, 64], values: 52 },
    { dtype: "f32", query: [1, 300, 65, 100], key: [1, 300, 79, 100], values: 128 },
  ];
  for (const f of forms) {
    test(JSON.stringify(f), async () => {
      const { device } = await nullDevice();
      const { manifest, report } = compileGraph(gradients(f).graph, h200, { bundles: false });
      const wanted = f.dtype === "f16" ? /^attention_.*matrix/ : /^attention_.*block/;
      expect(report.kernels.filter((k) => wanted.test(k.variant))).toHaveLength(3);
      for (const kernel of manifest.kernels as readonly KernelSpec[]) {
        expect(await refusals(device, kernel.wgsl), kernel.wgsl).toEqual([]);
        expect(kernelProblems(kernel, h200)).toEqual([]);
      }
    });
  }
});

test("places of matrices in workgroup memory follow from constants and the invocation's number alone", () => {
  const kernels = [12, 96].flatMap((n) => {
    const { manifest } = compileGraph(gradients(form("f16", n, 512, 64)).graph, h200, { bundles: false });
    return manifest.kernels.filter((k) => k.requires.subgroupMatrix);
  });
  for (const { wgsl } of kernels) {
    const places = [...wgsl.matchAll(/\bsh\[([^\]]*)\]/g), ...wgsl.matchAll(/&sh, ([^;]*)\)/g)].map(
      (m) => m[1] as string,
    );
    expect(places.length).toBeGreaterThan(30);
    for (const p of places) {
      expect(p).not.toMatch(/[&|^]|<<|>>|select|step|subgroup/);
      const rest = p.replace(/\b(lid|sg|row|part|role|unit\d+|at\d+|acc\d+|s\d+|i)\b/g, "").replace(/\d+u/g, "");
      expect(rest, p).toMatch(/^[\s+*/%(),]*$/);
    }
  }
});

describe("the device and the sizes decide", () => {
  test("halves go by matrices, large tiles where there are enough of them", () => {
    const tiles = (n: number, positions: number, depth: number) => tilesOf(form("f16", n, positions, depth), h200);
    expect(tiles(96, 2048, 64)).toEqual(["matrix_128x32_each32", "matrix_64x32", "matrix_64x32_each32_by2"]);
    expect(tiles(96, 512, 64)).toEqual(["matrix_64x32_each32_by2", "matrix_64x32", "matrix_32x32_by2"]);
    expect(tiles(12, 512, 64)).toEqual(["matrix_16x64_by4", "matrix_16x64_by4", "matrix_16x64_by4"]);
    expect(tiles(32, 1024, 128)).toEqual(["matrix_64x32_each32_by2", "matrix_64x32", "matrix_32x32_by2"]);
    // Three blocks of features are not to be shared by two subgroups.
    expect(tiles(96, 512, 48)).toEqual(["matrix_64x32", "matrix_64x32", "matrix_64x32"]);
    expect(tiles(4, 100, 48)).toEqual(["matrix_16x64", "matrix_32x64", "matrix_32x32"]);
  });

  test("two workgroups run on a multiprocessor of 48 KiB, three or more at 8×12×512×64", () => {
    for (const [n, positions, depth, least] of [
      [12, 512, 64, 2],
      [96, 512, 64, 3],
      [96, 2048, 64, 2],
      [32, 1024, 128, 2],
    ] as const) {
      const { manifest } = compileGraph(gradients(form("f16", n, positions, depth)).graph, h200, { bundles: false });
      const kernels = manifest.kernels.filter((k) => k.requires.subgroupMatrix);
      expect(kernels).toHaveLength(3);
      for (const k of kernels)
        expect(Math.floor((48 * 1024) / k.requires.workgroupBytes)).toBeGreaterThanOrEqual(least);
    }
  });

  test("f32 goes by blocks where there are enough, else by small tiles", () => {
    expect(tilesOf(form("f32", 12, 512, 64), h200)).toEqual(["tile_32x32_by2", "tile_32x32_by2", "tile_32x32_by2"]);
    const blocks = ["block_64x64", "block_64x64", "block_64x64"];
    expect(tilesOf(form("f32", 24, 512, 64), h200)).toEqual(blocks);
    for (const v of tilesOf(form("f32", 32, 1024, 128), h200)) expect(v).toMatch(/^block/);
  });

  test("a few positions, masks, depths that are not whole vectors, and devices without do as before", () => {
    const masked = compile({ q: f16(1, 64, 64), k: f16(1, 64, 64), v: f16(1, 64, 64), m: f16(64, 64) }, (x) =>
      attention(x.q, x.k, x.v, { mask: x.m }),
    );
    const variants = compileGraph(masked.graph, h200).report.kernels.map((k) => k.variant);
    expect(variants).toEqual(["attention_tile_32x32_by2"]);
    for (const f of [form("f16", 2, 12, 64), form("f16", 2, 64, 18)]) {
      for (const v of tilesOf(f, h200)) expect(v).not.toMatch(/matrix/);
    }
    const plain = { ...h200, features: { ...h200.features, subgroupMatrix: false } };
    for (const v of tilesOf(form("f16", 12, 512, 64), plain)) expect(v).not.toMatch(/matrix/);
    const software = { ...h200, software: true };
    for (const v of tilesOf(form("f16", 12, 512, 64), software)) expect(v).toMatch(/row/);
  });
});
