import { afterAll, describe, expect, test } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import { fuse } from "../../src/fuse/fuse.ts";
import { legalise } from "../../src/fuse/legalise.ts";
import type { Region } from "../../src/fuse/region.ts";
import { cast, compile, f16, f32, gelu, layerNorm, matmul, type Program, sum } from "../../src/index.ts";
import type { Capabilities, KernelSpec } from "../../src/manifest/manifest.ts";
import { type Gpu, openDevice } from "../../src/node/runtime.ts";
import { type MatrixTile, matrixBytes, matrixThreads, matrixTiles } from "../../src/passes/matrix-tiles.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { capabilitiesOf } from "../../src/runtime/capabilities.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { writeMatrix } from "../../src/wgsl/contraction-matrix.ts";
import { addsUp } from "../../src/wgsl/contraction-matrix-sums.ts";
import { kernelProblems } from "./limits.ts";

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
  const module = device.createShaderModule({ code: wgsl });
  const error = await device.popErrorScope();
  const info = await module.getCompilationInfo();
  return [...info.messages.filter((m) => m.type === "error").map((m) => m.message), ...(error ? [error.message] : [])];
}

const h200: Capabilities = profiles.h200;
const variantsOf = (program: Pick<Program, "graph">, c: Capabilities): readonly string[] =>
  compileGraph(program.graph, c).report.kernels.map((k) => k.variant);

/** A product of these sizes, by transposes, with what a contraction may carry besides. */
function product(m: number, n: number, k: number, transposeA: boolean, transposeB: boolean, more: boolean) {
  const a = f16(...(transposeA ? [k, m] : [m, k]));
  const b = f16(...(transposeB ? [n, k] : [k, n]));
  return compile({ a, b, c: f16(n), r: f32(m, n) }, ({ a, b, c, r }) => {
    const y = matmul(a, b, { transposeA, transposeB });
    if (!more) return { y };
    const rows = sum(a, { axes: transposeA ? 0 : 1 });
    return { y: cast(gelu(y.add(c)), "f32").add(r), rows, columns: sum(b, { axes: transposeB ? 1 : 0 }) };
  });
}

function regionOf(program: Pick<Program, "graph">): Region {
  const legal = legalise(optimise(program.graph), h200.limits.maxStorageBuffersPerShaderStage);
  const { regions } = fuse(legal, h200, "legal");
  expect(regions.length).toBe(1);
  return regions[0] as Region;
}

describe("kernels with subgroup matrices compile, within the limits of their device", () => {
  const sizes: readonly (readonly [number, number, number])[] = [
    [512, 768, 768],
    [129, 131, 67],
    [100, 36, 20],
    [512, 50257, 768],
    [512, 768, 50257],
    [65536, 64, 64],
  ];
  const first = matrixTiles[0] as MatrixTile;
  const more: readonly MatrixTile[] = [true, false].map((looped) => ({ ...first, band: 4, looped }));
  for (const t of [...matrixTiles, ...more]) {
    const how = t.band ? ` in bands, ${t.looped ? "in a loop" : "written out"}` : "";
    test(`${t.m}×${t.n}×${t.k}${how}`, async () => {
      const { device } = await nullDevice();
      expect(matrixThreads(t)).toBeLessThanOrEqual(h200.limits.maxComputeInvocationsPerWorkgroup);
      for (const [m, n, k] of t === first ? sizes : sizes.slice(0, 3)) {
        for (let form = 0; form < 8; form++) {
          if ((form & 4) > 0 && !(addsUp(t, "a") && addsUp(t, "b"))) continue;
          const region = regionOf(product(m, n, k, (form & 1) > 0, (form & 2) > 0, (form & 4) > 0));
          const kernel = writeMatrix(region, h200, t);
          const where = `${m}×${n}×${k}, form ${form}\n${kernel.wgsl}`;
          expect(await refusals(device, kernel.wgsl), where).toEqual([]);
          const spec = { ...kernel, key: "", label: "test", entryPoint: "main" } as KernelSpec;
          expect(kernelProblems(spec, h200), where).toEqual([]);
          expect(kernel.requires.workgroupBytes).toBeLessThanOrEqual(matrixBytes(t));
          expect(matrixBytes(t)).toBeLessThanOrEqual(h200.limits.maxComputeWorkgroupStorageSize);
        }
      }
    });
  }

  test("what does not compile is found", async () => {
    const { device } = await nullDevice();
    const { wgsl } = writeMatrix(
      regionOf(product(64, 64, 64, false, false, false)),
      h200,
      matrixTiles[1] as MatrixTile,
    );
    expect(await refusals(device, wgsl)).toEqual([]);
    const broken = [
      wgsl.replace("enable chromium_experimental_subgroup_matrix;", ""),
      wgsl.replace(/^diagnostic.*$/m, ""),
      wgsl.replace("subgroup_matrix_left<f16", "subgroup_matrix_left<f32"),
    ];
    for (const text of broken) expect(await refusals(device, text)).not.toEqual([]);
  });
});

describe("places in workgroup memory", () => {
  const { wgsl } = writeMatrix(regionOf(product(512, 768, 768, true, false, true)), h200, matrixTiles[0] as MatrixTile);

  test("are written so that their range can be proven: by constants and the invocation's number alone", () => {
    const places = [...wgsl.matchAll(/\bsh\[([^\]]*)\]/g), ...wgsl.matchAll(/&sh, ([^;]*)\)/g)].map(
      (m) => m[1] as string,
    );
    expect(places.length).toBeGreaterThan(40);
    for (const p of places) {
      expect(p).not.toMatch(/[&|^]|<<|>>|select|step|subgroup/);
      expect(p.replace(/\b(lid|sg|unit\d+|at|acc\d+|i)\b/g, "").replace(/\d+u/g, "")).toMatch(/^[\s+*/%(),]*$/);
    }
    expect(wgsl).not.toMatch(/subgroup_id|subgroup_invocation_id/);
  });

  test("operands that lie as they are needed are moved 16 bytes at a time, without conversion", () => {
    const main = wgsl.slice(wgsl.indexOf("fn main"));
    expect([...main.matchAll(/^ *r\d+ = b\d+\[/gm)].length).toBe(16);
    expect(wgsl).toMatch(/var<storage, read> b0: array<vec4<u32>>;/);
  });
});

describe("the device decides", () => {
  const halves = compile({ a: f16(512, 768), b: f16(768, 2304) }, ({ a, b }) => matmul(a, b));
  const without = (name: string, c: Partial<Capabilities>): Capabilities => ({ ...h200, name, ...c });

  test("a device with subgroup matrices gets them for halves, in the tile that is quickest for their sizes", () => {
    expect(variantsOf(halves, h200)).toEqual(["matrix_64x64x32"]);
    const many = compile({ a: f16(4096, 768), b: f16(768, 768) }, ({ a, b }) => matmul(a, b));
    expect(variantsOf(many, h200)).toEqual(["matrix_128x96x32"]);
    const large = compile({ a: f16(4096, 4096), b: f16(4096, 4096) }, ({ a, b }) => matmul(a, b));
    expect(variantsOf(large, h200)).toEqual(["matrix_128x128x32"]);
    const riding = compile({ a: f16(768, 4096), b: f16(768, 768) }, ({ a, b }) => [
      matmul(a, b, { transposeA: true }),
      sum(b, { axes: 0 }),
    ]);
    expect(variantsOf(riding, h200)).not.toContain("matrix_128x96x32");
    const small = { ...h200, limits: { ...h200.limits, maxComputeWorkgroupStorageSize: 16384 } };
    const fewer = compile({ a: f16(512, 768), b: f16(768, 768) }, ({ a, b }) => matmul(a, b));
    expect(variantsOf(fewer, h200)).toEqual(["matrix_64x64x64"]);
    expect(variantsOf(fewer, small)).toEqual(["matrix_64x64x32"]);
    const casts = compile({ a: f32(512, 768), b: f32(768, 2304) }, ({ a, b }) =>
      cast(matmul(cast(a, "f16"), cast(b, "f16")), "f32"),
    );
    expect(variantsOf(casts, h200)).toContain("matrix_64x64x32");
    const widened = compile({ a: f16(512, 768), b: f16(2304, 768) }, ({ a, b }) =>
      matmul(cast(a, "f32"), cast(b, "f32"), { transposeB: true }),
    );
    expect(variantsOf(widened, h200)).toEqual(["matrix_64x64x32"]);
  });

  test("f32 operands, a few rows and tiny products do without", () => {
    const others = [
      compile({ a: f32(512, 768), b: f32(768, 2304) }, ({ a, b }) => matmul(a, b)),
      compile({ a: f16(512, 768), b: f32(768, 2304) }, ({ a, b }) => matmul(cast(a, "f32"), b)),
      compile({ a: f16(1, 768), b: f16(768, 2304) }, ({ a, b }) => matmul(a, b)),
      compile({ a: f16(512, 8), b: f16(8, 2304) }, ({ a, b }) => matmul(a, b)),
    ];
    for (const p of others) for (const v of variantsOf(p, h200)) expect(v).not.toMatch(/^matrix/);
  });

  test("without the capability everything is as it was", () => {
    const features = { f16: true, subgroups: true };
    const plain = without("no matrices", { features });
    for (const p of [halves, compile({ x: f16(64, 96), w: f16(96, 96) }, ({ x, w }) => layerNorm(matmul(x, w)))]) {
      const [a, b] = [plain, without("matrices refused", { features: { ...features, subgroupMatrix: false } })].map(
        (c) => compileGraph(p.graph, c).manifest.kernels.map((k) => [k.key, k.wgsl]),
      );
      expect(a).toEqual(b);
      for (const [, wgsl] of a as string[][]) expect(wgsl).not.toMatch(/subgroup_?matrix/i);
    }
    const software = without("software", { software: true });
    expect(variantsOf(halves, software)[0]).not.toMatch(/^matrix/);
  });

  test("a device without them refuses the kernel before the shader compiler sees it", async () => {
    const gpu = await nullDevice();
    expect(gpu.capabilities.features.subgroupMatrix).toBeUndefined();
    const [kernel] = compileGraph(halves.graph, h200).manifest.kernels;
    expect(kernel?.requires).toMatchObject({ f16: true, subgroupMatrix: true });
    await expect(gpu.pipelines.get(kernel as KernelSpec, { warmup: true })).rejects.toMatchObject({
      code: "feature-missing",
    });
  });

  test("only halves of 16 × 16 × 16 into f32, by subgroups of 32, count", () => {
    const good = { componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 };
    const features = new Set(["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"]);
    const device = (f: ReadonlySet<string>): GPUDevice => ({ features: f, limits: {} }) as unknown as GPUDevice;
    const info = (config: object, size = 32): GPUAdapterInfo =>
      ({ subgroupMinSize: size, subgroupMaxSize: 32, subgroupMatrixConfigs: [config] }) as unknown as GPUAdapterInfo;
    const of = (i: GPUAdapterInfo | undefined, f: ReadonlySet<string> = features) =>
      capabilitiesOf(device(f), i, "test").features.subgroupMatrix ?? false;
    expect(of(info(good))).toBe(true);
    for (const [key, value] of Object.entries({ componentType: "u8", resultComponentType: "f16", M: 8, N: 8, K: 8 })) {
      expect(of(info({ ...good, [key]: value })), key).toBe(false);
    }
    expect(of(info(good, 16))).toBe(false);
    expect(of(info(good), new Set(["shader-f16", "subgroups"]))).toBe(false);
    expect(of(undefined)).toBe(false);
  });
});
