import { afterEach, expect, test, vi } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import {
  attention,
  Batch,
  cast,
  compile,
  f16,
  f32,
  grad,
  matmul,
  type Program,
  softmax,
  sum,
  type Tensor,
  type WarmupEvent,
} from "../../src/index.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { openAdapter } from "../../src/node/adapters.ts";
import { type Gpu, loadManifest, openDevice, warmup } from "../../src/node/runtime.ts";
import { deviceDescriptor } from "../../src/runtime/capabilities.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { trialsFor } from "../../src/self-test.ts";

const gpus: Gpu[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  for (const g of gpus.splice(0)) g.dispose();
});

/** A device for which kernels of GPUs are written, and whose compiler reads `change(text)` instead of each text. */
async function open(change: (wgsl: string) => string, adapter?: string): Promise<{ gpu: Gpu; texts: string[] }> {
  const opened = await openAdapter(adapter);
  const { info } = opened.adapter;
  const device = await opened.adapter.requestDevice(deviceDescriptor(opened.adapter));
  const texts: string[] = [];
  const real = device.createShaderModule.bind(device);
  device.createShaderModule = (d) => {
    const code = change(d.code);
    texts.push(code);
    return real({ ...d, code });
  };
  const capabilities: Capabilities = {
    ...profiles.subgroups,
    subgroupMinSize: info.subgroupMinSize ?? 4,
    subgroupMaxSize: info.subgroupMaxSize ?? 128,
    ...(adapter === "null" && { features: profiles.h200.features }),
  };
  const gpu = await openDevice({ device, profile: capabilities });
  gpus.push(gpu);
  return { gpu, texts };
}

const rows = compile({ x: f32(3, 700) }, ({ x }) => ({ s: sum(x, { axes: -1 }) }));
const other = compile({ x: f32(2, 900) }, ({ x }) => ({ y: softmax(x) }));
const inputs = { x: Float32Array.from({ length: 3 * 700 }, (_, i) => (i % 7) - 2) };
const sums = [0, 1, 2].map((r) => inputs.x.slice(r * 700, (r + 1) * 700).reduce((a, b) => a + b, 0));
const broken = (wgsl: string): string => wgsl.replaceAll("subgroupAdd(", "subgroupMax(");
const runs = async (gpu: Gpu): Promise<ArrayLike<number>> => {
  using session = await rows.load(gpu, { strict: true });
  const before = gpu.counters.snapshot();
  const { s } = await session.run(inputs);
  const values = await s.data();
  s.dispose();
  expect(gpu.counters.latePipelines).toBe(0);
  expect(gpu.counters.pipelines).toBe(before.pipelines);
  return values;
};

test("a device that adds up right keeps its subgroups, and is tested once", async () => {
  const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const { gpu, texts } = await open((wgsl) => wgsl);
  expect(await runs(gpu)).toEqual(Float32Array.from(sums));
  expect(texts.every((text) => text.includes("subgroupAdd("))).toBe(true);
  const before = gpu.counters.pipelines;
  (await other.load(gpu)).dispose();
  expect(gpu.counters.pipelines - before).toBe(other.manifest({ capabilities: gpu.capabilities }).kernels.length);
  expect(gpu.capabilities.features.subgroups).toBe(true);
  expect(warned).not.toHaveBeenCalled();
});

test("subgroups that add up wrong are dropped with one warning, and all kernels are there before load resolves", async () => {
  const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const { gpu } = await open(broken);
  const loads = await Promise.all([runs(gpu), runs(gpu)]);
  for (const values of loads) expect(values).toEqual(Float32Array.from(sums));
  (await other.load(gpu)).dispose();
  expect(gpu.capabilities.features).toEqual({ f16: false, subgroups: false });
  expect(warned).toHaveBeenCalledTimes(1);
  expect(warned.mock.calls[0]?.[0]).toMatch(/row_.*\[feature-faulty\].*self-test gave/s);
});

test("a load that waits while another one finds the subgroups faulty does without them too", async () => {
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const stored = (gpu: Gpu) =>
    loadManifest(gpu, other.manifest({ capabilities: gpu.capabilities })).catch(() => undefined);
  for (const first of [(gpu: Gpu) => rows.load(gpu), (gpu: Gpu) => other.load(gpu), stored]) {
    const { gpu } = await open(broken);
    const store = { get: () => new Promise<undefined>((r) => setTimeout(r, 1500)), set: () => undefined };
    const waiting = rows.load(gpu, { store });
    (await first(gpu))?.dispose();
    expect(gpu.capabilities.features.subgroups).toBe(false);
    using session = await waiting;
    const { s } = await session.run(inputs);
    expect(await s.data()).toEqual(Float32Array.from(sums));
  }
});

test("a listener gets the warning as an event, and progress still ends where it should", async () => {
  const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const { gpu } = await open(broken);
  const events: WarmupEvent[] = [];
  (await rows.load(gpu, { onProgress: (e) => events.push(e) })).dispose();
  const warnings = events.filter((e) => e.status === "warning");
  expect(warnings).toMatchObject([{ kernel: expect.stringMatching(/^row_/), error: { code: "feature-faulty" } }]);
  const last = events.at(-1);
  expect(last).toMatchObject({ status: "done", completed: last?.total });
  expect(events.map((e) => e.completed)).toEqual(events.map((e) => e.completed).sort((a, b) => a - b));
  expect(warned).not.toHaveBeenCalled();
});

test("every kind of kernel that uses a feature has a trial on small data, in the variant that the program has", () => {
  const heads = { q: f16(1, 2, 64, 32), k: f16(1, 2, 64, 32), v: f16(1, 2, 64, 32) };
  const floats = { q: f32(96, 512, 64), k: f32(96, 512, 64), v: f32(96, 512, 64) };
  const pairs = { precision: "f16x3" } as const;
  const attend = ({ q, k, v }: Record<"q" | "k" | "v", Tensor>) => sum(cast(attention(q, k, v), "f32"));
  const cases: readonly (readonly [Pick<Program, "graph">, Record<string, string>])[] = [
    [rows, { subgroups: "row" }],
    [compile({ a: f16(256, 96), b: f16(96, 64) }, ({ a, b }) => matmul(a, b)), { subgroupMatrix: "matrix" }],
    [
      compile({ a: f32(256, 96), b: f32(96, 64) }, ({ a, b }) => matmul(a, b, { precision: "f16x3" })),
      { subgroupMatrix: "f16x3" },
    ],
    [compile(heads, ({ q, k, v }) => attention(q, k, v)), { subgroupMatrix: "attention_matrix" }],
    [compile(heads, (p) => grad(attend)(p)), { subgroupMatrix: "attention_grad" }],
    [compile(floats, ({ q, k, v }) => attention(q, k, v), pairs), { subgroupMatrix: "attention_f16x3" }],
    [compile(floats, (p) => grad(attend)(p), pairs), { subgroupMatrix: "attention_grad_query_f16x3" }],
  ];
  for (const [{ graph }, wanted] of cases) {
    const trials = trialsFor(compileGraph(graph, profiles.h200), profiles.h200);
    for (const [feature, start] of Object.entries(wanted)) {
      const own = trials.filter((t) => t.feature === feature && t.variant.startsWith(start));
      expect(own.length, start).toBe(1);
      const [{ manifest, expected }] = own as [(typeof own)[number]];
      expect(manifest.kernels.some((k) => k.requires[feature as "subgroups"])).toBe(true);
      expect(Object.values(expected).every((v) => v.length < 7000 && v.some((x) => Math.abs(x) > 1e-4))).toBe(true);
    }
  }
});

test("a program that uses none of them is loaded without a test", async () => {
  const { gpu, texts } = await open((wgsl) => wgsl);
  const plain = compile({ x: f32(64) }, ({ x }) => ({ y: x.mul(2) }));
  (await plain.load(gpu)).dispose();
  expect(texts).toHaveLength(1);
});

test("matrices of a device that computes nothing are dropped: the product falls back to tiles", async () => {
  const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const { gpu, texts } = await open((wgsl) => wgsl, "null");
  const product = compile({ a: f16(80, 96), b: f16(96, 64) }, ({ a, b }) => ({ y: matmul(a, b) }));
  using session = await product.load(gpu, { strict: true });
  expect(texts.some((text) => text.includes("subgroupMatrixMultiplyAccumulate"))).toBe(true);
  expect(session.inner.manifest.kernels.some((k) => k.requires.subgroupMatrix)).toBe(false);
  expect(gpu.capabilities.features).toMatchObject({ subgroupMatrix: false, subgroups: true, f16: true });
  expect(warned.mock.calls.map(([text]) => String(text).split("\n")[0])).toEqual([
    expect.stringMatching(/matrix.*\[feature-faulty\]/),
  ]);
});

test("a batch that loads a program itself tests the device too", async () => {
  const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const { gpu } = await open(broken);
  const batch = new Batch(gpu);
  const { s } = batch.run(rows, inputs);
  await batch.submit();
  expect(await s.data()).toEqual(Float32Array.from(sums));
  expect(warned).toHaveBeenCalledTimes(1);
});

test("a program that was compiled before, and has no other kernels, is refused by a device that adds up wrong", async () => {
  vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const right = await open((wgsl) => wgsl);
  const manifest = rows.manifest({ capabilities: right.gpu.capabilities });
  await warmup(right.gpu, manifest);
  (await loadManifest(right.gpu, manifest)).dispose();
  for (const use of [warmup, loadManifest]) {
    const { gpu } = await open(broken);
    await expect(use(gpu, manifest)).rejects.toMatchObject({ code: "feature-faulty" });
    expect(gpu.capabilities.features.subgroups).toBe(false);
    await warmup(gpu, rows.manifest({ capabilities: gpu.capabilities }));
    expect(gpu.counters.bytesHeld - gpu.pool.freeBytes).toBe(0);
  }
});
