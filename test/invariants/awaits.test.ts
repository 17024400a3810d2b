import { afterEach, describe, expect, test } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import { compile, f32, sum } from "../../src/index.ts";
import { openAdapter } from "../../src/node/adapters.ts";
import { type Gpu, openDevice, type WarmupEvent, warmup } from "../../src/node/runtime.ts";
import { faultyDevice } from "../runtime/faulty.ts";

const opened: Gpu[] = [];
afterEach(() => {
  for (const g of opened.splice(0)) g.dispose();
});
async function open(options: Parameters<typeof openDevice>[0] = {}): Promise<Gpu> {
  // What checks memory makes calls of its own, whose failures are not what is looked at here.
  const gpu = await openDevice({ checkMemory: false, ...options });
  opened.push(gpu);
  return gpu;
}

const w = Float32Array.from({ length: 8 }, (_, i) => Math.sin(i));
const x = Float32Array.from({ length: 16 }, (_, i) => i / 4);
// Cheap to compile, since every device compiles it anew; the weight's exponential is taken once at load.
const program = compile(
  { x: f32(2, 8), w: f32(8), total: f32(2, 8) },
  ({ x, w, total }) => ({ y: sum(x.mul(w.exp()), { axes: 1 }), total: total.add(x) }),
  { weights: ["w"], donate: ["total"] },
);
const state = { total: new Float32Array(16) };
const loaded = { weights: { w }, state };

const later = (ms: number, what: string) =>
  new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(what)), ms).unref();
  });

/** How `work` ends; fails when it does not within `ms`, or within two seconds of the device's loss. */
async function ending(gpu: Gpu, work: Promise<unknown>, ms = 20_000): Promise<{ value?: unknown; error?: unknown }> {
  const settled = work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  const afterLoss = gpu.lost.then(() => later(2000, "still pending two seconds after the loss"));
  return Promise.race([settled, afterLoss, later(ms, `still pending after ${ms} ms`)]);
}

const lost = { name: "SinterError", code: "device-lost" };
const expectLost = async (gpu: Gpu, work: Promise<unknown>, what?: string): Promise<void> => {
  expect((await ending(gpu, work)).error, what).toMatchObject(lost);
};

/** The whole life of a session: load, run, read, batch, state. */
async function life(gpu: Gpu): Promise<number[]> {
  const session = await program.load(gpu, loaded);
  const { y, total } = await session.run({ x });
  const read = [...(await y.data()), ...(await total.data())];
  const batch = session.batch();
  const [a, b] = [batch.run(session, { x }), batch.run(session, { x })];
  await batch.submit();
  const batched = [...(await a.y.data()), ...(await b.total.data())];
  await session.setState(state);
  await gpu.idle();
  session.dispose();
  return [...read, ...batched];
}

describe("6. every await can end: device loss", () => {
  test("at any call that is made of the device: the right result or device-lost, within two seconds", async () => {
    const attempt = async (at: number) => {
      const { adapter } = await openAdapter();
      const { device, calls } = faultyDevice(await adapter.requestDevice(), at, "lose");
      const gpu = await open({ device });
      const end = await ending(gpu, life(gpu));
      gpu.dispose();
      device.destroy();
      return { ...end, calls: calls.length };
    };
    const whole = await attempt(-1);
    expect(whole.error).toBeUndefined();
    expect(whole.calls).toBeGreaterThan(40);
    let ends = 0;
    for (let at = 0; at < whole.calls; at += 3) {
      const { value, error } = await attempt(at);
      if (error) {
        expect(error, `at call ${at}: ${error}`).toMatchObject(lost);
        ends++;
      } else expect(value, `at call ${at}`).toEqual(whole.value);
    }
    expect(ends).toBeGreaterThan(whole.calls / 5);
  });

  test("while a call is pending", async () => {
    const pending: Readonly<Record<string, (gpu: Gpu) => Promise<unknown>>> = {
      load: (gpu) => program.load(gpu, loaded),
      warmup: (gpu) => warmup(gpu, program.compiled({}, gpu.capabilities).manifest),
    };
    for (const [name, call] of Object.entries(pending)) {
      const gpu = await open();
      const work = call(gpu);
      gpu.device.destroy();
      await expectLost(gpu, work, name);
    }
    const uses: Readonly<Record<string, (s: Awaited<ReturnType<typeof load>>) => Promise<unknown>>> = {
      "run and data": async (s) => (await s.run({ x })).y.data(),
      "state data": (s) => s.state.total.data(),
      setState: (s) => s.setState(state),
      batch: (s) => {
        const batch = s.batch();
        const { y } = batch.run(s, { x });
        return batch.submit().then(() => y.data());
      },
      idle: (s) => s.gpu.idle(),
    };
    const load = (gpu: Gpu) => program.load(gpu, loaded);
    for (const [name, call] of Object.entries(uses)) {
      const gpu = await open();
      const work = call(await load(gpu));
      gpu.device.destroy();
      await expectLost(gpu, work, name);
    }
  });

  test("in every state of a warm-up, which says so last", async () => {
    for (const status of ["start", "compiling", "compiled", "priming", "primed"] as const) {
      const gpu = await open();
      const events: WarmupEvent[] = [];
      const onProgress = (e: WarmupEvent): void => {
        events.push(e);
        if (e.status === status) gpu.device.destroy();
      };
      await expectLost(gpu, program.load(gpu, { ...loaded, onProgress }));
      expect(events.at(-1)).toMatchObject({ status: "failed", error: lost });
    }
  });

  test("afterwards every call is refused, and a new device gives the same numbers", async () => {
    const before = await open();
    const numbers = await life(before);
    const session = await program.load(before, loaded);
    const { y } = await session.run({ x });
    before.device.destroy();
    await before.lost;
    for (const work of [
      session.run({ x }),
      y.data(),
      session.setState(state),
      program.load(before, loaded),
      before.idle(),
    ]) {
      await expectLost(before, work);
    }
    expect(() => session.dispose()).not.toThrow();
    expect(await life(await open())).toEqual(numbers);
  });
});

describe("6. every await can end: time and aborts", () => {
  test("a device that never answers is a timeout, whichever call waits for it", async () => {
    const attempt = async (at: number, timeoutMs: number) => {
      const { adapter } = await openAdapter();
      const { device, calls } = faultyDevice(await adapter.requestDevice(), at, "never");
      const gpu = await open({ device, timeoutMs });
      const end = await ending(gpu, life(gpu));
      gpu.dispose();
      device.destroy();
      return { ...end, calls };
    };
    const { calls } = await attempt(-1, 60_000);
    const waiting = ["createComputePipelineAsync", "popErrorScope", "mapAsync", "onSubmittedWorkDone"];
    for (const name of waiting) {
      const places = calls.flatMap((c, i) => (c === name ? [i] : []));
      expect(places, name).not.toEqual([]);
      for (const at of new Set([places[0]!, places[places.length >> 1]!, places.at(-1)!])) {
        const { error } = await attempt(at, 150);
        expect(error, `${name} at ${at}`).toMatchObject({ name: "SinterError", code: "timeout" });
      }
    }
  });

  test("an abort ends load, run, data, submit and warm-up, before and during", async () => {
    const gpu = await open();
    const session = await program.load(gpu, loaded);
    const manifest = program.compiled({}, gpu.capabilities).manifest;
    const { y } = await session.run({ x });
    const calls: Readonly<Record<string, (signal: AbortSignal) => Promise<unknown>>> = {
      load: (signal) => program.load(gpu, { ...loaded, signal }),
      run: (signal) => session.run({ x }, { signal }),
      data: (signal) => y.data({ signal }),
      submit: (signal) => {
        const batch = session.batch();
        batch.run(session, { x });
        return batch.submit({ signal });
      },
      warmup: (signal) => warmup(gpu, manifest, { signal }),
    };
    for (const [name, call] of Object.entries(calls)) {
      const before = AbortSignal.abort();
      expect((await ending(gpu, call(before))).error, `${name}, aborted before`).toMatchObject({ code: "aborted" });
      const controller = new AbortController();
      const work = call(controller.signal);
      controller.abort(new Error("enough"));
      const { error } = await ending(gpu, work);
      // What was submitted already may be done; nothing may stay pending, or fail by another name.
      if (error) expect(error, `${name}, aborted during`).toMatchObject({ code: "aborted" });
    }
    const again = await session.run({ x });
    expect([...(await again.y.data())]).toEqual([...(await y.data())]);
  });

  test("errors are ours, with a code", async () => {
    const gpu = await open();
    gpu.device.destroy();
    const { error } = await ending(gpu, program.load(gpu, loaded));
    expect(error).toBeInstanceOf(SinterError);
  });
});
