import { describe, expect, it } from "vitest";
import {
  attention,
  checkpoint,
  compile,
  f32,
  grad,
  i32,
  type KernelReport,
  matmul,
  type Tensor,
  tanh,
  valueAndGrad,
} from "../../src/index.ts";
import { adamW, adamWInit, clipByGlobalNorm, gpt2 } from "../../src/nn/index.ts";

const params = { a: f32(8, 16), b: f32(16, 4) };
type Params = { a: Tensor; b: Tensor };
const x = f32(5, 8);
const loss = (p: Params, x: Tensor): Tensor =>
  matmul(tanh(matmul(x, p.a)), p.b)
    .pow(2)
    .mean();
const phasesOf = (kernels: readonly KernelReport[], op: string): string[] =>
  kernels
    .flatMap((k) => k.parts ?? [k])
    .filter((k) => k.ops.includes(op))
    .map((k) => k.phase);

describe("phases of kernels", () => {
  it("a program without a gradient is a forward pass", () => {
    const p = compile({ params, x }, ({ params, x }) => loss(params, x));
    expect(new Set(p.explain().kernels.map((k) => k.phase))).toEqual(new Set(["forward"]));
  });

  it.each(["loss first", "loss last"])("products of a training step, %s: two forward, three backward", (order) => {
    const p = compile(
      { params, opt: adamWInit(params), x },
      ({ params, opt, x }) => {
        const { value, grad } = valueAndGrad(loss)(params, x);
        const next = adamW(params, grad, opt, { lr: 1e-3 });
        const states = { params: next.params, opt: next.state };
        return order === "loss first" ? { value, ...states } : { ...states, value };
      },
      { donate: ["params", "opt"] },
    );
    const { kernels } = p.explain();
    expect(phasesOf(kernels, "matmul")).toEqual(["forward", "forward", "backward", "backward", "backward"]);
    expect(phasesOf(kernels, "expm1")).toEqual(["optimiser"]);
  });

  it("an update written by hand is the optimiser's, and so is clipping", () => {
    const p = compile(
      { params, x },
      ({ params, x }) => {
        const { value, grad } = valueAndGrad(loss)(params, x);
        const { grads } = clipByGlobalNorm(grad, 1);
        const next = (p: Tensor, g: Tensor): Tensor => p.sub(g.mul(0.1)).max(-5);
        return { value, params: { a: next(params.a, grads.a), b: next(params.b, grads.b) } };
      },
      { donate: ["params"] },
    );
    const { kernels } = p.explain({ fuse: "off" });
    expect(phasesOf(kernels, "max")).toEqual(["optimiser", "optimiser"]);
    expect(phasesOf(kernels, "sqrt")).toEqual(["optimiser"]);
    expect(phasesOf(kernels, "tanh")).toEqual(["forward"]);
  });

  it("a state that no gradient has to do with belongs to the forward pass", () => {
    const p = compile({ cache: x, x }, ({ cache, x }) => ({ cache: cache.add(x), y: x.mul(2) }), { donate: ["cache"] });
    expect(new Set(p.explain().kernels.map((k) => k.phase))).toEqual(new Set(["forward"]));
  });

  it("what a checkpoint computes again is part of the backward pass", () => {
    const p = compile({ params, x }, ({ params, x }) => {
      const inner = checkpoint((p: Params, x: Tensor) => tanh(matmul(tanh(matmul(x, p.a)), p.b)));
      return valueAndGrad((p: Params) => inner(p, x).pow(2).mean())(params);
    });
    const { kernels } = p.explain({ fuse: "off" });
    const forward = kernels.filter((k) => k.phase === "forward" && k.ops.includes("matmul"));
    expect(forward).toHaveLength(2);
    expect(phasesOf(kernels, "matmul").filter((phase) => phase === "backward").length).toBeGreaterThanOrEqual(4);
  });

  it("attention runs forward once, its gradient backward", () => {
    const sizes = { layers: 2, width: 16, heads: 2, vocabulary: 11, positions: 8 };
    const model = gpt2(sizes);
    const p = compile(
      { params: model.params, opt: adamWInit(model.params), tokens: i32(2, 8), targets: i32(2, 8) },
      ({ params, opt, tokens, targets }) => {
        const { value, grad } = valueAndGrad((p: typeof params) => model.loss(p, tokens, targets))(params);
        const next = adamW(params, grad, opt, { lr: 1e-3 });
        return { params: next.params, opt: next.state, value };
      },
      { donate: ["params", "opt"] },
    );
    const { kernels } = p.explain();
    expect(phasesOf(kernels, "attentionStats")).toEqual(["forward", "forward"]);
    expect(phasesOf(kernels, "attentionGradQuery")).toEqual(["backward", "backward"]);
    expect(kernels.filter((k) => k.phase === "optimiser")).toHaveLength(1);
  });
});

describe("operations of kernels", () => {
  it("two for each term of a product, batches included", () => {
    const p = compile({ x: f32(3, 5, 8), w: f32(8, 7) }, ({ x, w }) => matmul(x, w).add(1));
    expect(p.explain().kernels.map((k) => k.flops)).toEqual([2 * 3 * 5 * 8 * 7]);
  });

  it("of attention only pairs that are seen count", () => {
    const [heads, rows, keys, width] = [3, 4, 6, 8];
    const specs = { q: f32(heads, rows, width), k: f32(heads, keys, width), v: f32(heads, keys, width) };
    const flops = (causal: boolean): number =>
      compile(specs, ({ q, k, v }) => attention(q, k, v, { causal })).explain().kernels[0]?.flops ?? 0;
    expect(flops(false)).toBe(4 * heads * rows * keys * width);
    // Of 4 queries at the end of 6 keys: 3, 4, 5 and 6.
    expect(flops(true)).toBe(4 * heads * 18 * width);
  });

  it("an attention's gradient takes three and four products", () => {
    const [heads, length, width] = [2, 16, 8];
    const q = f32(heads, length, width);
    const p = compile({ q, k: q, v: q }, (x) => grad((y: typeof x) => attention(y.q, y.k, y.v).pow(2).sum())(x));
    const { kernels } = p.explain();
    const pairs = 2 * heads * length * length * width;
    const of = (op: string): number => kernels.find((k) => k.ops.includes(op))?.flops ?? 0;
    expect([of("attentionStats"), of("attentionGradQuery"), of("attentionGradKeyValue")]).toEqual([
      2 * pairs,
      3 * pairs,
      4 * pairs,
    ]);
  });
});
