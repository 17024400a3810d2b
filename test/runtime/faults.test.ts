import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import { openAdapter } from "../../src/node/adapters.ts";
import { type Gpu, loadManifest, openDevice } from "../../src/node/runtime.ts";
import { mapConcurrent } from "../support/concurrent.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { type Fault, faultyDevice, limitedDevice, promising } from "./faulty.ts";
import { accumulator, affine } from "./programs.ts";

const unhandled: unknown[] = [];
const onUnhandled = (e: unknown): void => {
  unhandled.push(e);
};
beforeAll(() => {
  process.on("unhandledRejection", onUnhandled);
});
afterAll(() => {
  process.off("unhandledRejection", onUnhandled);
});

const expected = [4, 12, 3, 7];

/** Loads two programs, runs them with and without a batch, and reads back: about every kind of call there is. */
async function job(gpu: Gpu): Promise<number[]> {
  using a = await loadManifest(gpu, affine(4), { weights: { w: [1, 2, 3, 4] } });
  using b = await loadManifest(gpu, accumulator(4, false), { state: { total: [0, 0, 0, 0] } });
  using y = (await a.run({ x: [1, 2, 3, 4], s: 3 })).y!;
  const numbers = [(await y.data())[0]!];
  using sum = (await b.run({ x: y }, { read: true })).sum!;
  numbers.push((await sum.data())[2]!);
  const batch = gpu.batch();
  using h = batch.run(a, { x: [1, 1, 1, 1], s: 2 }).y!;
  using g = batch.run(b, { x: h }).sum!;
  await batch.submit();
  numbers.push((await h.data())[0]!, (await g.data())[0]!);
  return numbers;
}

async function openReal(): Promise<GPUDevice> {
  const { adapter } = await openAdapter();
  return adapter.requestDevice();
}

/** The job with its call `at` going wrong; what it ended with, and what it still holds. */
async function faultyJob(real: GPUDevice, at: number, fault: Fault) {
  const { device, calls, restore } = faultyDevice(real, at, fault);
  const gpu = await openDevice({ device, checkMemory: false, timeoutMs: fault === "never" ? 200 : 20_000 });
  const started = performance.now();
  const result = await job(gpu).catch((e: unknown) => e);
  const elapsed = performance.now() - started;
  const held = gpu.ended ? 0 : gpu.counters.bytesHeld - gpu.pool.freeBytes;
  gpu.dispose();
  restore();
  return { result, calls, held, elapsed };
}

/** Where the failure is of no consequence the job may still end well. */
async function check(real: GPUDevice, at: number, fault: Fault): Promise<void> {
  const { result, held, elapsed } = await faultyJob(real, at, fault);
  const where = `${fault} at call ${at} (${names[at]}): ${String(result)}`;
  if (Array.isArray(result)) expect(result, where).toEqual(expected);
  else expect(result, where).toBeInstanceOf(SinterError);
  if (fault === "lose" && !Array.isArray(result)) expect(result, where).toMatchObject({ code: "device-lost" });
  expect(elapsed, where).toBeLessThan(5000);
  expect(held, where).toBe(0);
}

/** Most of the time goes by in waiting, so several jobs are under way, each on a device of its own. */
const width = 4;
let devices: readonly GPUDevice[] = [];
const warm: Gpu[] = [];
let names: readonly string[] = [];
beforeAll(async () => {
  devices = await Promise.all(Array.from({ length: width }, openReal));
  // Keeps the pipelines in Dawn's own cache, so that each of the hundreds of jobs need not compile.
  for (const device of devices) warm.push(await openDevice({ device, checkMemory: false }));
  await Promise.all(warm.map(job));
  const { result, calls } = await faultyJob(devices[0]!, -1, "throw");
  expect(result).toEqual(expected);
  names = [...calls];
});

afterEach(async () => {
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(unhandled.splice(0)).toEqual([]);
});

for (const fault of ["validation", "out-of-memory", "throw", "never"] as const) {
  test(`${fault} at any call ends in the right result or a typed error, soon, with nothing held`, async ({ skip }) => {
    skip(leftOut(fault), leftOutWhy);
    const calls = [...names.keys()].filter((at) => fault !== "never" || promising.has(names[at]!));
    await Promise.all(
      devices.map(async (device, lane) => {
        for (const at of calls.filter((_, i) => i % width === lane)) await check(device, at, fault);
        expect(await job(await openDevice({ device, checkMemory: false }))).toEqual(expected);
      }),
    );
  }, 120_000);
}

test("loss at any fifth call, and where a call throws before the loss is told, ends in device-lost, soon", async () => {
  const calls = [...names.keys()].filter((at) => at % 5 === 0 || names[at] === "getMappedRange");
  await mapConcurrent(calls, width, async (at) => check(await openReal(), at, "lose"));
}, 120_000);

test("memory short of any amount: an error with the bytes in it, and smaller programs still run", async () => {
  for (const budget of [0, 300, 5000, 20_000]) {
    const limited = limitedDevice(await openReal(), budget);
    const gpu = await openDevice({ device: limited, checkMemory: false });
    await expect(loadManifest(gpu, affine(5000), { weights: { w: new Float32Array(5000) } })).rejects.toMatchObject({
      code: "out-of-memory",
      message: expect.stringMatching(/needs \d+ bytes more/),
    });
    expect(gpu.counters.bytesHeld - gpu.pool.freeBytes).toBe(0);
    if (budget < 5000) continue;
    expect(await job(gpu)).toEqual(expected);
    gpu.dispose();
  }
});
