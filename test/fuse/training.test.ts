import { describe, expect, it } from "vitest";
import {
  compile,
  crossEntropy,
  embedding,
  f32,
  gelu,
  grad,
  i32,
  layerNorm,
  matmul,
  type Tensor,
  valueAndGrad,
} from "../../src/index.ts";
import { adamW, adamWInit, clipByGlobalNorm, globalNorm, gpt2 } from "../../src/nn/index.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { expectFused, expectKernels } from "../../src/testing.ts";

/** The backward rows of the table "Regions that must form": everything is derived, nothing is written for the purpose. */

const shapes = [
  [4, 16, 64],
  [1, 7, 33],
  [3, 5, 130],
] as const;

describe.each(shapes)("of [%i, %i, %i]", (batch, rows, width) => {
  const x = f32(batch, rows, width);
  const count = batch * rows;

  it("layerNorm backward is one row kernel for dx and one column kernel for scale and bias", () => {
    const p = compile({ x, scale: f32(width), bias: f32(width), dy: x }, ({ dy, ...params }) =>
      grad((q: typeof params) => layerNorm(q.x, { scale: q.scale, bias: q.bias }).mul(dy).sum())(params),
    );
    expectKernels(p, 2);
  });

  it("layerNorm leaves mean and deviation for its backward, and neither is computed again", () => {
    const p = compile({ x, scale: f32(width), bias: f32(width), w: f32(width, 24), dy: f32(batch, rows, 24) }, (a) => {
      const { dy, ...params } = a;
      const loss = (q: typeof params): Tensor => {
        const y = matmul(layerNorm(q.x, { scale: q.scale, bias: q.bias }), q.w);
        return y.mul(y).mul(dy).sum();
      };
      return grad(loss)(params);
    });
    // The forward, the product, d(normalised), dW, dx, d(scale) with d(bias).
    for (const fuse of ["legal", "profit"] as const) {
      const { kernels } = expectKernels(p, 6, { fuse });
      const forward = kernels.filter((k) => k.ops.includes("rsqrt"));
      expect(forward).toHaveLength(1);
      const stored = (forward[0]?.writes ?? []).map((t) => t.bytes / 4).sort((m, n) => m - n);
      // Two numbers a row beside the normalised rows, which the products read.
      expect(stored).toEqual([count, count, count * width]);
    }
  });

  it("gelu' is part of the product that consumes it, before and after", () => {
    const before = compile({ x: f32(batch, rows, 24), h: x, dy: x }, ({ x, h, dy }) => {
      const dh = grad((h: Tensor) => gelu(h, { approximate: "tanh" }).mul(dy).sum())(h);
      return matmul(x.reshape([count, 24]), dh.reshape([count, width]), { transposeA: true });
    });
    expectKernels(before, 1);
    const after = compile({ h: x, w: f32(width, 24), dy: f32(batch, rows, 24) }, ({ h, w, dy }) =>
      grad((h: Tensor) => matmul(gelu(h), w).mul(dy).sum())(h),
    );
    expectKernels(after, 1);
    expectFused(after, "matmul", "mul");
  });

  it("a weight gradient is added to what has accumulated by the product itself", () => {
    const p = compile({ x, w: f32(width, 24), sum: f32(width, 24), dy: f32(batch, rows, 24) }, ({ x, w, sum, dy }) =>
      sum.add(grad((w: Tensor) => matmul(x, w).mul(dy).sum())(w)),
    );
    expectKernels(p, 1);
    expectFused(p, "matmul", "add");
  });

  it("a bias gradient rides with the weight's", () => {
    const p = compile({ x, w: f32(width, 24), b: f32(24), dy: f32(batch, rows, 24) }, ({ x, dy, ...params }) =>
      grad((q: typeof params) => matmul(x, q.w).add(q.b).mul(dy).sum())(params),
    );
    expectKernels(p, 1);
    expectFused(p, "matmul", "sum");
  });

  it("cross-entropy forward and backward are one row kernel, and one more for the mean", () => {
    const p = compile({ x, t: i32(batch, rows) }, ({ x, t }) => ({
      ...valueAndGrad((x: Tensor) => crossEntropy(x, t))(x),
    }));
    expectKernels(p, 2);
    const losses = compile({ x, t: i32(batch, rows) }, ({ x, t }) => ({
      losses: crossEntropy(x, t, { reduction: "none" }),
      grad: grad((x: Tensor) => crossEntropy(x, t))(x),
    }));
    expectKernels(losses, 1);
  });

  it("an embedding's gradient is one kernel, and goes into the gradient of a tied projection", () => {
    const table = f32(50, width);
    const ids = i32(batch, rows);
    const alone = compile({ table, ids, dy: x }, ({ table, ids, dy }) =>
      grad((t: Tensor) => embedding(t, ids).mul(dy).sum())(table),
    );
    expectKernels(alone, 1);
    const tied = compile({ table, ids, dy: f32(batch, rows, 50) }, ({ table, ids, dy }) =>
      grad((t: Tensor) => matmul(embedding(t, ids), t, { transposeB: true }).mul(dy).sum())(table),
    );
    // Two products and the scatter into one of them.
    expectKernels(tied, 3);
  });
});

describe("over all parameters", () => {
  const params = { w: f32(33, 64), b: f32(7), list: [f32(3, 5), f32(1), f32(200, 100)] };
  const whole = (k: { writes: readonly { bytes: number }[] }): boolean => k.writes.some((t) => t.bytes > 4);

  it("AdamW is one kernel, and one for the step's number", () => {
    for (const capabilities of Object.values(profiles)) {
      const p = compile(
        { params, opt: adamWInit(params), grads: params, lr: f32() },
        ({ params, opt, grads, lr }) => {
          const next = adamW(params, grads, opt, { lr, weightDecay: 0.01 });
          return { params: next.params, opt: next.state };
        },
        { donate: ["params", "opt"] },
      );
      const { kernels } = p.explain({ fuse: "legal", capabilities });
      expect(kernels.filter(whole), String(kernels.map((k) => k.ops))).toHaveLength(1);
      expect(kernels).toHaveLength(2);
    }
  });

  it("the norm of all gradients is two kernels, and the clip itself none", () => {
    expectKernels(
      compile({ grads: params }, ({ grads }) => globalNorm(grads)),
      2,
    );
    const p = compile(
      { params, opt: adamWInit(params), grads: params },
      ({ params, opt, grads }) => {
        const next = adamW(params, clipByGlobalNorm(grads, 1).grads, opt, { lr: 1e-3 });
        return { params: next.params, opt: next.state };
      },
      { donate: ["params", "opt"] },
    );
    expect(p.explain({ fuse: "legal" }).kernels.filter(whole).length).toBeLessThanOrEqual(2);
  });
});

describe("DistilGPT-2's whole step under the default policy", () => {
  const model = gpt2({ layers: 6, width: 768, heads: 12, vocabulary: 50257, positions: 1024 });
  const step = compile(
    { params: model.params, opt: adamWInit(model.params), tokens: i32(1, 512), targets: i32(1, 512), lr: f32() },
    ({ params, opt, tokens, targets, lr }) => {
      const { value: loss, grad } = valueAndGrad((p: typeof params) => model.loss(p, tokens, targets))(params);
      const next = adamW(params, grad, opt, { lr, weightDecay: 0.01 });
      return { loss, params: next.params, opt: next.state };
    },
    { donate: ["params", "opt"] },
  );

  it.each([
    ["h200", 118],
    ["base", 146],
    ["lavapipe", 134],
  ] as const)(
    "on %s takes at most %i kernels",
    (name, most) => {
      const report = step.explain({ capabilities: profiles[name] });
      expect(report.kernels.length, String(report)).toBeLessThanOrEqual(most);
      expect(report.setup).toEqual([]);
      // Nothing is only moved: no kernel but the optimiser's and the embedding's is without a reduction, a product or attention.
      const moved = report.kernels.filter(
        (k) =>
          k.family === "pointwise" &&
          !k.ops.includes("sqrt") &&
          !k.ops.includes("gather") &&
          // The parts of a product that attention reads are added up by a kernel of their own.
          !k.ops.every((op) => op === "add"),
      );
      expect(moved.map((k) => k.ops)).toEqual([]);
    },
    60_000,
  );
});
