import { expect, test } from "vitest";
import { matmul } from "../../../kernels/generated/matmul.ts";
import { rmsNormResidual } from "../../../kernels/generated/rmsNormResidual.ts";
import { swiglu } from "../../../kernels/generated/swiglu.ts";
import { createRuntime, type Kernel } from "../../../src/runtime/index.ts";
import { bufferOf, floatsOf } from "../../support/buffers.ts";
import { countCreated } from "../../support/device-calls.ts";
import { sharedGpu } from "../../support/gpu.ts";

const gpu = sharedGpu();

// The feed-forward blocks of Qwen3: norm, two projections, a gated unit, a projection back, a residual sum.
const layers = 36;
const rows = 3;
const model = 24;
const hidden = 40;
const eps = 1e-6;
/** Elements of one layer's weights in the arena of all: gain, gate, up, down. Those of odd layers are not aligned. */
const matrixSize = model * hidden;
const layerSize = model + 3 * matrixSize + 1;

const noise = (count: number, seed: number, scale: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898 + seed) * scale);

/** The blocks on the CPU, in f64. */
function expected(x0: Float32Array, w: Float32Array): number[] {
  const x = Array.from(x0);
  const product = (a: readonly number[], at: number, inner: number, cols: number): number[] =>
    Array.from({ length: rows * cols }, (_, i) => {
      let s = 0;
      for (let k = 0; k < inner; k++) s += a[Math.floor(i / cols) * inner + k]! * w[at + k * cols + (i % cols)]!;
      return s;
    });
  for (let l = 0; l < layers; l++) {
    const at = l * layerSize;
    const norm = x.map((v, i) => {
      const row = x.slice(i - (i % model), i - (i % model) + model);
      return (v / Math.sqrt(row.reduce((s, e) => s + e * e, 0) / model + eps)) * w[at + (i % model)]!;
    });
    const gate = product(norm, at + model, model, hidden);
    const up = product(norm, at + model + matrixSize, model, hidden);
    const act = gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]!);
    for (const [i, v] of product(act, at + model + 2 * matrixSize, hidden, model).entries()) x[i]! += v;
  }
  return x;
}

/** How many distinct texts a kernel has in the profile that is inline. */
const texts = (k: Kernel): string[] =>
  typeof k.code.f32 === "object" ? k.code.f32.variants.flatMap((v) => v.steps.map((s) => s.key)) : [];

test("36 layers compile their kernels once, run in one pass from one arena, and create nothing the second time", async () => {
  const { device } = gpu();
  using rt = await createRuntime({ device, strict: true });
  const kernels = [rmsNormResidual, matmul, swiglu];
  const report = await rt.warmup(Array.from({ length: layers }, () => kernels).flat());
  expect(rt.counters.pipelines).toBe(new Set(kernels.flatMap(texts)).size);
  expect(report.kernels).toBe(rt.counters.pipelines);

  const arena = noise(layers * layerSize, 1, 0.3);
  const start = noise(rows * model, 2, 1);
  const w = bufferOf(device, arena);
  const empty = (n: number): GPUBuffer => bufferOf(device, new Float32Array(n));
  const x = bufferOf(device, start);
  const sums = [empty(rows * model), empty(rows * model)] as const;
  const [none, down, y] = [empty(rows * model), empty(rows * model), empty(rows * model)];
  const [gate, up, act] = [empty(rows * hidden), empty(rows * hidden), empty(rows * hidden)];
  const forward = (encoder: GPUCommandEncoder): GPUBuffer => {
    const pass = encoder.beginComputePass();
    const options = { pass };
    for (let l = 0; l <= layers; l++) {
      const part = (offset: number) => ({ buffer: w, offset: (l % layers) * layerSize + offset });
      const before = l === 0 ? { x: none, residual: x } : { x: down, residual: sums[l % 2]! };
      const norm = { ...before, gamma: part(0), sum: sums[(l + 1) % 2]!, y };
      rt.run(rmsNormResidual, norm, { rows, cols: model, eps }, options);
      if (l === layers) break;
      const wide = { rows, inner: model, cols: hidden };
      rt.run(matmul, { a: y, b: part(model), y: gate }, wide, options);
      rt.run(matmul, { a: y, b: part(model + matrixSize), y: up }, wide, options);
      rt.run(swiglu, { gate, up, y: act }, { n: rows * hidden }, options);
      const narrow = { rows, inner: hidden, cols: model };
      rt.run(matmul, { a: act, b: part(model + 2 * matrixSize), y: down }, narrow, options);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
    return sums[(layers + 1) % 2]!;
  };
  const got = await floatsOf(device, forward(device.createCommandEncoder()));
  const want = expected(start, arena);
  const scale = Math.max(...want.map(Math.abs));
  for (const [i, v] of want.entries()) expect(Math.abs(got[i]! - v)).toBeLessThan(1e-3 * scale);

  const encoder = device.createCommandEncoder();
  const counted = countCreated(device);
  const before = { ...rt.counters };
  forward(encoder);
  counted.restore();
  expect(Object.fromEntries(counted.created)).toEqual({});
  expect(rt.counters).toEqual({ ...before, dispatches: before.dispatches + 5 * layers + 1 });
  await gpu().idle();
}, 240_000);
