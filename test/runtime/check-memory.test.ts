import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import { GraphBuilder, makeGraph } from "../../src/ir/graph.ts";
import { kernelKey } from "../../src/manifest/key.ts";
import type { Manifest } from "../../src/manifest/manifest.ts";
import { openDevice } from "../../src/node/device.ts";
import type { Gpu } from "../../src/runtime/gpu.ts";
import { loadManifest } from "../../src/runtime/session.ts";

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openDevice({ checkMemory: true });
});
afterAll(() => gpu.dispose());

/** y = (x @ x) @ x @ x: two intermediates in shared memory, one after the other. */
function products(): Manifest {
  const b = new GraphBuilder();
  const x = b.input("x", { dtype: "f32", shape: [6, 6] });
  let y = b.add("matmul", [x, x]);
  for (let i = 0; i < 3; i++) y = b.add("matmul", [y, x]);
  return compileGraph(makeGraph([x], [{ name: "y", node: y }]), gpu.capabilities, { guard: 256 }).manifest;
}

const run = async (m: Manifest, times = 1): Promise<number[][]> => {
  const session = await loadManifest(gpu, m);
  try {
    const out: number[][] = [];
    for (let i = 0; i < times; i++) {
      const { y } = await session.run({ x: Float32Array.from({ length: 36 }, (_, k) => (k % 7) / 8) });
      out.push([...(await y!.data())]);
    }
    return out;
  } finally {
    session.dispose();
  }
};

test("a right program gives the same, run after run", async () => {
  const [first, second] = await run(products(), 2);
  expect(first!.every(Number.isFinite)).toBe(true);
  expect(second).toEqual(first);
});

test("an abort after the submit leaves the run its results; one before it makes no buffer", async () => {
  const session = await loadManifest(gpu, products());
  const x = new Float32Array(36);
  (await session.run({ x })).y!.dispose();
  const late = new AbortController();
  const running = session.run({ x }, { signal: late.signal });
  late.abort();
  const { y } = await running;
  expect([...(await y!.data())]).toEqual([...x]);
  y!.dispose();
  const create = vi.spyOn(gpu.device, "createBuffer");
  const early = session.run({ x }, { signal: AbortSignal.abort() });
  await expect(early).rejects.toMatchObject({ code: "aborted" });
  expect(create).not.toHaveBeenCalled();
  create.mockRestore();
  session.dispose();
});

const changed = (m: Manifest, change: (wgsl: string) => string): Manifest => ({
  ...m,
  kernels: m.kernels.map((k) => {
    const wgsl = change(k.wgsl);
    expect(wgsl).not.toBe(k.wgsl);
    return { ...k, wgsl, key: kernelKey({ ...k, wgsl }) };
  }),
});

test("a kernel that writes beyond its result fails the run", async () => {
  const m = products();
  const last = (wgsl: string): string => {
    const [, b] = /var<storage, read_write> (\w+)/.exec(wgsl) as RegExpExecArray;
    return wgsl.replace(/}\s*$/, `  ${b}[arrayLength(&${b}) - 1u] = ${b}[0];\n}\n`);
  };
  await expect(run(changed(m, last))).rejects.toMatchObject({ code: "memory-damaged" });
});

test("reading memory after it was freed gives NaN", async () => {
  const m = products();
  // As if the first intermediate were over before the second dispatch reads it.
  const spans = m.spans.map((s) => (s.first === 0 ? { ...s, last: 0 } : s));
  const [y] = await run({ ...m, spans });
  expect(y!.every(Number.isNaN)).toBe(true);
});
