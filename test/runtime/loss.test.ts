import { afterEach, expect, test } from "vitest";
import { type Gpu, loadManifest, openDevice, type WarmupEvent, warmup } from "../../src/node/runtime.ts";
import { accumulator, affine, affineOf, chain } from "./programs.ts";

const ramp = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => i);
const opened: Gpu[] = [];
const open = async (): Promise<Gpu> => {
  const gpu = await openDevice({ timeoutMs: 20_000 });
  opened.push(gpu);
  return gpu;
};
afterEach(() => {
  for (const g of opened.splice(0)) g.dispose();
});

const lost = { name: "SinterError", code: "device-lost" };

test("after a loss every call rejects with device-lost", async () => {
  const gpu = await open();
  const session = await loadManifest(gpu, accumulator(8, true), { state: { total: ramp(8) } });
  const { sum } = await session.run({ x: ramp(8) });
  const batch = gpu.batch();
  const handle = batch.run(session, { x: ramp(8) }).sum!;
  gpu.device.destroy();
  await gpu.lost;
  await expect(session.run({ x: ramp(8) })).rejects.toMatchObject(lost);
  await expect(sum!.data()).rejects.toMatchObject(lost);
  await expect(session.state.total!.data()).rejects.toMatchObject(lost);
  await expect(session.setState({ total: ramp(8) })).rejects.toMatchObject(lost);
  await expect(batch.submit()).rejects.toMatchObject(lost);
  await expect(handle.data()).rejects.toMatchObject({ code: "not-submitted" });
  await expect(loadManifest(gpu, affine(8), { weights: { w: ramp(8) } })).rejects.toMatchObject(lost);
  await expect(warmup(gpu, affine(8))).rejects.toMatchObject(lost);
  await expect(gpu.idle()).rejects.toMatchObject(lost);
  expect(() => gpu.batch()).toThrow(expect.objectContaining(lost));
  expect(() => session.dispose()).not.toThrow();
});

test("calls that are pending when the device goes reject too", async () => {
  const gpu = await open();
  const session = await loadManifest(gpu, affine(4096), { weights: { w: ramp(4096) } });
  const { y } = await session.run({ x: ramp(4096), s: 1 });
  const pending = [
    y!.data(),
    gpu.idle(),
    loadManifest(gpu, chain(64, 4)),
    session.run({ x: ramp(4096), s: 2 }).then((r) => r.y!.data()),
  ];
  gpu.device.destroy();
  for (const p of pending) await expect(p).rejects.toMatchObject(lost);
});

for (const status of ["start", "compiling", "compiled", "priming", "primed"] as const) {
  test(`lost while a warm-up is ${status}, the warm-up fails and says so last`, async () => {
    const gpu = await open();
    const events: WarmupEvent[] = [];
    const onProgress = (e: WarmupEvent): void => {
      events.push(e);
      if (e.status === status) gpu.device.destroy();
    };
    await expect(warmup(gpu, chain(64, 3), { onProgress })).rejects.toMatchObject(lost);
    expect(events.at(-1)).toMatchObject({ status: "failed", error: lost });
  });
}

test("a new device takes over with the same numbers, again and again", async () => {
  let total: Float32Array = new Float32Array(8);
  for (let round = 0; round < 10; round++) {
    const gpu = await open();
    const session = await loadManifest(gpu, accumulator(8, round % 2 === 0), { state: { total } });
    await session.run({ x: ramp(8) });
    total = (await session.state.total!.data()) as Float32Array;
    const doomed = session.run({ x: ramp(8) }).then((r) => r.sum!.data());
    gpu.device.destroy();
    await expect(doomed).rejects.toMatchObject(lost);
  }
  expect([...total]).toEqual(affineOf(ramp(8), new Float32Array(8).fill(10), 0));
});
