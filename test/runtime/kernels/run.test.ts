import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fromHalfBits, toHalfBits } from "../../../src/base/half.ts";
import { createRuntime, type Kernel, type KernelRuntime } from "../../../src/runtime/index.ts";
import { usage } from "../../../src/runtime/usage.ts";
import { bufferOf, bytesOf, floatsOf } from "../../support/buffers.ts";
import { countCreated } from "../../support/device-calls.ts";
import { sharedGpu } from "../../support/gpu.ts";
import { accumulate, axpy, code, neighbours, rowSum, share, spec, step } from "../../support/hand-kernels.ts";

const gpu = sharedGpu();
let device: GPUDevice;
let rt: KernelRuntime;
beforeEach(async () => {
  device = gpu().device;
  rt = await createRuntime({ device });
});
afterEach(async () => {
  rt.dispose();
  // Nothing that the device refused went unnoticed.
  await gpu().idle();
});

const floats = (...values: number[]): GPUBuffer => bufferOf(device, new Float32Array(values));
const ramp = (n: number, start = 0): GPUBuffer => floats(...Array.from({ length: n }, (_, i) => start + i));
const zeros = (n: number): GPUBuffer => bufferOf(device, new Float32Array(n));

describe("offsets", () => {
  test("of every residue, in every tensor, touch their own elements and no others", async () => {
    const stride = 256;
    const cases = Array.from({ length: 130 }, (_, r) => ({
      r,
      n: [1, 3, 64, 100, 128][r % 5]!,
      x: r,
      y: (r * 7) % 131,
      z: r * stride + ((r * 13) % 64),
    }));
    const x = ramp(300);
    const y = ramp(300, 1000);
    const z = zeros(cases.length * stride);
    await rt.warmup([axpy]);
    const encoder = device.createCommandEncoder();
    for (const c of cases) {
      const tensors = { x: { buffer: x, offset: c.x }, y: { buffer: y, offset: c.y }, z: { buffer: z, offset: c.z } };
      rt.run(axpy, tensors, { n: c.n, scale: c.r }, { encoder });
    }
    device.queue.submit([encoder.finish()]);
    const expected = new Float32Array(cases.length * stride);
    for (const c of cases) for (let i = 0; i < c.n; i++) expected[c.z + i] = (c.x + i) * c.r + 1000 + c.y + i;
    expect(await floatsOf(device, z)).toEqual(expected);
    expect(rt.counters.latePipelines).toBe(0);
  });

  test("vectors are used only where all offsets allow them", async () => {
    const z = zeros(128);
    const x = ramp(64);
    await rt.warmup([axpy]);
    const wide = rt.counters.slots;
    rt.run(axpy, { x, y: x, z: { buffer: z, offset: 64 } }, { n: 8, scale: 1 });
    rt.run(axpy, { x: { buffer: x, offset: 1 }, y: x, z }, { n: 8, scale: 1 });
    rt.run(axpy, { x: { buffer: x, offset: 4 }, y: x, z: { buffer: z, offset: 8 } }, { n: 8, scale: 1 });
    expect(rt.counters.slots).toBe(wide + 3);
    const got = await floatsOf(device, z);
    const at = (n: number, by: number): number[] => Array.from({ length: n }, (_, i) => 2 * i + by);
    expect([...got.slice(0, 16)]).toEqual([...at(8, 1), ...at(8, 4)]);
    expect([...got.slice(64, 72)]).toEqual(at(8, 0));
  });

  test("halves: any offset and count, in whole words at the buffer's end", async () => {
    if (!device.features.has("shader-f16")) return;
    const halves = (n: number, f: (i: number) => number): GPUBuffer =>
      bufferOf(
        device,
        Uint16Array.from({ length: n }, (_, i) => toHalfBits(f(i))),
      );
    const x = halves(300, (i) => i);
    const y = halves(300, () => 0.5);
    const z = halves(300, () => -1);
    await rt.warmup([{ kernel: axpy, dtype: "f16" }]);
    const sizes = { n: 5, scale: 2 };
    rt.run(axpy, { x: { buffer: x, offset: 131 }, y, z: { buffer: z, offset: 257 } }, sizes, { dtype: "f16" });
    rt.run(axpy, { x, y, z: { buffer: z, offset: 295 } }, sizes, { dtype: "f16" });
    const got = Array.from(new Uint16Array(await bytesOf(device, z)), fromHalfBits);
    const expected = Array.from({ length: 300 }, () => -1);
    for (let i = 0; i < 5; i++) expected[257 + i] = (131 + i) * 2 + 0.5;
    for (let i = 0; i < 5; i++) expected[295 + i] = i * 2 + 0.5;
    expect(got).toEqual(expected);
  });
});

describe("sizes are data", () => {
  test("calls of one kernel in one encoder each see their own, and steps in between theirs", async () => {
    const shapes = [
      [1, 1],
      [3, 5],
      [64, 2],
      [7, 100],
      [65, 3],
    ] as const;
    const x = ramp(1000, 1);
    const outs = shapes.map(([r, c]) => zeros(r * c));
    const encoder = device.createCommandEncoder();
    for (const [i, [rows, cols]] of shapes.entries()) rt.run(share, { x, y: outs[i]! }, { rows, cols }, { encoder });
    device.queue.submit([encoder.finish()]);
    for (const [s, [rows, cols]] of shapes.entries()) {
      const got = await floatsOf(device, outs[s]!);
      for (let r = 0; r < rows; r++) {
        const row = Array.from({ length: cols }, (_, c) => r * cols + c + 1);
        const sum = row.reduce((a, b) => a + b);
        for (const [c, v] of row.entries()) expect(got[r * cols + c]).toBeCloseTo(v / sum, 6);
      }
    }
  });

  test("more workgroups than one dimension has", async () => {
    const n = 65535 * 64 + 130;
    const x = bufferOf(device, new Float32Array(n).fill(1));
    const z = bufferOf(device, new Float32Array(n));
    const small = await createRuntime({ device });
    small.run(axpy, { x: { buffer: x, offset: 1 }, y: x, z }, { n: n - 1, scale: 2 });
    const got = await floatsOf(device, z);
    expect(got.subarray(0, n - 1).every((v) => v === 3)).toBe(true);
    expect(got[n - 1]).toBe(0);
    small.dispose();
    x.destroy();
    z.destroy();
  });

  test("nothing is dispatched where nothing is written; an empty operand reads as empty", async () => {
    const x = ramp(4);
    const y = floats(7, 7, 7);
    const one = device.createBuffer({ size: 0, usage: usage.storage });
    rt.run(rowSum, { x, y }, { rows: 0, cols: 4 });
    rt.run(axpy, { x, y: x, z: one }, { n: 0, scale: 1 });
    expect(rt.counters).toMatchObject({ dispatches: 0, submits: 0, bindGroups: 0 });
    rt.run(rowSum, { x: one, y }, { rows: 2, cols: 0 });
    expect([...(await floatsOf(device, y))]).toEqual([0, 0, 7]);
  });

  test("scalars may be any number", async () => {
    const z = zeros(3);
    for (const [i, scale] of [Number.NaN, Number.POSITIVE_INFINITY, -0.1].entries()) {
      rt.run(axpy, { x: floats(1), y: floats(0), z: { buffer: z, offset: i } }, { n: 1, scale });
    }
    const got = await floatsOf(device, z);
    expect(got[0]).toBeNaN();
    expect(got[1]).toBe(Number.POSITIVE_INFINITY);
    expect(got[2]).toBe(Math.fround(-0.1));
  });
});

describe("recording", () => {
  test("alone, into an encoder, and into a pass beside the caller's own work", async () => {
    const x = floats(1, 2, 3);
    const total = zeros(3);
    await rt.warmup([accumulate]);
    const warm = rt.counters.submits;
    const call = { x, total };
    rt.run(accumulate, call, { n: 3, scale: 1 });
    expect(rt.counters.submits).toBe(warm + 1);
    const encoder = device.createCommandEncoder();
    rt.run(accumulate, call, { n: 3, scale: 10 }, { encoder });
    const pass = encoder.beginComputePass();
    rt.run(accumulate, call, { n: 2, scale: 100 }, { pass });
    rt.run(accumulate, call, { n: 1, scale: 1000 }, { pass });
    pass.end();
    encoder.clearBuffer(x);
    rt.run(accumulate, call, { n: 3, scale: 1e6 }, { encoder });
    device.queue.submit([encoder.finish()]);
    expect(rt.counters.submits).toBe(warm + 1);
    expect([...(await floatsOf(device, total))]).toEqual([1111, 222, 33]);
  });

  test("creates nothing once it was called with these buffers, whatever the sizes", async () => {
    await rt.warmup([axpy, share, accumulate, rowSum]);
    const x = ramp(300);
    const y = zeros(300);
    const round = (encoder: GPUCommandEncoder, n: number): void => {
      rt.run(axpy, { x, y: x, z: y }, { n, scale: n }, { encoder });
      rt.run(axpy, { x: { buffer: x, offset: 3 }, y: x, z: { buffer: y, offset: 128 } }, { n, scale: 1 }, { encoder });
      rt.run(share, { x, y }, { rows: 5, cols: n }, { encoder });
      rt.run(accumulate, { x, total: y }, { n, scale: 1 }, { encoder });
      rt.run(rowSum, { x, y }, { rows: n, cols: 2 }, { encoder });
    };
    const first = device.createCommandEncoder();
    round(first, 60);
    const { slots } = rt.counters;
    const later = device.createCommandEncoder();
    const counted = countCreated(device);
    round(later, 60);
    expect(rt.counters.slots).toBe(slots);
    for (let n = 1; n <= 60; n++) round(later, n);
    expect(Object.fromEntries(counted.created)).toEqual({});
    // On its own, a call makes an encoder.
    rt.run(axpy, { x, y: x, z: y }, { n: 60, scale: 60 });
    expect(Object.fromEntries(counted.created)).toEqual({ createCommandEncoder: 1 });
    counted.restore();
    device.queue.submit([first.finish(), later.finish()]);
  });

  test("two runtimes on one device do not disturb each other", async () => {
    const other = await createRuntime({ device });
    const a = zeros(4);
    const b = zeros(4);
    const encoder = device.createCommandEncoder();
    for (let n = 1; n <= 4; n++) {
      rt.run(accumulate, { x: ramp(4), total: a }, { n, scale: 1 }, { encoder });
      other.run(accumulate, { x: ramp(4), total: b }, { n: 5 - n, scale: 2 }, { encoder });
    }
    device.queue.submit([encoder.finish()]);
    expect([...(await floatsOf(device, a))]).toEqual([0, 3, 4, 3]);
    expect([...(await floatsOf(device, b))]).toEqual([0, 6, 8, 6]);
    other.dispose();
    rt.run(accumulate, { x: ramp(4), total: a }, { n: 4, scale: 1 });
    expect([...(await floatsOf(device, a))]).toEqual([0, 4, 6, 6]);
  });

  test("intermediate results grow with the sizes, while earlier commands wait", async () => {
    const x = ramp(5000, 1);
    const outs = [1, 100, 2000].map((rows) => ({ rows, y: zeros(2 * rows) }));
    const encoder = device.createCommandEncoder();
    for (const { rows, y } of outs) rt.run(share, { x, y }, { rows, cols: 2 }, { encoder });
    device.queue.submit([encoder.finish()]);
    for (const { rows, y } of outs) {
      const got = await floatsOf(device, y);
      for (const r of [0, rows - 1]) expect(got[2 * r]).toBeCloseTo((2 * r + 1) / (4 * r + 3), 6);
    }
  });
});

describe("a text of the user's own", () => {
  const own: Kernel<"x" | "y", "n"> = {
    name: "own",
    tensors: [spec("x"), spec("y", "write")],
    sizes: ["n"],
    scalars: [],
    count: (d, t) => (t === 0 ? d.n! : 4),
    code: {
      f32: code({
        ...step({ bindings: [0, 1], writes: 2, sizes: [], elements: () => 1, body: "" }),
        wgsl: `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn main(@builtin(num_workgroups) n: vec3<u32>) {
  y[0] = f32(arrayLength(&x));
  y[1] = f32(n.x);
  y[2] = f32(n.y);
  y[3] = f32(n.z);
}`,
        key: "own",
        grid: (d) => [d.n!, 2, 3],
      }),
    },
  };

  test("is told the lengths of its tensors, and runs in the grid that it asked for", async () => {
    const x = zeros(200);
    const y = zeros(4);
    rt.run(own, { x, y }, { n: 5 });
    expect([...(await floatsOf(device, y))]).toEqual([5, 5, 2, 3]);
    rt.run(own, { x: { buffer: x, offset: 64 }, y }, { n: 7 });
    expect([...(await floatsOf(device, y))]).toEqual([7, 7, 2, 3]);
    expect(() => rt.run(own, { x: { buffer: x, offset: 1 }, y }, { n: 7 })).toThrow(/multiple of 256 bytes/);
    expect(() => rt.run(own, { x: zeros(70_000), y }, { n: 70_000 })).toThrow(/too-many-workgroups/);
  });
});

describe("argument blocks", () => {
  test("are written over when all are taken, those used longest ago first", async () => {
    const small = await createRuntime({ device, maxSlots: 16 });
    const x = floats(1);
    const total = zeros(64);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 40; i++) {
        small.run(accumulate, { x, total: { buffer: total, offset: i } }, { n: 1, scale: i + 1 });
      }
    }
    expect([...(await floatsOf(device, total)).subarray(0, 40)]).toEqual(
      Array.from({ length: 40 }, (_, i) => 2 * i + 2),
    );
    expect(small.counters.slots).toBe(80);

    // An encoder may use as many as there are, an old one among them.
    const y = zeros(64);
    const call = (i: number, encoder?: GPUCommandEncoder): void =>
      small.run(accumulate, { x, total: { buffer: y, offset: i } }, { n: 1, scale: 100 + i }, { encoder });
    for (let i = 0; i < 16; i++) call(i);
    const encoder = device.createCommandEncoder();
    call(0, encoder);
    for (let i = 16; i < 31; i++) call(i, encoder);
    device.queue.submit([encoder.finish()]);
    expect(small.counters.slots).toBe(80 + 31);
    const expected = Array.from({ length: 31 }, (_, i) => 100 + i);
    expect([...(await floatsOf(device, y)).subarray(0, 31)]).toEqual([200, ...expected.slice(1)]);
    small.dispose();
  });

  test("of equal content are shared", async () => {
    const x = ramp(8);
    const pair = { x, y: x, z: zeros(8) };
    for (let i = 0; i < 5; i++) rt.run(axpy, pair, { n: 8, scale: 1 });
    rt.run(axpy, { ...pair, z: zeros(8) }, { n: 8, scale: 1 });
    // One more bind group belongs to the layout, for priming.
    expect(rt.counters).toMatchObject({ slots: 1, bindGroups: 3, dispatches: 6 });
  });
});

describe("several tensors in one buffer", () => {
  test("may be read, or written where they are far enough apart", async () => {
    const align = device.limits.minStorageBufferOffsetAlignment / 4;
    const far = Math.ceil(100 / align) * align;
    const both = zeros(far + 100);
    const x = ramp(200);
    const tensors = { x, low: both, high: { buffer: both, offset: far } };
    rt.run(neighbours, tensors, { n: 100 });
    rt.run(axpy, { x, y: { buffer: x, offset: 50 }, z: zeros(100) }, { n: 100, scale: 1 });
    const got = await floatsOf(device, both);
    expect([got[0], got[99], got[far], got[far + 99]]).toEqual([-1, 98, 1, 100]);
  });
});
