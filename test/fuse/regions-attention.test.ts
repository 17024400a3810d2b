import { describe, expect, it } from "vitest";
import { attention, cast, compile, f16, f32, grad, matmul, split, type Tensor } from "../../src/index.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { expectKernels } from "../../src/testing.ts";

type Qkv = { q: Tensor; k: Tensor; v: Tensor };

/** Gradients of the sum of attention times something. */
const gradients = ({ q, k, v }: Qkv, d: Tensor, options?: Parameters<typeof attention>[3]) =>
  grad((x: Qkv) => attention(x.q, x.k, x.v, options).mul(d).sum())({ q, k, v });

const kernels = ["attentionStats", "attentionGradQuery", "attentionGradKeyValue"];

/** The kernels that compute anything of attention, and nothing else. */
const attentionOps = (p: Parameters<typeof expectKernels>[0], count: number, options = {}): (readonly string[])[] =>
  expectKernels(p, count, options)
    .kernels.map((k) => k.ops)
    .filter((ops) => ops.some((op) => op.startsWith("attention")));

describe("attention, forward and backward", () => {
  const separate = {
    "heads and lengths of any kind, causal": compile(
      { q: f32(2, 6, 5, 7), k: f32(2, 3, 9, 7), v: f32(2, 3, 9, 4), d: f32(2, 6, 5, 4) },
      ({ d, ...x }) => gradients(x, d, { causal: true }),
    ),
    "a mask": compile(
      { q: f32(4, 5, 8), k: f32(4, 5, 8), v: f32(4, 5, 8), m: f32(5, 5), d: f32(4, 5, 8) },
      ({ d, m, ...x }) => gradients(x, d, { mask: m }),
    ),
    "no batch axes, one head": compile(
      { q: f32(1, 16, 8), k: f32(1, 16, 8), v: f32(1, 16, 8), d: f32(1, 16, 8) },
      ({ d, ...x }) => gradients(x, d),
    ),
  };
  for (const [name, p] of Object.entries(separate)) {
    for (const fuse of ["legal", "profit"] as const) {
      it(`${name}: 1 kernel and 2 (${fuse})`, () => {
        expect(attentionOps(p, 3, { fuse }).map((ops) => ops.at(-1))).toEqual(kernels);
      });
    }
    it(`${name}: one kernel each where nothing is fused`, () => {
      const ops = p.explain({ fuse: "off" }).kernels.map((k) => k.ops);
      for (const op of kernels) expect(ops.filter((o) => o.includes(op))).toEqual([[op]]);
    });
  }

  /** A layer's attention with its projections, batch 2, 16 positions, 4 heads of 8. */
  const layer = (project: (x: Tensor, w: Tensor) => readonly [Tensor, Tensor, Tensor], width: number) =>
    compile({ x: f32(2, 16, 32), w: f32(32, width), o: f32(32, 32), d: f32(2, 16, 32) }, ({ x, w, o, d }) =>
      grad((p: { x: Tensor; w: Tensor; o: Tensor }) => {
        const [q, k, v] = project(p.x, p.w);
        const y = attention(q, k, v, { causal: true }).transpose([0, 2, 1, 3]).reshape([2, 16, 32]);
        return matmul(y, p.o).mul(d).sum();
      })({ x, w, o }),
    );
  const heads = (t: Tensor, n: number): Tensor => t.reshape([2, 16, n, 8]).transpose([0, 2, 1, 3]);

  it("of one projection for q, k and v: no copies between heads and features", () => {
    const p = layer((x, w) => split(matmul(x, w), { axis: 2, parts: 3 }).map((t) => heads(t, 4)) as never, 96);
    // qkv, attention; by o and by attention's result; two for attention; by w and by x.
    expect(attentionOps(p, 8).map((ops) => ops.at(-1))).toEqual(kernels);
  });

  it("of grouped heads", () => {
    const p = layer((x, w) => {
      const [q, k, v] = split(matmul(x, w), { axis: 2, sizes: [32, 16, 16] }) as [Tensor, Tensor, Tensor];
      return [heads(q, 4), heads(k, 2), heads(v, 2)];
    }, 64);
    expect(attentionOps(p, 8).map((ops) => ops.at(-1))).toEqual(kernels);
  });

  it("of f16: the roundings are epilogues, with and without shader-f16", () => {
    const p = compile({ q: f16(2, 8, 8), k: f16(2, 8, 8), v: f16(2, 8, 8), d: f16(2, 8, 8) }, ({ d, ...x }) =>
      grad((y: Qkv) =>
        cast(attention(y.q, y.k, y.v), "f32")
          .mul(cast(d, "f32"))
          .sum(),
      )(x),
    );
    for (const capabilities of [profiles.base, profiles.f16]) {
      const found = attentionOps(p, 3, { capabilities });
      expect(found.map((ops) => ops.find((op) => op.startsWith("attention")))).toEqual(kernels);
    }
  });
});
