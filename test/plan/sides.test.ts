import { expect, test } from "vitest";
import { compile, f16, f32, matmul, profiles, relu, valueAndGrad } from "../../src/index.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { planned, replay } from "./replay.ts";

/** A perceptron's gradients: products that read what other products and kernels wrote, forwards and backwards. */
function perceptron(spec: typeof f32 | typeof f16) {
  const sizes = [256, 512, 384, 128, 256];
  const params = sizes.slice(1).map((n, i) => spec(sizes[i] as number, n));
  return compile({ x: spec(256, 256), params }, ({ x, params }) => {
    const last = (p: typeof params) => p.reduce((y, w) => relu(matmul(y, w)), x);
    return valueAndGrad((p: typeof params) => last(p).cast("f32").sum())(params).grad;
  }).graph;
}

/** Products of two passing tensors, and how many of those are bound for writing where they are only read. */
function products(spec: typeof f32 | typeof f16, capabilities: Capabilities) {
  const made = planned(perceptron(spec), capabilities, "profit");
  expect(replay(made, made.manifest)).toEqual([]);
  const passing = new Set(made.manifest.buffers.flatMap((b, i) => (b.role === "scratch" ? [i] : [])));
  const regions = made.plan.main.flat().filter(({ region }) => region.anchors.some((n) => n.op === "matmul"));
  const read = regions.map(({ region, windows }) =>
    (region.slots ?? []).filter((s, i) => !s.output && passing.has(windows[i]?.buffer as number)),
  );
  const { leastBytes, buffers } = made.manifest;
  return {
    read: read.flat().length,
    writable: read.flat().filter((s) => s.access === "read_write").length,
    growth: buffers.reduce((n, b) => n + b.size, 0) / leastBytes,
  };
}

test("products read from another arena than they write to, for hardly more memory", () => {
  const { read, writable, growth } = products(f32, profiles.base);
  expect(read).toBeGreaterThan(6);
  // What relu's gradient reads for each result may lie where the result does.
  expect(writable).toBeLessThanOrEqual(read / 4);
  expect(growth).toBeLessThan(1.1);
});

test("products by subgroup matrices may read from the arena that they write to", () => {
  expect(products(f16, profiles.h200).writable).toBeGreaterThan(0);
});
