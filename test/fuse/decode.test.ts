import { describe, expect, it, test } from "vitest";
import {
  add,
  and,
  cast,
  compile,
  dynamicUpdateSlice,
  f32,
  i32,
  iota,
  layerNorm,
  matmul,
  mul,
  rmsNorm,
  shiftRight,
  silu,
  softmax,
  sub,
  sum,
  type Tensor,
  u32,
} from "../../src/index.ts";
import { gpt2 } from "../../src/nn/index.ts";
import { profiles } from "../../src/runtime/profiles.ts";

const gpu = { capabilities: profiles.h200 };

interface Explained {
  explain(options: typeof gpu): {
    readonly kernels: readonly { readonly ops: readonly string[]; readonly variant: string }[];
  };
}
const opsOf = (p: Explained): (readonly string[])[] => p.explain(gpu).kernels.map((k) => k.ops);

function decoder(layers: number, dtype: "f32" | "f16") {
  const model = gpt2({ layers, width: 768, heads: 12, vocabulary: 50257, positions: 1024 });
  return compile(
    { params: model.params, cache: model.cache(1, 1024, dtype), tokens: i32(1, 1), position: i32() },
    ({ params, cache, tokens, position }) => model.decode(params, cache, tokens, position),
    { weights: ["params"], donate: ["cache"] },
  );
}

describe("GPT-2 with a cache, a token at a time", () => {
  test.each(["f32", "f16"] as const)("5 dispatches a layer, the row of the token and the scores (%s)", (dtype) => {
    const program = decoder(3, dtype);
    const manifest = program.manifest(gpu);
    expect(manifest.dispatches).toHaveLength(3 * 5 + 2);
    // One text for the kernels of all layers.
    expect(manifest.kernels.filter((k) => k.label.includes("attention"))).toHaveLength(1);
    const [, qkv, attention, project, up, down, ...rest] = program.explain(gpu).kernels;
    expect(qkv?.ops.filter((o) => o === "dynamicUpdateSlice")).toHaveLength(2);
    expect(qkv?.ops).toContain("rsqrt");
    expect(attention?.variant).toBe("attention_decode");
    for (const k of [project, down]) expect(k?.ops).not.toContain("rsqrt");
    expect(up?.ops).toEqual(expect.arrayContaining(["rsqrt", "matmul", "gelu"]));
    expect(rest.at(-1)?.ops).toEqual(expect.arrayContaining(["rsqrt", "matmul"]));
  });

  test("the caches are written where they lie: nothing is copied, and no text depends on the position", () => {
    const manifest = decoder(1, "f32").manifest(gpu);
    for (const s of manifest.state) expect(s.next).toEqual(s.window);
  });

  test("weights stay as they are given: halves are stored once, nothing is turned", () => {
    const { setup } = decoder(1, "f16").explain(gpu);
    expect(setup.every((k) => k.ops.every((o) => o === "cast") && k.bytesWritten * 2 <= k.bytesRead)).toBe(true);
    expect(decoder(1, "f32").explain(gpu).setup).toEqual([]);
  });

  test("where 8 buffers are bound at most, every kernel still fits", () => {
    const { kernels } = decoder(1, "f32").manifest({ capabilities: profiles.base });
    for (const k of kernels) expect(k.bindings.length).toBeLessThanOrEqual(8);
  });
});

const groups = (size: number) => ({ words: u32(96, 256 / 8), scales: f32(96, 256 / size) });
const back = (size: number) => ({ words: u32(256, 96 / 8), scales: f32(256, 96 / size) });

function int4(x: Tensor, { words, scales }: { words: Tensor; scales: Tensor }): Tensor {
  const [n, packed] = words.shape as [number, number];
  const count = scales.shape[1] as number;
  const each = words.reshape([n, count, packed / count, 1]);
  const values = sub(cast(and(shiftRight(each, mul(iota([8], { dtype: "u32" }), 4)), 15), "f32"), 8);
  const weight = mul(values, scales.reshape([n, count, 1, 1])).reshape([n, packed * 8]);
  return matmul(x, weight, { transposeB: true });
}

describe("a gated layer with int4 weights", () => {
  test.each([1, 4])("2 dispatches for %i rows, and the weights are read as they are packed", (rows) => {
    const program = compile(
      { x: f32(rows, 256), norm: f32(256), gate: groups(32), up: groups(32), down: back(32) },
      ({ x, norm, gate, up, down }) => {
        const h = rmsNorm(x, { scale: norm, axes: -1, epsilon: 1e-6 });
        return add(x, int4(mul(silu(int4(h, gate)), int4(h, up)), down));
      },
      { weights: ["norm", "gate", "up", "down"] },
    );
    const { kernels, setup } = program.explain(gpu);
    expect(kernels.map((k) => k.ops.filter((o) => o === "matmul").length)).toEqual([2, 1]);
    expect(kernels.map((k) => k.variant)).toEqual(["matvec_k", "matvec_k"]);
    expect(setup).toEqual([]);
  });
});

describe("what a product of a few rows computes by itself", () => {
  const norm = (x: Tensor, w: Tensor): Tensor => matmul(layerNorm(x, { axes: -1, epsilon: 1e-5 }), w);

  it("is a normalisation of the rows, up to 4 of them", () => {
    const ops = (rows: number) =>
      opsOf(compile({ x: f32(rows, 128), w: f32(128, 64) }, ({ x, w }) => norm(x, w))).length;
    expect([1, 2, 3, 4, 5].map(ops)).toEqual([1, 1, 1, 1, 2]);
  });

  it("is computed by each of several products", () => {
    const p = compile({ x: f32(1, 128), a: f32(128, 64), b: f32(128, 32) }, ({ x, a, b }) => {
      const h = layerNorm(x, { axes: -1, epsilon: 1e-5 });
      return { a: matmul(h, a), b: matmul(h, b) };
    });
    expect(p.explain({ ...gpu, fuse: "legal" }).kernels.every((k) => k.ops.includes("rsqrt"))).toBe(true);
  });

  it("is softmax too", () => {
    const p = compile({ x: f32(2, 128), w: f32(128, 64) }, ({ x, w }) => matmul(softmax(x, { axis: -1 }), w));
    expect(opsOf(p)).toHaveLength(1);
  });

  it("is not what something else reads, or returns", () => {
    const returned = compile({ x: f32(1, 128), w: f32(128, 64) }, ({ x, w }) => {
      const h = layerNorm(x, { axes: -1, epsilon: 1e-5 });
      return { h, y: matmul(h, w) };
    });
    const mean = compile({ x: f32(1, 128), w: f32(128, 64) }, ({ x, w }) => {
      const h = sub(x, mul(sum(x, { axes: -1, keepDims: true }), 1 / 128));
      return { y: matmul(h, w), s: sum(x, { axes: -1 }) };
    });
    for (const p of [returned, mean]) expect(opsOf(p)).toHaveLength(2);
  });

  it("is not a reduction of other rows: of columns", () => {
    const p = compile({ x: f32(4, 128), w: f32(128, 64) }, ({ x, w }) =>
      matmul(sub(x, sum(x, { axes: 0, keepDims: true })), w),
    );
    expect(opsOf(p)).toHaveLength(2);
  });

  it("leaves long rows to a kernel of their own", () => {
    const p = compile({ x: f32(4, 4096), w: f32(4096, 64) }, ({ x, w }) => norm(x, w));
    expect(opsOf(p)).toHaveLength(2);
  });
});

describe("a block of a state that a product computes", () => {
  const specs = { x: f32(1, 64), w: f32(64, 32), rows: f32(16, 32), at: i32() };

  it("is written by the product's kernel", () => {
    const p = compile(
      specs,
      ({ x, w, rows, at }) => ({ rows: dynamicUpdateSlice(rows, matmul(x, w), { starts: [at, 0] }) }),
      { donate: ["rows"] },
    );
    expect(opsOf(p)).toEqual([["matmul", "dynamicUpdateSlice"]]);
  });

  it("is written by a kernel of its own where the old state is read, or none is replaced", () => {
    const read = compile(
      specs,
      ({ x, w, rows, at }) => ({
        rows: dynamicUpdateSlice(rows, matmul(x, w), { starts: [at, 0] }),
        before: sum(rows, { axes: 1 }),
      }),
      { donate: ["rows"] },
    );
    const plain = compile(specs, ({ x, w, rows, at }) => dynamicUpdateSlice(rows, matmul(x, w), { starts: [at, 0] }));
    for (const p of [read, plain]) {
      const kernels = opsOf(p);
      expect(kernels.some((ops) => ops.includes("matmul") && ops.includes("dynamicUpdateSlice"))).toBe(false);
    }
  });
});
