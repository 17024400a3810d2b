import { beforeEach, describe, expect, test } from "vitest";
import type { Manifest } from "../../src/manifest/manifest.ts";
import { type ManifestSet, makeManifestSet } from "../../src/manifest/set.ts";
import { compile, dim, f32, profiles } from "../../src/node/index.ts";
import {
  type Gpu,
  loadManifest,
  openDevice,
  type UsageStore,
  type WarmupEvent,
  warmup,
} from "../../src/node/runtime.ts";
import { affine, chain, kernel, ManifestBuilder } from "./programs.ts";

let gpu: Gpu;
beforeEach(async () => {
  gpu = await openDevice();
  return () => gpu.dispose();
});

const held = (): number => gpu.counters.bytesHeld - gpu.pool.freeBytes;

/** y = x + n: a text of its own for every n. */
function shift(n: number): Manifest {
  const m = new ManifestBuilder();
  const x = m.port("inputs", "x", "f32", [n]);
  const y = m.port("outputs", "y", "f32", [n]);
  m.dispatch(kernel(`shift by ${n}`, ["read", "read_write"], `b1[i] = b0[i] + ${n}.0;`), [x, y], n);
  return m.build();
}

const sizes = [4, 8, 16];
const shifts = makeManifestSet(sizes.map((n) => ({ dims: { n }, manifest: shift(n) })));

const compiledOrder = (events: readonly WarmupEvent[]): string[] =>
  events.flatMap((e) => (e.status === "compiling" ? [e.kernel] : []));
const primedOrder = (events: readonly WarmupEvent[]): string[] =>
  events.flatMap((e) => (e.status === "primed" ? [e.kernel] : []));

function memoryStore(): UsageStore & { readonly values: Map<string, unknown> } {
  const values = new Map<string, unknown>();
  return {
    values,
    get: (key) => values.get(key),
    set: (key, value) => values.set(key, value),
  };
}

describe("a manifest of several sizes", () => {
  test("kernels that sizes share are compiled once; a load afterwards compiles nothing", async () => {
    const set = makeManifestSet([64, 128, 256].map((n) => ({ dims: { n }, manifest: chain(n, 3) })));
    expect(set.kernels).toHaveLength(5);
    const events: WarmupEvent[] = [];
    const report = await warmup(gpu, set, { onProgress: (e) => events.push(e) });
    expect(report).toMatchObject({ kernels: 5, used: 0 });
    expect(gpu.counters.pipelines).toBe(5);
    expect(events.at(-1)).toMatchObject({ status: "done", completed: 10, total: 10 });
    expect(held()).toBe(0);
    gpu.counters.reset();
    for (const n of [128, 64]) {
      using session = await loadManifest(gpu, set, { dims: { n }, strict: true });
      const { y } = await session.run({ x: new Float32Array(n) });
      expect(Array.from((await y!.data()).slice(-1))).toEqual([0 + 1 + 2 + 20]);
      expect(y!.shape).toEqual([n]);
    }
    expect(gpu.counters.pipelines).toBe(0);
  });

  test("every size is primed with memory of its own, and only one at a time holds it", async () => {
    const events: WarmupEvent[] = [];
    await warmup(gpu, shifts, { onProgress: (e) => events.push(e) });
    expect(primedOrder(events)).toEqual(sizes.map((n) => `shift by ${n}`));
    expect(gpu.counters.pipelines).toBe(3);
    for (const n of sizes) {
      using session = await loadManifest(gpu, shifts, { dims: { n } });
      expect(await (await session.run({ x: new Float32Array(n) })).y!.data()).toEqual(new Float32Array(n).fill(n));
    }
    expect(gpu.counters.latePipelines).toBe(0);
    expect(gpu.counters.pipelines).toBe(3);
  });

  test("a program with dims: its manifests of a list of sizes, warmed, then loaded by sizes", async () => {
    const T = dim("T");
    const program = compile({ x: f32(T, 8) }, ({ x }) => x.softmax({ axis: -1 }));
    const set = program.manifest({ dims: [{ T: 1 }, { T: 16 }, { T: 1 }], capabilities: gpu.capabilities });
    expect(set.programs.map((p) => p.dims)).toEqual([{ T: 1 }, { T: 16 }]);
    const kept = await warmup(gpu, set);
    expect(kept.kernels).toBe(set.kernels.length);
    gpu.counters.reset();
    for (const rows of [1, 16]) {
      const session = await program.load(gpu, { dims: { T: rows }, strict: true });
      const out = await (await session.run({ x: new Float32Array(rows * 8) })).data();
      expect(Array.from(out)).toEqual(Array(rows * 8).fill(0.125));
      session.dispose();
    }
    expect(gpu.counters.pipelines).toBe(0);
    expect(program.manifest({ dims: { T: 16 } })).not.toHaveProperty("programs");
    const refuse =
      (dims: never): unknown =>
      () =>
        program.manifest({ dims });
    expect(refuse([] as never)).toThrow(expect.objectContaining({ code: "bad-option" }));
    expect(refuse([{ T: 1 }, {}] as never)).toThrow(expect.objectContaining({ code: "unbound-dim" }));
    expect(refuse([{ T: 1, U: 2 }] as never)).toThrow(expect.objectContaining({ code: "unknown-dim" }));
    expect(refuse([{ T: -1 }] as never)).toThrow(expect.objectContaining({ code: "bad-dim" }));
    expect(program.manifest({ dims: [{ T: 2 }], capabilities: profiles.base }).programs).toHaveLength(1);
  });

  test("a load says which sizes there are", async () => {
    const refused = (dims: Record<string, number> | undefined, m: Manifest | ManifestSet = shifts): Promise<unknown> =>
      loadManifest(gpu, m, { dims }).catch((e: unknown) => e);
    expect(await refused(undefined)).toMatchObject({
      code: "unbound-dim",
      message: expect.stringMatching(/n = 4; n = 8/),
    });
    expect(await refused({ n: 5 })).toMatchObject({ code: "unbound-dim", message: expect.stringMatching(/n = 5/) });
    expect(await refused({ N: 4 })).toMatchObject({
      code: "unknown-dim",
      message: expect.stringMatching(/did you mean "n"/),
    });
    expect(await refused({ toString: 4 })).toMatchObject({ code: "unknown-dim" });
    expect(await refused({ n: 4 }, affine(8))).toMatchObject({ code: "bad-option" });
    expect(held()).toBe(0);
    const single = makeManifestSet([{ dims: { n: 4 }, manifest: shift(4) }]);
    (await loadManifest(gpu, single)).dispose();
  });

  test("aborted between two sizes, it holds nothing", async () => {
    const controller = new AbortController();
    let primed = 0;
    const onProgress = (e: WarmupEvent): void => {
      if (e.status === "primed" && ++primed === 2) controller.abort();
    };
    await expect(warmup(gpu, shifts, { onProgress, signal: controller.signal })).rejects.toMatchObject({
      code: "aborted",
    });
    await gpu.idle();
    expect(held()).toBe(0);
  });
});

describe("store", () => {
  const orderWith = async (store: UsageStore): Promise<{ compiled: string[]; primed: string[]; used: number }> => {
    const events: WarmupEvent[] = [];
    const fresh = await openDevice();
    const { used } = await warmup(fresh, shifts, { store, concurrency: 1, onProgress: (e) => events.push(e) });
    fresh.dispose();
    return { compiled: compiledOrder(events), primed: primedOrder(events), used };
  };

  test("what was loaded comes first the next time", async () => {
    const store = memoryStore();
    expect((await orderWith(store)).compiled).toEqual(["shift by 4", "shift by 8", "shift by 16"]);
    expect(store.values.size).toBe(0);
    (await loadManifest(gpu, shifts, { dims: { n: 16 }, store })).dispose();
    const last = ["shift by 16", "shift by 4", "shift by 8"];
    expect(await orderWith(store)).toEqual({ compiled: last, primed: last, used: 1 });
    (await loadManifest(gpu, shifts, { dims: { n: 8 }, store })).dispose();
    const newest = ["shift by 8", "shift by 16", "shift by 4"];
    expect(await orderWith(store)).toEqual({ compiled: newest, primed: newest, used: 2 });
  });

  test("a program's own load keeps what it used; stores may be asynchronous, and writers do not lose each other", async () => {
    const inner = memoryStore();
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
    const store: UsageStore = {
      get: (key) => pause().then(() => inner.get(key)),
      set: (key, value) => pause().then(() => inner.set(key, value)),
    };
    const loads = await Promise.all(sizes.slice(0, 2).map((n) => loadManifest(gpu, shifts, { dims: { n }, store })));
    for (const s of loads) s.dispose();
    const program = compile({ x: f32(4) }, ({ x }) => x.mul(3));
    (await program.load(gpu, { store })).dispose();
    expect((await orderWith(store)).used).toBe(2);
    const [text] = inner.values.values();
    expect((JSON.parse(text as string) as { keys: string[] }).keys).toHaveLength(3);
  });

  const key = "a".repeat(64);
  test.each([
    ["nothing", undefined],
    ["null", null],
    ["another page's value", { theme: "dark" }],
    ["a number", 42],
    ["text that is not JSON", "{"],
    ["JSON of something else", '"x"'],
    ["JSON null", "null"],
    ["another version", JSON.stringify({ version: 9, keys: [key] })],
    ["keys that are no list", JSON.stringify({ version: 1, keys: { 0: key } })],
    ["keys that are no keys", JSON.stringify({ version: 1, keys: [1, null, "constructor", "__proto__", {}, key] })],
    ["__proto__", '{"__proto__":{"version":1,"keys":[]}}'],
    ["too much", JSON.stringify({ version: 1, keys: Array(1e4).fill(key) })],
  ])("%s in it changes nothing, and is replaced", async (_, value) => {
    const store = memoryStore();
    const spoiled: UsageStore = { ...store, get: (k) => store.values.get(k) ?? value };
    expect(await orderWith(spoiled)).toMatchObject({ compiled: sizes.map((n) => `shift by ${n}`), used: 0 });
    (await loadManifest(gpu, shifts, { dims: { n: 8 }, store: spoiled })).dispose();
    expect(await orderWith(spoiled)).toMatchObject({ used: 1 });
  });

  test("one that throws, rejects or never answers costs the order alone", async () => {
    const broken: UsageStore[] = [
      {
        get() {
          throw new Error("blocked");
        },
        set() {
          throw new Error("full");
        },
      },
      { get: () => Promise.reject(new Error("blocked")), set: () => Promise.reject(new Error("full")) },
      { get: () => new Promise(() => undefined), set: () => new Promise(() => undefined) },
    ];
    for (const store of broken) {
      (await loadManifest(gpu, shifts, { dims: { n: 8 }, store })).dispose();
      expect((await orderWith(store)).used).toBe(0);
    }
  });

  test("it must be a store", async () => {
    await expect(warmup(gpu, shifts, { store: {} as never })).rejects.toMatchObject({ code: "bad-option" });
    await expect(loadManifest(gpu, shifts, { store: "idb" as never })).rejects.toMatchObject({ code: "bad-option" });
  });
});
