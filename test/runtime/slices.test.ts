import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gpu, loadManifest, openDevice } from "../../src/node/runtime.ts";
import { learn, slices } from "../../src/runtime/slices.ts";
import type { Step } from "../../src/runtime/storage.ts";
import { accumulator, chain } from "./programs.ts";

const steps = (n: number): Step[] => Array.from({ length: n }, () => ({}) as Step);
const sizes = (list: readonly Step[], ms: number): number[] => [...slices(list, ms)].map((s) => s.length);

describe("slices", () => {
  test("hold every dispatch once, in order", () => {
    const list = steps(23);
    expect([...slices(list, 3)].flat()).toEqual(list);
    expect(sizes([], 3)).toEqual([0]);
  });

  test("are as long as their dispatches took", () => {
    const list = steps(12);
    // Each takes 2 ms.
    for (const s of slices(list, 8)) learn(s, 2 * s.length);
    expect(sizes(list, 8)).toEqual([4, 4, 4]);
    expect(sizes(list, 100)).toEqual([12]);
    expect(sizes(list, 0.5)).toEqual(new Array(12).fill(1));
  });

  test("follow a device that becomes slower", () => {
    const list = steps(8);
    for (const s of slices(list, 8)) learn(s, s.length);
    expect(sizes(list, 8)).toEqual([8]);
    for (let i = 0; i < 6; i++) for (const s of slices(list, 8)) learn(s, 4 * s.length);
    expect(sizes(list, 8).every((n) => n <= 2)).toBe(true);
  });

  test("new dispatches get what the known ones leave", () => {
    const [a, b] = steps(2) as [Step, Step];
    learn([a], 3);
    learn([a, b], 10);
    expect(sizes([a, b], 10)).toEqual([2]);
    expect(sizes([a, b], 9.9)).toEqual([1, 1]);
  });
});

describe("runs with maxSubmitMs", () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openDevice({ checkMemory: false });
  });
  afterAll(() => gpu.dispose());

  test("give the same results in several submits", async () => {
    using session = await loadManifest(gpu, chain(500, 12));
    const x = Float32Array.from({ length: 500 }, (_, i) => i);
    const whole = await session.run({ x });
    gpu.counters.reset();
    // So little that every dispatch, once its time is known, is a submit of its own.
    await session.run({ x }, { maxSubmitMs: 1e-6 });
    const parts = await session.run({ x }, { maxSubmitMs: 1e-6 });
    expect(gpu.counters.submits).toBeGreaterThan(15);
    expect(gpu.counters.dispatches).toBe(26);
    const [a, b] = await Promise.all([whole.y?.data(), parts.y?.data()]);
    expect(b).toEqual(a);
    gpu.counters.reset();
    await session.run({ x }, { maxSubmitMs: 1e6 });
    expect(gpu.counters.submits).toBe(1);
  });

  test("take effect in the order of calls, also among others; arrays may change at once", async () => {
    using session = await loadManifest(gpu, chain(64, 6));
    const x = new Float32Array(64).fill(1);
    const given = [1, 2, 3].map((v) => {
      x.fill(v);
      return session.run({ x }, v === 2 ? {} : { maxSubmitMs: 1e-6 });
    });
    x.fill(99);
    const results = await Promise.all((await Promise.all(given)).map((r) => r.y?.data()));
    const expected = await Promise.all(
      [1, 2, 3].map(async (v) => (await session.run({ x: new Float32Array(64).fill(v) })).y?.data()),
    );
    expect(results).toEqual(expected);
  });

  test("an abort on the way does not leave half a run", async () => {
    using session = await loadManifest(gpu, accumulator(64, true), { state: { total: new Float32Array(64) } });
    const x = new Float32Array(64).fill(1);
    const abort = new AbortController();
    const run = session.run({ x }, { maxSubmitMs: 1e-6, signal: abort.signal });
    abort.abort();
    await run.catch(() => undefined);
    const [state] = Object.values(session.state);
    const values = new Set(((await state?.data()) ?? []) as Float32Array);
    expect(values.size).toBe(1);
  });

  test("a session disposed on the way gives its memory up", async () => {
    const own = await openDevice({ checkMemory: false });
    const session = await loadManifest(own, chain(64, 12));
    const x = new Float32Array(64);
    (await session.run({ x }, { maxSubmitMs: 1e-6 })).y?.dispose();
    const run = session.run({ x }, { maxSubmitMs: 1e-6 });
    session.dispose();
    own.counters.reset();
    await expect(run).rejects.toMatchObject({ code: "disposed" });
    expect(own.counters.submits).toBe(0);
    expect(own.pool.freeBytes).toBe(own.counters.bytesHeld);
    own.dispose();
  });

  test.each([0, -1, "fast"])("maxSubmitMs %s is refused", async (maxSubmitMs) => {
    using session = await loadManifest(gpu, chain(64, 2));
    await expect(
      session.run({ x: new Float32Array(64) }, { maxSubmitMs: maxSubmitMs as number }),
    ).rejects.toMatchObject({ code: "bad-option" });
  });
});
