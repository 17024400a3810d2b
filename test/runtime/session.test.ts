import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import { openAdapter } from "../../src/node/adapters.ts";
import {
  type Gpu,
  type GpuTensor,
  loadManifest,
  makeTensor,
  openDevice,
  profile,
  readTensors,
} from "../../src/node/runtime.ts";
import { accumulator, affine, affineOf, chain, counter, exchange, identity } from "./programs.ts";

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => gpu.dispose());

const ramp = (n: number, step = 1): Float32Array => Float32Array.from({ length: n }, (_, i) => i * step);

describe("run", () => {
  test("computes, and costs one submit", async () => {
    const w = ramp(100, 0.5);
    using session = await loadManifest(gpu, affine(100), { weights: { w } });
    gpu.counters.reset();
    const { y } = await session.run({ x: ramp(100), s: 3 });
    expect(gpu.counters).toMatchObject({ submits: 1, dispatches: 1, pipelines: 0 });
    expect(y!.shape).toEqual([100]);
    expect([...(await y!.data())]).toEqual(affineOf(ramp(100), w, 3));
    expect(gpu.counters).toMatchObject({ submits: 2, readbacks: 1 });
  });

  test("runs what depends on constants alone once, at load", async () => {
    gpu.counters.reset();
    using session = await loadManifest(gpu, chain(70, 12));
    expect(gpu.counters.setupDispatches).toBe(1);
    gpu.counters.reset();
    for (const start of [0, 5]) {
      const { y } = await session.run({ x: new Float32Array(70).fill(start) });
      expect([...(await y!.data())]).toEqual(new Array(70).fill(start + 66 + 20));
    }
    expect(gpu.counters).toMatchObject({ setupDispatches: 0, dispatches: 26, submits: 4 });
  });

  test("results keep their content whatever runs later", async () => {
    using session = await loadManifest(gpu, affine(8), { weights: { w: ramp(8) } });
    const results: GpuTensor[] = [];
    for (let s = 0; s < 20; s++) results.push((await session.run({ x: ramp(8), s })).y!);
    session.dispose();
    for (let s = 0; s < 20; s++) expect([...(await results[s]!.data())]).toEqual(affineOf(ramp(8), ramp(8), s));
  });

  test("a run that reads back needs no second submit", async () => {
    using session = await loadManifest(gpu, affine(8), { weights: { w: ramp(8) } });
    const first = await session.run({ x: ramp(8), s: 1 }, { read: true });
    await first.y!.data();
    first.y!.dispose();
    gpu.counters.reset();
    const { y } = await session.run({ x: ramp(8), s: 2 }, { read: true });
    await session.run({ x: ramp(8), s: 3 });
    const expected = affineOf(ramp(8), ramp(8), 2);
    expect([...(await y!.data())]).toEqual(expected);
    expect(gpu.counters).toMatchObject({ submits: 2, readbacks: 0 });
    expect([...(await y!.data())]).toEqual(expected);
    expect(gpu.counters.readbacks).toBe(1);
  });

  test("several tensors are read back with one submit", async () => {
    using session = await loadManifest(gpu, affine(8), { weights: { w: ramp(8) } });
    const a = (await session.run({ x: ramp(8), s: 1 })).y!;
    const b = (await session.run({ x: ramp(8), s: 2 })).y!;
    gpu.counters.reset();
    const [da, db] = await readTensors(gpu, [a, b]);
    expect(gpu.counters.submits).toBe(1);
    expect(db![0]! - da![0]!).toBe(1);
  });

  test("arrays may change as soon as run has returned", async () => {
    using session = await loadManifest(gpu, affine(8), { weights: { w: ramp(8) } });
    const x = ramp(8);
    const pending = [0, 1, 2].map((k) => {
      x.fill(k);
      return session.run({ x, s: 0 });
    });
    x.fill(99);
    for (const [k, p] of pending.entries()) {
      expect([...(await (await p).y!.data())]).toEqual(affineOf(new Array(8).fill(k), ramp(8), 0));
    }
  });
});

describe("steady state", () => {
  test("a run creates no buffer, bind group or pipeline", async () => {
    using session = await loadManifest(gpu, chain(1000, 10));
    const x = ramp(1000);
    const step = async (): Promise<void> => {
      const { y } = await session.run({ x });
      await y!.data();
      y!.dispose();
    };
    await step();
    gpu.counters.reset();
    const held = gpu.counters.bytesHeld;
    for (let i = 0; i < 50; i++) await step();
    expect(gpu.counters).toMatchObject({ buffers: 0, bindGroups: 0, pipelines: 0, submits: 100, bytesHeld: held });
  });

  test("nor does one that reads another's result", async () => {
    using first = await loadManifest(gpu, affine(512), { weights: { w: ramp(512) } });
    using second = await loadManifest(gpu, chain(512, 3));
    const step = async (): Promise<number> => {
      using h = (await first.run({ x: ramp(512), s: 1 })).y!;
      using y = (await second.run({ x: h })).y!;
      return (await y.data())[2]!;
    };
    await step();
    gpu.counters.reset();
    for (let i = 0; i < 20; i++) expect(await step()).toBe(4 + 1 + 3 + 20);
    expect(gpu.counters).toMatchObject({ buffers: 0, bindGroups: 0, pipelines: 0 });
  });

  test("sessions loaded again find pipelines and memory of the ones before", async () => {
    (await loadManifest(gpu, chain(300, 5))).dispose();
    gpu.counters.reset();
    for (let i = 0; i < 10; i++) (await loadManifest(gpu, chain(300, 5))).dispose();
    expect(gpu.counters).toMatchObject({ buffers: 0, pipelines: 0 });
  });
});

describe("state", () => {
  for (const inPlace of [true, false]) {
    test(`is carried from run to run, ${inPlace ? "in place" : "by a copy in the same submit"}`, async () => {
      using session = await loadManifest(gpu, accumulator(10, inPlace), { state: { total: ramp(10) } });
      gpu.counters.reset();
      for (let i = 0; i < 5; i++) await session.run({ x: new Float32Array(10).fill(2) });
      expect(gpu.counters.submits).toBe(5);
      expect([...(await session.state.total!.data())]).toEqual([...ramp(10)].map((v) => v + 10));
      const { sum } = await session.run({ x: new Float32Array(10).fill(1) });
      await session.run({ x: new Float32Array(10).fill(1) });
      expect((await sum!.data())[0]).toBe(11);
      await session.setState({ total: new Float32Array(10) });
      await session.run({ x: new Float32Array(10).fill(7) });
      expect((await session.state.total!.data())[9]).toBe(7);
    });
  }

  test("an output that is a state's new value is read from the state, without a copy", async () => {
    using session = await loadManifest(gpu, counter(), { state: { n: 40 } });
    const held = gpu.counters.bytesHeld;
    expect(await session.run()).toEqual({});
    await session.run();
    expect([...(await session.state.n!.data())]).toEqual([42]);
    expect(gpu.counters.bytesHeld - held).toBeLessThanOrEqual(256);
  });

  test("state is its session's: disposing its tensor changes nothing", async () => {
    using session = await loadManifest(gpu, counter(), { state: { n: 40 } });
    session.state.n!.dispose();
    (await session.run()).y?.dispose();
    expect([...(await session.state.n!.data())]).toEqual([41]);
  });

  test("two states may exchange their values", async () => {
    using session = await loadManifest(gpu, exchange(4), { state: { a: [1, 2, 3, 4], b: [5, 6, 7, 8] } });
    await session.run();
    expect([...(await session.state.a!.data())]).toEqual([5, 6, 7, 8]);
    expect([...(await session.state.b!.data())]).toEqual([1, 2, 3, 4]);
    await session.run();
    expect([...(await session.state.a!.data())]).toEqual([1, 2, 3, 4]);
  });
});

describe("values", () => {
  const cases: readonly (readonly [string, DType, readonly number[], unknown, readonly number[]])[] = [
    [
      "f32 from nested lists",
      "f32",
      [2, 2],
      [
        [1, 2],
        [3, 4.5],
      ],
      [1, 2, 3, 4.5],
    ],
    ["f32 from Float64Array", "f32", [2], new Float64Array([0.1, 2]), [Math.fround(0.1), 2]],
    ["f32 scalar from a number", "f32", [], 7, [7]],
    [
      "f16 from floats, rounded",
      "f16",
      [3],
      new Float32Array([1 / 3, 65519, 70000]),
      [0.333251953125, 65504, Infinity],
    ],
    ["f16 from bits", "f16", [3], new Uint16Array([0x3c00, 0x8000, 0x0001]), [1, -0, 2 ** -24]],
    ["i32 from Int32Array", "i32", [3], new Int32Array([-1, 2 ** 31 - 1, -(2 ** 31)]), [-1, 2 ** 31 - 1, -(2 ** 31)]],
    ["i32 from Int8Array", "i32", [2], new Int8Array([-128, 127]), [-128, 127]],
    ["u32 from a list", "u32", [2], [0, 4294967295], [0, 4294967295]],
    ["bool from booleans", "bool", [3], [true, false, true], [1, 0, 1]],
    ["bool from Uint8Array", "bool", [3], new Uint8Array([2, 0, 1]), [1, 0, 1]],
    ["f32 NaN and infinity", "f32", [3], [NaN, -Infinity, -0], [NaN, -Infinity, -0]],
    ["an empty tensor", "f32", [2, 0, 3], [], []],
    ["an empty f16 tensor", "f16", [0], new Uint16Array(0), []],
  ];
  test.each(cases)("%s", async (_, dtype, shape, given, expected) => {
    using session = await loadManifest(gpu, identity(dtype, shape));
    const { y } = await session.run({ x: given as Float32Array });
    expect([...(await y!.data())]).toEqual(expected);
    expect(y!.shape).toEqual(shape);
  });

  test("tensors on the GPU: made from data, given by another run, state, and the caller's buffers", async () => {
    using session = await loadManifest(gpu, affine(8), { weights: { w: ramp(8) } });
    const expected = affineOf(ramp(8), ramp(8), 1);
    using x = await makeTensor(gpu, ramp(8), { dtype: "f32", shape: [8] });
    expect([...(await (await session.run({ x, s: 1 })).y!.data())]).toEqual(expected);

    const buffer = gpu.device.createBuffer({ size: 32, usage: 0x80 | 0x8 | 0x4 });
    gpu.device.queue.writeBuffer(buffer, 0, ramp(8));
    expect([...(await (await session.run({ x: buffer, s: 1 })).y!.data())]).toEqual(expected);
    const wrapped = await makeTensor(gpu, buffer, { dtype: "f32", shape: [8] });
    expect([...(await (await session.run({ x: wrapped, s: 1 })).y!.data())]).toEqual(expected);

    using other = await loadManifest(gpu, accumulator(8, true), { state: { total: ramp(8) } });
    expect([...(await (await session.run({ x: other.state.total!, s: 1 })).y!.data())]).toEqual(expected);
    await other.setState({ total: x });
    await other.run({ x: other.state.total! });
    expect([...(await other.state.total!.data())]).toEqual([...ramp(8, 2)]);

    using shared = await loadManifest(gpu, affine(8), { weights: { w: x } });
    expect([...(await (await shared.run({ x: ramp(8), s: 1 })).y!.data())]).toEqual(expected);
    buffer.destroy();
  });
});

describe("overlapping runs", () => {
  test("64 at once with interleaved readbacks give what they give one by one", async () => {
    using session = await loadManifest(gpu, affine(256), { weights: { w: ramp(256) } });
    using total = await loadManifest(gpu, accumulator(4, false), { state: { total: new Float32Array(4) } });
    const all = Array.from({ length: 64 }, async (_, s) => {
      const { y } = await session.run({ x: ramp(256, s), s }, { read: s % 3 === 0 });
      const { sum } = await total.run({ x: [1, 1, 1, 1] });
      const data = await y!.data();
      y!.dispose();
      expect([...data]).toEqual(affineOf(ramp(256, s), ramp(256), s));
      return (await sum!.data())[0]!;
    });
    const sums = await Promise.all(all);
    expect([...sums].sort((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, i) => i + 1));
  });

  test("a tensor may be disposed as soon as its data was asked for, and read twice at once", async () => {
    using session = await loadManifest(gpu, affine(256), { weights: { w: ramp(256) } });
    const got = await Promise.all(
      Array.from({ length: 16 }, async (_, s) => {
        const { y } = await session.run({ x: ramp(256, s), s }, { read: s % 2 === 0 });
        const reads = [y!.data(), y!.data()];
        y!.dispose();
        void session.run({ x: ramp(256, 99), s: 99 });
        return Promise.all(reads);
      }),
    );
    got.forEach(([a, b], s) => {
      expect([...a!]).toEqual(affineOf(ramp(256, s), ramp(256), s));
      expect(b).toEqual(a);
    });
  });

  test("free memory is bounded by what was in use at a time", async () => {
    const own = await openDevice();
    const mebi = 2 ** 18;
    for (const n of [8, 14, 5, 12, 15, 3]) {
      const session = await loadManifest(own, affine(n * mebi), { weights: { w: new Float32Array(n * mebi) } });
      session.dispose();
      expect(own.pool.freeBytes).toBeLessThanOrEqual(64 * 2 ** 20);
    }
    expect(own.trim()).toBeGreaterThan(0);
    expect(own.counters.bytesHeld).toBe(0);
    own.dispose();
  });

  test("nothing is held after runs and sessions are done with", async () => {
    const own = await openDevice();
    for (let i = 0; i < 30; i++) {
      using session = await loadManifest(own, affine(64), { weights: { w: ramp(64) } });
      const runs = await Promise.all([0, 1, 2].map((s) => session.run({ x: ramp(64), s }, { read: s === 1 })));
      for (const r of runs) r.y!.dispose();
    }
    expect(own.pool.freeBytes).toBe(own.counters.bytesHeld);
    own.dispose();
  });
});

test("profile gives the GPU time of every dispatch", async () => {
  using session = await loadManifest(gpu, chain(5000, 3));
  const times = await profile(session, { x: ramp(5000) }, { runs: 3 });
  expect(times.map((t) => t.kernel)).toEqual(["add 0", "add 1", "add 2", "add the constant"]);
  expect(times.every((t) => t.microseconds >= 0 && t.microseconds < 1e6)).toBe(true);
  expect(times.some((t) => t.microseconds > 0)).toBe(true);
});

test("a program runs on a device that the caller opened, and leaves it alive", async () => {
  const { adapter } = await openAdapter();
  const device = await adapter.requestDevice();
  const own = await openDevice({ device });
  using session = await loadManifest(own, affine(8), { weights: { w: ramp(8) } });
  expect([...(await (await session.run({ x: ramp(8), s: 1 })).y!.data())]).toEqual(affineOf(ramp(8), ramp(8), 1));
  await expect(profile(session, { x: ramp(8), s: 1 })).rejects.toMatchObject({ code: "no-timestamps" });
  own.dispose();
  expect(await device.queue.onSubmittedWorkDone()).toBeUndefined();
  device.pushErrorScope("validation");
  device.createBuffer({ size: 16, usage: 0x80 }).destroy();
  expect(await device.popErrorScope()).toBeNull();
  device.destroy();
});
