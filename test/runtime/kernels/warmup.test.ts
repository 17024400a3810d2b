import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openDevice } from "../../../src/node/device.ts";
import {
  createRuntime,
  type Gpu,
  type Kernel,
  type KernelRuntime,
  type WarmupEvent,
} from "../../../src/runtime/index.ts";
import { bufferOf, bytesOf, floatsOf } from "../../support/buffers.ts";
import { accumulate, axpy, code, neighbours, rowSum, share, spec, step } from "../../support/hand-kernels.ts";

let gpu: Gpu;
let device: GPUDevice;
let rt: KernelRuntime;
beforeEach(async () => {
  gpu = await openDevice();
  device = gpu.device;
  rt = await createRuntime({ device });
  return () => gpu.dispose();
});
/** The device was never told of an error outside a call. */
afterEach(() => expect(gpu.epoch).toBe(0));

const kernels = [axpy, accumulate, share, neighbours];
/** axpy has two variants, share two steps. */
const texts = 6;

/** A kernel of one text, distinct by `n`, and others for profiles that a device may have. */
const numbered = (n: number, more: Kernel["code"] = {}): Kernel<"y", "n"> => ({
  name: `number${n}`,
  tensors: [spec("y", "write")],
  sizes: ["n"],
  scalars: [],
  count: (d) => d.n!,
  code: { f32: constant(n), ...more },
});
const constant = (n: number, enable = ""): ReturnType<typeof code> =>
  code(step({ bindings: [0], writes: 1, sizes: [], elements: (d) => d.n!, body: `b0[i + a.o0] = ${n}.0;`, enable }));
const broken = (): ReturnType<typeof code> =>
  code(step({ bindings: [0], writes: 1, sizes: [], elements: (d) => d.n!, body: "nonsense;" }));

const value = async (kernel: Kernel<"y", "n">): Promise<number> => {
  const y = bufferOf(device, new Float32Array(4));
  rt.run(kernel, { y }, { n: 4 });
  return (await floatsOf(device, y))[3]!;
};

describe("warmup", () => {
  test("reports every step and ends with done; runs afterwards compile nothing", async () => {
    const events: WarmupEvent[] = [];
    const report = await rt.warmup(kernels, { onProgress: (e) => events.push(e), concurrency: 2 });
    expect(report.kernels).toBe(texts);
    expect(events[0]).toMatchObject({ status: "start", completed: 0, total: 2 * texts });
    expect(events.at(-1)).toMatchObject({ status: "done", completed: 2 * texts, total: 2 * texts });
    for (const status of ["compiling", "compiled", "priming", "primed"]) {
      expect(events.filter((e) => e.status === status)).toHaveLength(texts);
    }
    const counts = events.map((e) => e.completed);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(events.every((e) => e.text.length > 0 && e.elapsedMs >= 0)).toBe(true);
    const x = bufferOf(device, new Float32Array(8));
    rt.run(axpy, { x, y: x, z: bufferOf(device, new Float32Array(8)) }, { n: 7, scale: 1 });
    expect(rt.counters).toMatchObject({ pipelines: texts, latePipelines: 0, dispatches: 1 });
  });

  test("compiles each text once: twice in a list, in several lists at once, in kernels of equal text", async () => {
    const twin = { ...share, name: "twin" };
    await Promise.all([rt.warmup([...kernels, ...kernels]), rt.warmup(kernels), rt.warmup([twin, { kernel: share }])]);
    expect(rt.counters.pipelines).toBe(texts);
    // The sums of rowSum are a step of share, too.
    await rt.warmup([rowSum]);
    expect(rt.counters.pipelines).toBe(texts);
  });

  test("never compiles more at a time than it may", async () => {
    let now = 0;
    let most = 0;
    await rt.warmup(kernels, {
      concurrency: 3,
      onProgress: (e) => {
        if (e.status === "compiling") most = Math.max(most, ++now);
        if (e.status === "primed") now--;
      },
    });
    expect(most).toBe(3);
  });

  for (const status of ["start", "compiling", "compiled", "priming", "primed"] as const) {
    test(`aborted while ${status}, it rejects, reports so last, and can be repeated`, async () => {
      const controller = new AbortController();
      const events: WarmupEvent[] = [];
      const onProgress = (e: WarmupEvent): void => {
        events.push(e);
        if (e.status === status) controller.abort();
      };
      const { signal } = controller;
      await expect(rt.warmup(kernels, { onProgress, signal })).rejects.toMatchObject({ code: "aborted" });
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(events.filter((e) => e.status === "aborted")).toHaveLength(1);
      expect(events.at(-1)?.status).toBe("aborted");
      await expect(rt.warmup(kernels, { signal })).rejects.toMatchObject({ code: "aborted" });
      await rt.warmup(kernels);
      expect(rt.counters.pipelines).toBe(texts);
    });
  }

  test("takes nothing, and refuses what is no list of kernels", async () => {
    const events: WarmupEvent[] = [];
    await rt.warmup([], { onProgress: (e) => events.push(e) });
    expect(events.map((e) => e.status)).toEqual(["start", "done"]);
    const warmup = rt.warmup as (...args: unknown[]) => Promise<unknown>;
    await expect(warmup(axpy)).rejects.toMatchObject({ code: "bad-arguments" });
    await expect(warmup([() => 1])).rejects.toMatchObject({ code: "not-built" });
    await expect(warmup([{ kernel: undefined }])).rejects.toMatchObject({ code: "not-built" });
    await expect(warmup([null])).rejects.toMatchObject({ code: "not-built" });
    await expect(warmup([{ kernel: axpy, dtype: "i8" }])).rejects.toMatchObject({ code: "wrong-dtype" });
    await expect(warmup(kernels, { concurency: 1 })).rejects.toThrow(/"concurrency"/);
    await expect(warmup(kernels, { concurrency: 0 })).rejects.toMatchObject({ code: "bad-option" });
  });

  test("a text that does not compile fails it, last, with the compiler's message", async () => {
    const events: WarmupEvent[] = [];
    const bad = numbered(1, { f32: broken() });
    const failing = rt.warmup([...kernels, bad], { onProgress: (e) => events.push(e) });
    await expect(failing).rejects.toMatchObject({ code: "kernel-compile-failed", message: /number1.*nonsense/s });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(events.filter((e) => e.status === "failed")).toHaveLength(1);
    expect(events.at(-1)?.status).toBe("failed");
    await rt.warmup(kernels);
  });

  test("a listener that throws ends it with its error", async () => {
    const onProgress = (e: WarmupEvent): void => {
      if (e.status === "primed") throw new RangeError("listener");
    };
    await expect(rt.warmup(kernels, { onProgress })).rejects.toMatchObject({ cause: expect.any(RangeError) });
  });
});

describe("profiles", () => {
  const loads = (c: ReturnType<typeof code>) => () => Promise.resolve({ code: c });

  test("the richest that the device has, loaded when it is wanted", async () => {
    const kernel = numbered(1, { "f32-subgroups": loads(constant(2)) });
    const has = device.features.has("subgroups");
    await rt.warmup([kernel]);
    expect(await value(kernel)).toBe(has ? 2 : 1);
    const plain = await createRuntime({ device, features: [] });
    await plain.warmup([kernel]);
    expect(plain.counters.pipelines).toBe(1);
    const y = bufferOf(device, new Float32Array(4));
    plain.run(kernel, { y }, { n: 4 });
    expect((await floatsOf(device, y))[0]).toBe(1);
  });

  test("one that does not compile, or does not load, gives way to the next, with a warning", async () => {
    rt = await createRuntime({ device, features: ["subgroups"] });
    const uncompiled = numbered(1, { "f32-subgroups": loads(broken()) });
    const unloaded = numbered(3, { "f32-subgroups": () => Promise.reject(new TypeError("404")) });
    const empty = numbered(4, { "f32-subgroups": () => Promise.resolve({} as never) });
    const events: WarmupEvent[] = [];
    const report = await rt.warmup([uncompiled, unloaded, empty, axpy], { onProgress: (e) => events.push(e) });
    expect(report.kernels).toBe(5);
    const warnings = events.flatMap((e) => (e.status === "warning" ? [e.error.code] : []));
    expect(warnings.sort()).toEqual(["kernel-compile-failed", "kernel-load-failed", "kernel-load-failed"]);
    expect(events.at(-1)).toMatchObject({ status: "done", completed: 10, total: 10 });
    expect([await value(uncompiled), await value(unloaded), await value(empty)]).toEqual([1, 3, 4]);
    expect(rt.counters.latePipelines).toBe(0);
  });

  test("subgroups that add up wrong give way to the plain texts, with an event a kernel and one warning on the console", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const tested = (n: number) => numbered(n, { "f32-subgroups": loads(constant(n + 10)) });
    const [first, second] = [tested(1), tested(2)];
    rt = await createRuntime({ device, features: ["subgroups"] });
    if (!device.features.has("subgroups")) return;
    await rt.warmup([first]);
    expect(await value(first)).toBe(11);
    expect(warned).not.toHaveBeenCalled();
    using other = await openDevice();
    const faulty = other.device;
    const create = faulty.createShaderModule.bind(faulty);
    faulty.createShaderModule = (d) => create({ ...d, code: d.code.replaceAll("subgroupAdd(", "subgroupMax(") });
    const plain = await createRuntime({ device: faulty, strict: true });
    const events: WarmupEvent[] = [];
    await plain.warmup([first, second], { onProgress: (e) => events.push(e) });
    const warnings = events.flatMap((e) => (e.status === "warning" ? [`${e.kernel} ${e.error.code}`] : []));
    expect(warnings.sort()).toEqual(["number1 feature-faulty", "number2 feature-faulty"]);
    expect(events.at(-1)).toMatchObject({ status: "done", completed: 4, total: 4 });
    expect(warned.mock.calls.map(([text]) => /\[[\w-]+\]/.exec(String(text))?.[0])).toEqual(["[feature-faulty]"]);
    const y = bufferOf(faulty, new Float32Array(4));
    plain.run(second, { y }, { n: 4 });
    expect((await floatsOf(faulty, y))[3]).toBe(2);
    expect(plain.counters).toMatchObject({ pipelines: 2, latePipelines: 0 });
    warned.mockRestore();
  });

  test("what the self-test adds up by is all that the library's texts ask of subgroups", () => {
    const folder = "kernels/generated";
    const texts = readdirSync(folder).filter((f) => /-subgroups.*\.wgsl$/.test(f));
    const used = texts.flatMap((f) => readFileSync(`${folder}/${f}`, "utf8").match(/\bsubgroup[A-Z]\w*/g) ?? []);
    expect([...new Set(used)].sort()).toEqual(["subgroupAdd", "subgroupMax", "subgroupMin"]);
  });

  test("a kernel that has only f16 is meant in f16", async () => {
    const only: typeof axpy = { ...axpy, code: { f16: axpy.code.f16! } };
    const plain = await createRuntime({ device, features: ["subgroups"] });
    await expect(plain.warmup([only])).rejects.toMatchObject({ code: "feature-missing" });
    if (!device.features.has("shader-f16")) return;
    await rt.warmup([only]);
    const [x, y] = [0, 1].map(() => bufferOf(device, Uint16Array.of(0x3c00, 0x3c00)));
    const z = bufferOf(device, new Uint16Array(2));
    rt.run(only, { x: x!, y: y!, z }, { n: 2, scale: 2 });
    expect([...new Uint16Array(await bytesOf(device, z))]).toEqual([0x4200, 0x4200]);
    expect(rt.counters.latePipelines).toBe(0);
  });

  test("f16 without shader-f16 is refused, and says what to ask for", async () => {
    const plain = await createRuntime({ device, features: ["subgroups"] });
    const asked = plain.warmup([{ kernel: axpy, dtype: "f16" }]);
    await expect(asked).rejects.toMatchObject({ code: "feature-missing", message: /requiredFeatures/ });
  });
});

describe("without a warm-up", () => {
  test("a run compiles what is at hand, and counts it", async () => {
    expect(await value(numbered(5))).toBe(5);
    expect(rt.counters).toMatchObject({ pipelines: 1, latePipelines: 1 });
    await rt.warmup([numbered(5)]);
    expect(rt.counters.pipelines).toBe(1);
    const outside = numbered(6, { f32: () => Promise.resolve({ code: constant(6) }) });
    await expect(value(outside)).rejects.toMatchObject({ code: "not-warmed", message: /warmup\(/ });
    await rt.warmup([outside]);
    expect(await value(outside)).toBe(6);
  });

  test("a strict runtime refuses instead", async () => {
    rt = await createRuntime({ device, strict: true });
    await expect(value(numbered(5))).rejects.toMatchObject({ code: "late-pipeline" });
    await rt.warmup([numbered(5)]);
    expect(await value(numbered(5))).toBe(5);
    expect(rt.counters.latePipelines).toBe(0);
  });
});

describe("every wait ends", () => {
  test("when the device is lost, at the first step and at any later one", async () => {
    for (const at of ["start", "compiling", "compiled", "priming", "primed"]) {
      const own = await openDevice();
      const lost = await createRuntime({ device: own.device });
      const events: WarmupEvent[] = [];
      const onProgress = (e: WarmupEvent): void => {
        events.push(e);
        if (e.status === at) own.device.destroy();
      };
      await expect(lost.warmup(kernels, { onProgress })).rejects.toMatchObject({ code: "device-lost" });
      expect(events.at(-1)).toMatchObject({ status: "failed", error: { code: "device-lost" } });
      expect(() => lost.run(axpy, {} as never, {} as never)).toThrow(/device-lost/);
      await expect(lost.warmup([])).rejects.toMatchObject({ code: "device-lost" });
      await expect(createRuntime({ device: own.device })).rejects.toMatchObject({ code: "device-lost" });
      lost.dispose();
    }
  });

  test("when the runtime is disposed; the device lives on", async () => {
    const pending = rt.warmup(kernels);
    rt.dispose();
    rt.dispose();
    await expect(pending).rejects.toMatchObject({ code: "disposed" });
    await expect(rt.warmup(kernels)).rejects.toMatchObject({ code: "disposed" });
    expect(() => rt.run(axpy, {} as never, {} as never)).toThrow(/disposed/);
    using next = await createRuntime({ device });
    await next.warmup(kernels);
  });
});

describe("what a page used", () => {
  const memory = (): {
    get(k: string): string | undefined;
    set(k: string, v: string): void;
    data: Map<string, string>;
  } => {
    const data = new Map<string, string>();
    return { data, get: (k) => data.get(k), set: (k, v) => void data.set(k, v) };
  };
  const order = async (on: KernelRuntime): Promise<string[]> => {
    const compiled: string[] = [];
    const onProgress = (e: WarmupEvent): void => void (e.status === "compiling" && compiled.push(e.kernel));
    await on.warmup([numbered(1), numbered(2), numbered(3)], { onProgress, concurrency: 1 });
    return compiled.map((k) => k.split(" ")[0]!);
  };

  test("is warmed first the next time", async () => {
    const store = memory();
    rt = await createRuntime({ device, store });
    expect(await order(rt)).toEqual(["number1", "number2", "number3"]);
    await value(numbered(3));
    await value(numbered(3));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await order(await createRuntime({ device, store }))).toEqual(["number3", "number1", "number2"]);
  });

  test("alone, if wanted: the rest follows by itself", async () => {
    const store = memory();
    rt = await createRuntime({ device, store });
    const all = [axpy, numbered(1), numbered(2)];
    expect(await rt.warmup(all, { onlyUsed: true })).toMatchObject({ kernels: 4 });
    await value(numbered(2));
    await new Promise((resolve) => setTimeout(resolve, 20));
    rt = await createRuntime({ device, store, strict: true });
    const report = await rt.warmup(all, { onlyUsed: true });
    expect(report.kernels).toBe(1);
    expect(await value(numbered(2))).toBe(2);
    await report.rest;
    expect(rt.counters.pipelines).toBe(4);
    expect(await value(numbered(1))).toBe(1);
  });

  test.each([
    ["damaged text", () => "{"],
    ["another format", () => JSON.stringify({ version: 99, keys: 7 })],
    ["another type", () => ({ keys: [1] })],
    [
      "an error",
      () => {
        throw new Error("private window");
      },
    ],
    ["a rejection", () => Promise.reject(new Error("quota"))],
  ])("does not matter where the store gives %s", async (_, get) => {
    const set = (): never => {
      throw new Error("full");
    };
    rt = await createRuntime({ device, store: { get, set } });
    expect(await order(rt)).toEqual(["number1", "number2", "number3"]);
    expect(await value(numbered(2))).toBe(2);
    await new Promise((resolve) => setTimeout(resolve, 20));
  });
});
