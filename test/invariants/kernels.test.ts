import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import {
  attention,
  compile,
  concat,
  cumSum,
  f32,
  gather,
  i32,
  layerNorm,
  matmul,
  scatterAdd,
  softmax,
  split,
  sum,
  type Tensor,
} from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { kernelKey, toolchainVersion } from "../../src/manifest/key.ts";
import type { Capabilities, KernelSpec } from "../../src/manifest/manifest.ts";
import { openDevice } from "../../src/node/runtime.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { sharedGpu } from "../support/gpu.ts";
import { programs } from "../support/programs.ts";
import { difference } from "../support/values.ts";
import { compiledFor, largeCases } from "../wgsl/kernels.ts";
import { load, rampInputs, runOnce } from "./run.ts";

const gpu = sharedGpu();

describe("4. names never reach WGSL", () => {
  const names = [
    "fn",
    "var",
    "let",
    "array",
    "f32",
    "main",
    "b0",
    "lid",
    "group",
    "x*/ y[0]=666; /*",
    "// y",
    "a\nb",
    "a\u2028b",
    "\u0000",
    "🙂",
    "__proto__x",
    "constructor",
    "toString",
    "hasOwnProperty",
    "valueOf",
    "'\"`",
    "$" + "{x}",
    "@compute",
    "}",
    "_",
    "x".repeat(10_000),
  ];

  test("inputs and outputs named with WGSL's words, comment marks, line ends, emoji and Object's members", async () => {
    const programOf = (named: readonly string[]) =>
      compile(Object.fromEntries(named.map((name) => [name, f32(3)])), (xs) =>
        Object.fromEntries(
          named.map((name, i) => [name, (xs[name] as Tensor).mul(i + 1).add(xs[named[0]!] as Tensor)]),
        ),
      );
    const session = await programOf(names).load(gpu());
    const plain = compileGraph(programOf(names.map((_, i) => `n${i}`)).graph, gpu().capabilities).manifest;
    const texts = session.inner.manifest.kernels.map((k) => k.wgsl);
    expect(texts).toEqual(plain.kernels.map((k) => k.wgsl));
    // Nor do labels, places or anything else: comments could not hold them safely.
    for (const text of texts) expect(text).not.toMatch(/\/\*|\*\/|\/\/|[^\x20-\x7e\n]/);
    const values = Object.fromEntries(names.map((name, i) => [name, Float32Array.of(i, 1, -2)]));
    const results = await session.run(values);
    for (const [i, name] of names.entries()) {
      const expected = [i * (i + 1) + 0, i + 2, -2 * (i + 1) - 2];
      expect([...(await results[name]!.data())], JSON.stringify(name.slice(0, 40))).toEqual(expected);
    }
    session.dispose();
  });

  test("__proto__ as an own key is an input like any other", async () => {
    const specs = JSON.parse('{ "__proto__": 0, "constructor": 0 }') as Record<string, unknown>;
    for (const key of Object.keys(specs)) Object.defineProperty(specs, key, { value: f32(2), enumerable: true });
    const program = compile(specs as Record<string, ReturnType<typeof f32>>, (xs) =>
      Object.values(xs).reduce((a, b) => a.sub(b)),
    );
    const session = await program.load(gpu());
    const values = JSON.parse('{ "__proto__": [5, 6], "constructor": [1, 2] }') as Record<string, number[]>;
    expect([...(await (await session.run(values)).data())]).toEqual([4, 4]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    session.dispose();
  });
});

describe("5. the cache key is a hash of the final WGSL, the layout and the toolchain version", () => {
  const kernel: KernelSpec = {
    key: "",
    label: "a",
    wgsl: "fn main() {}",
    entryPoint: "main",
    bindings: ["read", "read_write"],
    workgroupSize: [64, 1, 1],
    requires: { f16: false, subgroups: false, workgroupBytes: 0 },
  };

  test("everything that makes a pipeline counts, and nothing else", () => {
    const requires = kernel.requires;
    const others: readonly Partial<KernelSpec>[] = [
      { wgsl: "fn main() { }" },
      { wgsl: "fn main() {}\n" },
      { entryPoint: "other" },
      { bindings: ["read_write", "read"] },
      { bindings: ["read"] },
      { workgroupSize: [64, 1, 2] },
      { workgroupSize: [6, 41, 1] },
      { requires: { ...requires, f16: true } },
      { requires: { ...requires, subgroups: true } },
      { requires: { ...requires, workgroupBytes: 4 } },
    ];
    const keys = [kernel, ...others.map((o) => ({ ...kernel, ...o }))].map(kernelKey);
    expect(new Set(keys).size).toBe(keys.length);
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(kernelKey({ ...kernel, label: "b", place: "c:1" } as KernelSpec)).toBe(keys[0]);
  });

  test("the toolchain version and the whole text are hashed", () => {
    const fields = [toolchainVersion, "main", kernel.bindings, [64, 1, 1], false, false, 0, kernel.wgsl];
    expect(kernelKey(kernel)).toBe(createHash("sha256").update(JSON.stringify(fields)).digest("hex"));
  });

  test("over every program and device: one key is one text and layout, and the other way round", () => {
    const byKey = new Map<string, string>();
    const byText = new Map<string, string>();
    for (const c of [profiles.base, profiles.f16, { ...profiles.base, software: true }, gpu().capabilities]) {
      for (const { manifest } of compiledFor(c, { cases: programs })) {
        for (const k of manifest.kernels) {
          const text = JSON.stringify([k.wgsl, k.bindings, k.workgroupSize, k.requires]);
          expect(k.key).toBe(kernelKey(k));
          expect(byKey.get(k.key) ?? text).toBe(text);
          expect(byText.get(text) ?? k.key).toBe(k.key);
          byKey.set(k.key, text);
          byText.set(text, k.key);
        }
      }
    }
    expect(byKey.size).toBeGreaterThan(150);
  });

  test("constants that print alike make kernels that differ", () => {
    const close = [1000015, 1000015.0625, 1000025, 0.1, 0.10000000894069672, 1e-40, 2e-40, 0, -0, 1e30, Infinity];
    const keys = close.map((c) => {
      const { manifest } = compileGraph(compile({ x: f32(64) }, ({ x }) => x.max(c)).graph, profiles.base);
      return manifest.kernels[0]?.key;
    });
    expect(new Set(keys).size).toBe(close.length);
  });

  test("kernels of one text share a pipeline, between programs and inside one", async () => {
    const own = await openDevice();
    const block = (x: Tensor): Tensor => softmax(x.mul(0.5));
    const first = await compile({ a: f32(8, 32) }, ({ a }) => block(a)).load(own);
    expect(own.counters.pipelines).toBe(1);
    const second = await compile({ other: f32(8, 32) }, ({ other }) => ({ renamed: block(other) })).load(own);
    expect(own.counters.pipelines).toBe(1);
    const twice = await compile({ x: f32(8, 8), w: f32(8, 8) }, ({ x, w }) => matmul(matmul(matmul(x, w), w), w)).load(
      own,
    );
    expect(twice.inner.manifest.dispatches).toHaveLength(3);
    // The first product reads its operands in another order.
    expect(own.counters.pipelines).toBe(3);
    await Promise.all([1, 2, 3].map(() => compile({ x: f32(9, 9) }, ({ x }) => x.exp()).load(own)));
    expect(own.counters.pipelines).toBe(4);
    for (const s of [first, second, twice]) s.dispose();
    own.dispose();
  });
});

describe("7. the adapter's limits bind the planner", () => {
  // Every program's kernels and dispatches are held against the limits in test/wgsl/null.test.ts.
  test("more than 65,535 workgroups become two dimensions", () => {
    for (const c of largeCases.filter((l) => l.name.includes("beyond 65,535"))) {
      for (const software of [false, true]) {
        const { manifest } = compileGraph(c.graph, { ...profiles.base, software });
        for (const d of manifest.dispatches) for (const n of d.workgroups) expect(n).toBeLessThanOrEqual(65535);
        const total = Math.max(...manifest.dispatches.map((d) => d.workgroups[0] * d.workgroups[1] * d.workgroups[2]));
        if (!software) expect(total, c.name).toBeGreaterThan(65535);
      }
    }
  });

  /** As little as a device may offer along a dimension, so that small programs need two. */
  const narrow = (c: Capabilities): Capabilities => ({
    ...c,
    name: "narrow",
    limits: { ...c.limits, maxComputeWorkgroupsPerDimension: 7 },
  });
  const folded = {
    elementwise: compile({ x: f32(64 * 4 * 15 + 4) }, ({ x }) => x.mul(2).add(1)),
    rows: compile({ x: f32(1500, 5) }, ({ x }) => softmax(x)),
    "long rows": compile({ x: f32(500, 8) }, ({ x }) => layerNorm(x)),
    columns: compile({ x: f32(40, 2000) }, ({ x }) => sum(x, { axes: 0 })),
    matmul: compile({ a: f32(64, 12), b: f32(12, 96) }, ({ a, b }) => matmul(a, b).add(1)),
    attention: compile({ q: f32(3, 200, 4), k: f32(3, 9, 4), v: f32(3, 9, 4) }, ({ q, k, v }) =>
      attention(q, k, v, { scale: 0.5 }),
    ),
    scan: compile({ x: f32(1000, 4) }, ({ x }) => cumSum(x)),
    scatter: compile({ x: f32(1000), i: i32(5), u: f32(5) }, ({ x, i, u }) => scatterAdd(x, i, u)),
    gather: compile({ x: f32(8, 100), i: i32(40) }, ({ x, i }) => gather(x, i)),
  };
  test.each(Object.entries(folded))("%s in two dimensions computes the same", async (name, { graph }) => {
    // The GPU's variants of the two are long texts: slow to compile for an adapter that computes on the CPU.
    const both = name !== "matmul" && name !== "attention";
    for (const software of both ? [true, false] : [true]) {
      const { manifest } = compileGraph(graph, narrow({ ...gpu().capabilities, software }));
      for (const d of manifest.dispatches) for (const n of d.workgroups) expect(n).toBeLessThanOrEqual(7);
      if (software) expect(Math.max(...manifest.dispatches.map((d) => d.workgroups[1]))).toBeGreaterThan(1);
      const inputs = rampInputs(graph);
      const session = await load(gpu(), manifest, inputs);
      const got = await runOnce(session, inputs);
      const wanted = interpret(graph, inputs);
      for (const [name, want] of Object.entries(wanted)) expect(difference(got[name]!, want, 1e-4)).toBeUndefined();
      session.dispose();
    }
  });

  test("a tensor beyond a binding takes several, one beyond a buffer is refused where it is made", () => {
    const { maxStorageBufferBindingSize: binding, maxBufferSize } = profiles.base.limits;
    const of = (n: number) => compile({ x: f32(n) }, ({ x }) => x.neg());
    const bindings = (n: number) => compileGraph(of(n).graph, profiles.base).manifest.dispatches[0]!.bindings;
    expect(bindings(binding / 4)).toHaveLength(2);
    const split = bindings(binding / 4 + 1);
    expect(split).toHaveLength(4);
    for (const w of split) expect(w.size).toBeLessThanOrEqual(binding);
    expect(() => compileGraph(of(maxBufferSize / 4).graph, profiles.base)).not.toThrow();
    const error = expect.objectContaining({ code: "tensor-too-large" });
    expect(() => compileGraph(of(maxBufferSize / 4 + 1).graph, profiles.base)).toThrow(error);
    const grown = compile({ x: f32(1 << 14) }, ({ x }) =>
      x
        .reshape([1 << 14, 1])
        .mul(x)
        .exp2()
        .matmul(x),
    );
    expect(() => compileGraph(grown.graph, profiles.base, { fuse: "off" })).toThrow(error);
  });
});

describe("8. binding rules shape the plan", () => {
  // That no dispatch of any program aliases what it writes, fused and unfused, is in test/wgsl/null.test.ts.
  const bindingsOf = (p: { graph: Parameters<typeof compileGraph>[0] }): number[] =>
    compileGraph(p.graph, profiles.base, { fuse: "legal" }).manifest.dispatches.map((d) => d.bindings.length);

  test("operands that are one tensor share one binding", () => {
    expect(bindingsOf(compile({ x: f32(8) }, ({ x }) => x.add(x)))).toEqual([2]);
    expect(bindingsOf(compile({ x: f32(8, 8) }, ({ x }) => matmul(x, x, { transposeB: true })))).toEqual([2]);
    expect(bindingsOf(compile({ x: f32(8) }, ({ x }) => concat([x, x.flip(), x])))).toEqual([2]);
    const heads = compile({ qkv: f32(2, 6, 24) }, ({ qkv }) => {
      const [q, k, v] = split(qkv, { axis: 2, parts: 3 }) as [Tensor, Tensor, Tensor];
      return attention(q, k, v, { scale: 1 });
    });
    expect(bindingsOf(heads)).toEqual([2]);
    const joined = compile({ x: f32(8) }, ({ x }) => ({
      a: x.mul(2),
      b: x.reshape([2, 4]).add(1),
      c: x.reshape([4, 2]).transpose(),
    }));
    expect(Math.max(...bindingsOf(joined))).toBeLessThanOrEqual(4);
  });
});
