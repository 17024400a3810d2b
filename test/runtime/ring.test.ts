import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Gpu, loadManifest, openDevice, Ring } from "../../src/node/runtime.ts";
import { accumulator, chain } from "./programs.ts";

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => gpu.dispose());

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

describe("a device that is done when the test says so", () => {
  let finish: (() => void)[];
  beforeEach(() => {
    finish = [];
    (gpu.device.queue as unknown as Record<string, unknown>).onSubmittedWorkDone = () =>
      new Promise<void>((resolve) => finish.push(resolve));
  });
  afterEach(() => {
    for (const f of finish) f();
    delete (gpu.device.queue as unknown as Record<string, unknown>).onSubmittedWorkDone;
  });

  test.each([1, 2, 3, 4])("no more than %i at a time; further calls wait, in their order", async (size) => {
    const ring = new Ring(gpu, { size });
    const begun: number[] = [];
    const all = [0, 1, 2, 3, 4, 5].map((i) => ring.run(() => void begun.push(i)));
    await soon();
    expect(begun).toEqual([0, 1, 2, 3, 4, 5].slice(0, size));
    for (let done = 0; done < 6 - size; done++) {
      finish[done]?.();
      await soon();
      expect(begun).toHaveLength(size + done + 1);
    }
    expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
    await Promise.all(all);
    expect(ring.statistics).toMatchObject({ acquisitions: 6, releases: 6 - size, leak: size, waits: 6 - size });
    for (const f of finish) f();
    await soon();
    expect(ring.statistics).toMatchObject({ releases: 6, leak: 0, reuseRate: (6 - size) / 6 });
  });

  test("statistics tell how long was waited", async () => {
    const ring = new Ring(gpu, { size: 1, log: 1 });
    const first = ring.run(() => 7);
    const waiting = [ring.run(() => 8), ring.run(() => 9)];
    expect(await first).toBe(7);
    await new Promise((resolve) => setTimeout(resolve, 30));
    finish[0]?.();
    await soon();
    finish[1]?.();
    expect(await Promise.all(waiting)).toEqual([8, 9]);
    const s = ring.statistics;
    expect(s?.longestWaitMs).toBeGreaterThanOrEqual(29);
    expect(s?.averageWaitMs).toBeLessThanOrEqual(s?.longestWaitMs as number);
    expect(s?.averageWaitMs).toBeGreaterThanOrEqual(29);
    expect(s?.events).toHaveLength(1);
    expect(s?.events[0]).toMatchObject({ result: "acquired", ms: s?.longestWaitMs });
  });

  test("a place that is not free in time is the error timeout, and nothing is submitted", async () => {
    const ring = new Ring(gpu, { size: 1, timeoutMs: 20 });
    await ring.run(() => 0);
    let begun = false;
    await expect(
      ring.run(() => {
        begun = true;
      }),
    ).rejects.toMatchObject({ code: "timeout" });
    expect(begun).toBe(false);
    expect(ring.statistics?.events).toMatchObject([{ result: "timeout" }]);
    // The place is not lost.
    finish[0]?.();
    await soon();
    expect(await ring.run(() => 5)).toBe(5);
    expect(ring.statistics).toMatchObject({ acquisitions: 2, releases: 1, waits: 1 });
  });

  test("options of null are left out: no wait is too long", async () => {
    const ring = new Ring(gpu, { size: 1, timeoutMs: null, statistics: null, log: null } as never);
    await ring.run(() => 0);
    const waiting = ring.run(() => 1);
    await new Promise((resolve) => setTimeout(resolve, 30));
    finish[0]?.();
    expect(await waiting).toBe(1);
    expect(ring.statistics).toMatchObject({ acquisitions: 2, waits: 1 });
  });

  test("an abort ends the wait and leaves the place to the next", async () => {
    const ring = new Ring(gpu, { size: 1 });
    await ring.run(() => 0);
    const abort = new AbortController();
    const given = ring.run(() => 1, { signal: abort.signal });
    const next = ring.run(() => 2);
    abort.abort(new Error("changed my mind"));
    await expect(given).rejects.toMatchObject({ code: "aborted" });
    finish[0]?.();
    expect(await next).toBe(2);
    await expect(ring.run(() => 3, { signal: abort.signal })).rejects.toMatchObject({ code: "aborted" });
  });

  test("what fails to submit gives its place back", async () => {
    const ring = new Ring(gpu, { size: 1 });
    await expect(ring.run(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
    finish[0]?.();
    await soon();
    expect(ring.statistics).toMatchObject({ acquisitions: 1, releases: 1, leak: 0 });
    expect(await ring.run(() => 1)).toBe(1);
  });

  test("takes functions: what was submitted already cannot wait", async () => {
    const ring = new Ring(gpu);
    const submitted = Promise.resolve(1);
    await expect(ring.run(submitted as never)).rejects.toThrow(/a function, not a Promise(.|\n)*ring\.run\(\(\) =>/);
    expect(ring.statistics).toMatchObject({ acquisitions: 0 });
  });

  test("statistics can be turned off", async () => {
    const ring = new Ring(gpu, { statistics: false });
    expect(await ring.run(() => 1)).toBe(1);
    expect(ring.statistics).toBeUndefined();
  });
});

test("runs of a session in a ring give what they give without", async () => {
  using session = await loadManifest(gpu, accumulator(64, true), { state: { total: new Float32Array(64) } });
  const ring = new Ring(gpu, { size: 2 });
  const x = Float32Array.from({ length: 64 }, (_, i) => i);
  for (let i = 0; i < 9; i++) {
    const results = await ring.run(() => session.run({ x }));
    for (const t of Object.values(results)) t.dispose();
  }
  await ring.idle();
  expect(ring.statistics).toMatchObject({ acquisitions: 9, releases: 9, leak: 0 });
  const [state] = Object.values(session.state);
  expect([...((await state?.data()) ?? [])]).toEqual([...x].map((v) => 9 * v));
});

test.each([2 ** 32, Number.POSITIVE_INFINITY])(
  "a timeout longer than timers can wait, %d ms, is none",
  async (timeoutMs) => {
    const patient = await openDevice({ timeoutMs });
    using session = await loadManifest(patient, chain(64, 1));
    const ring = new Ring(patient, { size: 1, timeoutMs });
    await Promise.all([0, 1, 2].map(() => ring.run(() => session.run({ x: new Float32Array(64) }))));
    expect(ring.statistics).toMatchObject({ acquisitions: 3, waits: 2 });
    patient.dispose();
  },
);

test.each([0, 5, 1.5, Number.NaN])("a ring of %d is refused", (size) => {
  expect(() => new Ring(gpu, { size })).toThrow(/size cannot be/);
});

test("after the device is gone, waiting and new calls fail", async () => {
  const own = await openDevice();
  (own.device.queue as unknown as Record<string, unknown>).onSubmittedWorkDone = () => new Promise(() => undefined);
  const ring = new Ring(own, { size: 1 });
  await ring.run(() => 0);
  const waiting = ring.run(() => 1);
  own.dispose();
  await expect(waiting).rejects.toMatchObject({ code: "disposed" });
  await expect(ring.run(() => 2)).rejects.toMatchObject({ code: "disposed" });
});
