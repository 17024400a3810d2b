import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Gpu, loadManifest, makeTensor, openDevice, type WarmupEvent, warmup } from "../../src/node/runtime.ts";
import { affine, chain, kernel } from "./programs.ts";

let gpu: Gpu;
beforeEach(async () => {
  gpu = await openDevice();
  return () => gpu.dispose();
});

const held = (): number => gpu.counters.bytesHeld - gpu.pool.freeBytes;
const steps = 6;
const kernels = steps + 2;
const program = chain(64, steps);

describe("warmup", () => {
  test("reports every step and ends with done; a load afterwards compiles nothing", async () => {
    const events: WarmupEvent[] = [];
    const report = await warmup(gpu, program, { onProgress: (e) => events.push(e), concurrency: 2 });
    expect(report.kernels).toBe(kernels);
    expect(events[0]).toMatchObject({ status: "start", completed: 0, total: 2 * kernels });
    expect(events.at(-1)).toMatchObject({ status: "done", completed: 2 * kernels, total: 2 * kernels });
    for (const status of ["compiling", "compiled", "priming", "primed"]) {
      expect(events.filter((e) => e.status === status)).toHaveLength(kernels);
    }
    const counts = events.map((e) => e.completed);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(events.every((e) => e.text.length > 0 && e.elapsedMs >= 0)).toBe(true);
    expect(gpu.counters.pipelines).toBe(kernels);
    expect(gpu.counters.dispatches).toBe(0);
    expect(held()).toBe(0);
    gpu.counters.reset();
    using session = await loadManifest(gpu, program, { strict: true });
    expect(gpu.counters).toMatchObject({ pipelines: 0, buffers: 0 });
    expect((await (await session.run({ x: new Float32Array(64) })).y!.data())[5]).toBe(15 + 20);
  });

  test("concurrent requests for one kernel share its compilation", async () => {
    await Promise.all([warmup(gpu, program), warmup(gpu, program), loadManifest(gpu, program)]);
    expect(gpu.counters.pipelines).toBe(kernels);
    expect(gpu.pipelines.size).toBe(kernels);
  });

  test("never compiles more at a time than it may", async () => {
    let now = 0;
    let most = 0;
    await warmup(gpu, program, {
      concurrency: 3,
      onProgress: (e) => {
        if (e.status === "compiling") most = Math.max(most, ++now);
        if (e.status === "compiled") now--;
      },
    });
    expect(most).toBe(3);
  });

  for (const status of ["start", "compiling", "compiled", "priming", "primed"] as const) {
    test(`aborted while ${status}, it rejects, reports so last, and holds nothing`, async () => {
      const controller = new AbortController();
      const events: WarmupEvent[] = [];
      const onProgress = (e: WarmupEvent): void => {
        events.push(e);
        if (e.status === status) controller.abort();
      };
      await expect(warmup(gpu, program, { onProgress, signal: controller.signal })).rejects.toMatchObject({
        code: "aborted",
      });
      await gpu.idle();
      expect(events.at(-1)?.status).toBe("aborted");
      expect(events.filter((e) => e.status === "aborted")).toHaveLength(1);
      expect(held()).toBe(0);
      using session = await loadManifest(gpu, program);
      expect((await (await session.run({ x: new Float32Array(64) })).y!.data())[5]).toBe(35);
    });
  }

  test("one broken kernel among good ones: the last event is failed, and it names the kernel", async () => {
    const broken = { ...program.kernels[3]!, key: "f".repeat(64), wgsl: "nonsense", label: "broken one" };
    const kernelsWith = program.kernels.map((k, i) => (i === 3 ? broken : k));
    const events: WarmupEvent[] = [];
    const failing = warmup(gpu, { ...program, kernels: kernelsWith }, { onProgress: (e) => events.push(e) });
    await expect(failing).rejects.toThrow(/broken one/);
    const count = events.length;
    await gpu.idle();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(events).toHaveLength(count);
    expect(events.at(-1)).toMatchObject({ status: "failed", error: { code: "kernel-compile-failed" } });
    expect(gpu.pipelines.has(broken)).toBe(false);
  });

  test("a listener that throws ends it with its error, without a leak", async () => {
    const onProgress = (e: WarmupEvent): void => {
      if (e.status === "primed") throw new RangeError("listener");
    };
    await expect(warmup(gpu, program, { onProgress })).rejects.toMatchObject({ cause: expect.any(RangeError) });
    expect(held()).toBe(0);
  });
});

describe("strict", () => {
  const late = kernel("latecomer", ["read", "read_write"], "b1[i] = b0[i] - 1.0;");

  test("while a strict session lives, a late pipeline is an error that names the kernel", async () => {
    const session = await loadManifest(gpu, program, { strict: true });
    await expect(gpu.pipelines.get({ ...late, place: "app.ts:3" })).rejects.toThrow(/latecomer \(app\.ts:3\)/);
    await expect(loadManifest(gpu, chain(64, steps + 1))).rejects.toMatchObject({ code: "late-pipeline" });
    expect(gpu.counters.latePipelines).toBe(0);
    await warmup(gpu, chain(64, steps + 1));
    (await loadManifest(gpu, chain(64, steps + 1))).dispose();
    (await loadManifest(gpu, chain(64, steps + 2), { strict: true })).dispose();
    await expect(gpu.pipelines.get(late)).rejects.toMatchObject({ code: "late-pipeline" });
    session.dispose();
    await gpu.pipelines.get(late);
    expect(gpu.counters.latePipelines).toBe(1);
  });

  test("a strict load that fails leaves the device as it was", async () => {
    await expect(loadManifest(gpu, program, { strict: true, weights: { q: 1 } })).rejects.toMatchObject({
      code: "extra-input",
    });
    await gpu.pipelines.get(late);
  });
});

test("a load whose weight is gone by the time it is bound fails, and leaves nothing behind", async () => {
  const w = await makeTensor(gpu, new Float32Array(8), { dtype: "f32", shape: [8] });
  const onProgress = ({ status }: WarmupEvent): void => {
    if (status === "start") w.dispose();
  };
  await expect(loadManifest(gpu, affine(8), { weights: { w }, onProgress })).rejects.toMatchObject({
    code: "disposed",
  });
  // What was compiling then is nobody's: an error of it would be an unhandled rejection.
  gpu.dispose();
  expect(held()).toBe(0);
});

describe("adapters", () => {
  let base: Gpu;
  beforeAll(async () => {
    base = await openDevice({ profile: "base" });
  });
  afterAll(() => base.dispose());

  test("a profile is asked for exactly", async () => {
    expect(base.capabilities).toMatchObject({ name: "base", features: { f16: false, subgroups: false } });
    expect(base.device.limits.maxStorageBuffersPerShaderStage).toBe(8);
    expect(base.device.limits.maxComputeWorkgroupStorageSize).toBe(16384);
    expect(base.device.features.has("subgroups")).toBe(false);
  });

  test("Dawn's null backend compiles and runs nothing", async () => {
    const none = await openDevice({ adapter: "null" });
    const session = await loadManifest(none, program);
    const { y } = await session.run({ x: new Float32Array(64) });
    expect(await y!.data()).toHaveLength(64);
    expect(none.capabilities.software).toBe(false);
    none.dispose();
  });
});
