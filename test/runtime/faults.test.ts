import { afterAll, beforeAll, expect, test } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import { openAdapter } from "../../src/node/adapters.ts";
import { loadManifest, openDevice } from "../../src/node/runtime.ts";
import { type Fault, faults, faultyDevice } from "./faulty.ts";
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
async function shortJob(at: number, fault: Fault): Promise<{ result: unknown; calls: readonly string[]; held: number }> {
  const { adapter } = await openAdapter();
  const { device, calls } = faultyDevice(await adapter.requestDevice(), at, fault);
  const gpu = await openDevice({ device, timeoutMs: 1500 });
  const numbers: number[] = [];
  const job = async (): Promise<number[]> => {
    using a = await loadManifest(gpu, affine(4), { weights: { w: [1, 2, 3, 4] } });
    using b = await loadManifest(gpu, accumulator(4, false), { state: { total: [0, 0, 0, 0] } });
    using y = (await a.run({ x: [1, 2, 3, 4], s: 3 })).y!;
    numbers.push((await y.data())[0]!);
    using sum = (await b.run({ x: y }, { read: true })).sum!;
    numbers.push((await sum.data())[2]!);
    const batch = gpu.batch();
    using h = batch.run(a, { x: [1, 1, 1, 1], s: 2 }).y!;
    using g = batch.run(b, { x: h }).sum!;
    await batch.submit();
    numbers.push((await h.data())[0]!, (await g.data())[0]!);
    return numbers;
  };
  const result = await job().catch((e: unknown) => e);
  const held = gpu.ended ? 0 : gpu.counters.bytesHeld - gpu.pool.freeBytes;
  gpu.dispose();
  device.destroy();
  return { result, calls: [...calls], held };
}

/** A job whose n-th call fails may still end well, where the failure is of no consequence. */
async function check(at: number, fault: Fault, name: string): Promise<void> {
  const started = performance.now();
  const { result, held } = await shortJob(at, fault);
  const where = `${fault} at call ${at} (${name})`;
  if (Array.isArray(result)) expect(result, where).toEqual(expected);
  else expect(result, `${where}: ${String(result)}`).toBeInstanceOf(SinterError);
  expect(performance.now() - started, where).toBeLessThan(5000);
  expect(held, where).toBe(0);
}

let names: readonly string[] = [];
beforeAll(async () => {
  const { result, calls } = await shortJob(-1, "throw");
  expect(result).toEqual(expected);
  names = calls;
});

for (const fault of faults) {
  test(`${fault} at any call ends in the right result or a typed error, soon, with nothing held`, async () => {
    for (let at = 0; at < names.length; at++) await check(at, fault, names[at]!);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(unhandled).toEqual([]);
  }, 120_000);
}
