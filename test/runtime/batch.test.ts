import { afterAll, beforeAll, expect, test } from "vitest";
import { type Gpu, loadManifest, openDevice } from "../../src/node/runtime.ts";
import { accumulator, affine, affineOf, chain } from "./programs.ts";

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => gpu.dispose());

const ramp = (n: number, step = 1): Float32Array => Float32Array.from({ length: n }, (_, i) => i * step);

test("any number of runs is one submit, and two shapes of one kernel see their own values", async () => {
  using small = await loadManifest(gpu, affine(8), { weights: { w: ramp(8) } });
  using large = await loadManifest(gpu, affine(300), { weights: { w: ramp(300) } });
  const batch = gpu.batch();
  gpu.counters.reset();
  const x = ramp(8);
  const a = batch.run(small, { x, s: 1 });
  x.fill(-1);
  const b = batch.run(large, { x: ramp(300), s: 2 });
  const c = batch.run(small, { x: ramp(8, 3), s: 3 });
  const d = batch.run(small, { x: c.y!, s: 4 });
  expect(gpu.counters.submits).toBe(0);
  await batch.submit();
  expect(gpu.counters).toMatchObject({ submits: 1, dispatches: 4 });
  expect([...(await a.y!.data())]).toEqual(affineOf(ramp(8), ramp(8), 1));
  expect([...(await b.y!.data())]).toEqual(affineOf(ramp(300), ramp(300), 2));
  const third = affineOf(ramp(8, 3), ramp(8), 3);
  expect([...(await c.y!.data())]).toEqual(third);
  expect([...(await d.y!.data())]).toEqual(affineOf(third, ramp(8), 4));
});

test("state goes from run to run inside a batch", async () => {
  using session = await loadManifest(gpu, accumulator(4, false), { state: { total: [0, 0, 0, 0] } });
  const batch = gpu.batch();
  const sums = [1, 10, 100].map((v) => batch.run(session, { x: new Float32Array(4).fill(v) }).sum!);
  await batch.submit();
  const got = await Promise.all(sums.map(async (s) => (await s.data())[0]));
  expect(got).toEqual([1, 11, 111]);
  expect((await session.state.total!.data())[3]).toBe(111);
});

test("in steady state a batch creates nothing", async () => {
  using first = await loadManifest(gpu, affine(64), { weights: { w: ramp(64) } });
  using second = await loadManifest(gpu, chain(64, 2));
  const step = async (): Promise<number> => {
    const batch = gpu.batch();
    const h = batch.run(first, { x: ramp(64), s: 1 }).y!;
    const y = batch.run(second, { x: h }).y!;
    await batch.submit();
    const value = (await y.data())[3]!;
    h.dispose();
    y.dispose();
    return value;
  };
  await step();
  gpu.counters.reset();
  for (let i = 0; i < 20; i++) expect(await step()).toBe(9 + 1 + 1 + 20);
  expect(gpu.counters).toMatchObject({ buffers: 0, bindGroups: 0, pipelines: 0, submits: 40 });
});

test("misuse is refused and leaves the rest usable", async () => {
  using session = await loadManifest(gpu, affine(8), { weights: { w: ramp(8) } });
  using other = await loadManifest(gpu, affine(9), { weights: { w: ramp(9) } });
  const batch = gpu.batch();
  const h = batch.run(session, { x: ramp(8), s: 0 }).y!;
  await expect(h.data()).rejects.toMatchObject({ code: "not-submitted" });
  expect(() => h.tensor).toThrow(expect.objectContaining({ code: "not-submitted" }));
  expect(() => gpu.batch().run(session, { x: h, s: 0 })).toThrow(expect.objectContaining({ code: "foreign-handle" }));
  expect(() => batch.run(other, { x: h, s: 0 })).toThrow(expect.objectContaining({ code: "wrong-size" }));
  await expect(session.run({ x: h as never, s: 0 })).rejects.toMatchObject({ code: "wrong-value" });
  expect(() => batch.run(session, { x: ramp(8) })).toThrow(expect.objectContaining({ code: "missing-input" }));
  const dropped = batch.run(session, { x: ramp(8), s: 0 }).y!;
  dropped.dispose();
  expect(() => batch.run(session, { x: dropped, s: 0 })).toThrow(expect.objectContaining({ code: "disposed" }));
  await batch.submit();
  await expect(batch.submit()).rejects.toMatchObject({ code: "already-submitted" });
  expect(() => batch.run(session, { x: ramp(8), s: 0 })).toThrow(
    expect.objectContaining({ code: "already-submitted" }),
  );
  await expect(dropped.data()).rejects.toMatchObject({ code: "disposed" });
  expect(() => gpu.batch().run(session, { x: h, s: 0 })).toThrow(expect.objectContaining({ code: "foreign-handle" }));
  const { y } = await session.run({ x: h.tensor, s: 1 });
  expect((await y!.data())[2]).toBe(9);
  h.dispose();
  await expect(h.data()).rejects.toMatchObject({ code: "disposed" });
  const unused = gpu.batch();
  unused.dispose();
  await expect(unused.submit()).rejects.toMatchObject({ code: "disposed" });
});

test("a session disposed before its batch's submit is an error, not a wrong result", async () => {
  const session = await loadManifest(gpu, affine(8), { weights: { w: ramp(8) } });
  const batch = gpu.batch();
  const h = batch.run(session, { x: ramp(8), s: 0 }).y!;
  session.dispose();
  await expect(batch.submit()).rejects.toMatchObject({ code: "disposed" });
  await expect(h.data()).rejects.toMatchObject({ code: "not-submitted" });
});

test("an empty batch submits nothing", async () => {
  gpu.counters.reset();
  await gpu.batch().submit();
  expect(gpu.counters.submits).toBe(0);
});
