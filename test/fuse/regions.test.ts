import { describe, expect, it } from "vitest";
import {
  attention,
  cast,
  compile,
  crossEntropy,
  f16,
  f32,
  gelu,
  i32,
  layerNorm,
  logSoftmax,
  matmul,
  reduce,
  rmsNorm,
  softmax,
  sum,
  tanh,
} from "../../src/index.ts";
import { expectFused, expectKernels } from "../../src/testing.ts";

/** The forward rows of the table "Regions that must form", with everything legal fused. */
describe("regions that must form", () => {
  it("an elementwise DAG with several outputs is one kernel", () => {
    const p = compile({ x: f32(64, 33), y: f32(33), z: f32(64, 1) }, ({ x, y, z }) => {
      const a = x.add(y).mul(z);
      return { a: tanh(a), b: a.sub(x), c: y.add(z).exp() };
    });
    expectKernels(p, 1);
  });

  it("independent elementwise programs over one space are one kernel", () => {
    expectKernels(
      compile({ x: f32(128), y: f32(128) }, ({ x, y }) => ({ a: x.exp(), b: y.neg() })),
      1,
    );
  });

  for (const [name, fn] of Object.entries({ softmax, logSoftmax })) {
    it(`${name} is one kernel, scaled before and cast after`, () => {
      expectKernels(
        compile({ x: f32(37, 65) }, ({ x }) => fn(x, { axis: -1 })),
        1,
      );
      expectKernels(
        compile({ x: f32(4, 37, 64), y: f32(64) }, ({ x, y }) => cast(fn(x.mul(0.5).add(y), { axis: -1 }), "f16")),
        1,
      );
      expectKernels(
        compile({ x: f32(37, 65) }, ({ x }) => fn(x, { axis: 0 })),
        1,
      );
    });
  }

  it("layerNorm with residual before, affine and cast after is one kernel that stores the sum too", () => {
    const p = compile(
      { x: f32(12, 768), r: f32(12, 768), scale: f32(768), bias: f32(768) },
      ({ x, r, scale, bias }) => {
        const h = x.add(r);
        return { h, y: cast(layerNorm(h, { scale, bias }), "f16") };
      },
    );
    expectKernels(p, 1);
    expectFused(p, "add", "rsqrt");
  });

  it("rmsNorm is one kernel", () => {
    expectKernels(
      compile({ x: f16(12, 96), scale: f16(96) }, ({ x, scale }) => rmsNorm(x, { scale })),
      1,
    );
  });

  it("matmul with bias, cast and gelu is one kernel", () => {
    const p = compile({ x: f32(17, 64), w: f32(64, 96), b: f32(96) }, ({ x, w, b }) =>
      gelu(cast(cast(matmul(x, w).add(b), "f16"), "f32"), { approximate: "tanh" }),
    );
    expectKernels(p, 1);
    expectFused(p, "matmul", "gelu");
  });

  it("matmul with bias and residual is one kernel, for any layout of the operands", () => {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        const p = compile(
          {
            x: transposeA ? f32(64, 17) : f32(17, 64),
            w: transposeB ? f32(33, 64) : f32(64, 33),
            b: f32(33),
            r: f32(17, 33),
          },
          ({ x, w, b, r }) => matmul(x, w, { transposeA, transposeB }).add(b).add(r),
        );
        expectKernels(p, 1);
        expectFused(p, "matmul", "add");
      }
    }
  });

  it("a matmul whose operand is an elementwise function of inputs is one kernel", () => {
    const p = compile({ x: f16(16, 64), s: f32(64), w: f32(64, 32), m: f32(16, 64) }, ({ x, s, w, m }) =>
      matmul(tanh(cast(x, "f32").mul(s)).mul(m), w),
    );
    expectKernels(p, 1);
    expectFused(p, "matmul", "tanh");
  });

  it("cross-entropy from logits is one row kernel, and one more for the mean", () => {
    expectKernels(
      compile({ x: f32(32, 1000), t: i32(32) }, ({ x, t }) => crossEntropy(x, t, { reduction: "none" })),
      1,
    );
    expectKernels(
      compile({ x: f32(32, 1000), t: i32(32) }, ({ x, t }) => crossEntropy(x, t)),
      2,
    );
  });

  it("a full reduction is at most two kernels", () => {
    expectKernels(
      compile({ x: f32(1000, 1001) }, ({ x }) => sum(x.mul(x))),
      2,
    );
    expectKernels(
      compile({ x: f32(10) }, ({ x }) => sum(x)),
      1,
    );
    const welford = compile({ x: f32(977, 1021) }, ({ x }) => {
      const one = x.mul(0).add(1);
      return reduce([x, x.mul(0), one], {
        identity: [0, 0, 0],
        combine: ([ma, sa, na], [mb, sb, nb]) => {
          const n = na.add(nb);
          const safe = n.max(1);
          const d = mb.sub(ma);
          return [ma.add(d.mul(nb).div(safe)), sa.add(sb).add(d.mul(d).mul(na).mul(nb).div(safe)), n];
        },
      });
    });
    expectKernels(welford, 2);
  });

  it("attention is one kernel, for the row and for what is spelled out", () => {
    expectKernels(
      compile({ q: f32(2, 4, 16, 8), k: f32(2, 2, 16, 8), v: f32(2, 2, 16, 8) }, ({ q, k, v }) =>
        attention(q, k, v, { causal: true }),
      ),
      1,
    );
    const heads = compile({ qkv: f32(2, 16, 96) }, ({ qkv }) => {
      const [q, k, v] = qkv.split({ parts: 3, axis: 2 }).map((t) => t.reshape([2, 16, 4, 8]).transpose([0, 2, 1, 3]));
      return attention(q!, k!, v!, { causal: true }).transpose([0, 2, 1, 3]).reshape([2, 16, 32]);
    });
    expectKernels(heads, 1);
    const spelled = compile({ q: f32(2, 4, 16, 8), k: f32(2, 4, 20, 8), v: f32(2, 4, 20, 8) }, ({ q, k, v }) =>
      matmul(softmax(matmul(q, k, { transposeB: true }).div(Math.sqrt(8)), { axis: -1 }), v),
    );
    expectKernels(spelled, 1);
  });

  it("a chain of views costs no kernel and no copy", () => {
    const p = compile({ x: f32(4, 6, 8) }, ({ x }) =>
      x
        .transpose([2, 0, 1])
        .reshape([8, 24])
        .slice([[1, 7, 2]])
        .flip({ axes: [0] })
        .reshape([3, 4, 6])
        .tanh(),
    );
    expectKernels(p, 1);
    const through = compile({ x: f32(8, 12), w: f32(12, 8) }, ({ x, w }) =>
      matmul(x, w).reshape([8, 2, 4]).transpose([1, 0, 2]).softmax({ axis: -1 }),
    );
    expectKernels(through, 2);
  });
});

describe("programs that must not fuse", () => {
  const reasonOf = (p: { explain(o?: object): { edges: readonly { reason: string }[] } }): string[] =>
    p.explain({ fuse: "legal" }).edges.map((e) => e.reason);

  it("two matmuls in a chain", () => {
    const p = compile({ x: f32(8, 8), a: f32(8, 8), b: f32(8, 8) }, ({ x, a, b }) => matmul(matmul(x, a).relu(), b));
    expectKernels(p, 2);
    expect(reasonOf(p)).toEqual(["whole-operand"]);
  });

  it("a layerNorm before a matmul", () => {
    expectKernels(
      compile({ x: f32(8, 64), w: f32(64, 8) }, ({ x, w }) => matmul(layerNorm(x), w)),
      2,
    );
  });

  it("a softmax over rows then over columns", () => {
    const p = compile({ x: f32(16, 16) }, ({ x }) => softmax(softmax(x, { axis: 1 }), { axis: 0 }));
    expectKernels(p, 2);
    expect(reasonOf(p)).toEqual(["rows"]);
  });

  it("a matmul's result added to its own transpose", () => {
    const p = compile({ x: f32(16, 8), w: f32(8, 16) }, ({ x, w }) => {
      const y = matmul(x, w);
      return y.add(y.transpose([1, 0]));
    });
    expectKernels(p, 2);
    expect(reasonOf(p)).toContain("index");
  });

  it("an epilogue that would close a cycle", () => {
    const p = compile({ x: f32(16, 16), w: f32(16, 16) }, ({ x, w }) => {
      const y = matmul(x, w);
      return { y: y.mul(2), z: matmul(y, w).add(y) };
    });
    expectKernels(p, 2);
  });

  it("more operands than the device binds: the region splits and says so", () => {
    const specs = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`x${i}`, f32(64)]));
    const p = compile(specs, (xs) => Object.values(xs).reduce((a, b) => a.add(b)));
    expectKernels(p, 2);
    expect(reasonOf(p)).toContain("bindings");
  });
});

describe("what the default policy stores", () => {
  const profit = { fuse: "profit" } as const;

  it("computes a cheap producer again in each reader instead of storing it", () => {
    const p = compile({ x: f32(64, 64), a: f32(64, 64), b: f32(64, 64) }, ({ x, a, b }) => {
      const h = x.mul(2).add(1);
      return { y: matmul(h, a), z: matmul(h, b) };
    });
    const { kernels } = expectKernels(p, 2, profit);
    // They share a dispatch where the device fits them.
    const apart = kernels.flatMap((k) => k.parts ?? [k]);
    expect(apart.map((k) => k.ops)).toEqual([
      ["mul", "add", "matmul"],
      ["mul", "add", "matmul"],
    ]);
  });

  it("stores a producer of several large operands that several kernels read", () => {
    const specs = Object.fromEntries(["x", "y", "z", "a", "b", "c"].map((n) => [n, f32(256, 256)]));
    const p = compile(specs, ({ x, y, z, a, b, c }) => {
      const h = x!.add(y!).mul(z!);
      return { a: matmul(h, a!), b: matmul(h, b!), c: matmul(h, c!) };
    });
    expectKernels(p, 4, profit);
    expectKernels(p, 3);
  });

  it("does not repeat transcendental work for every tile of a contraction", () => {
    const p = compile({ x: f32(256, 256), w: f32(256, 256) }, ({ x, w }) => matmul(tanh(x), w));
    expectKernels(p, 2, profit);
    expectKernels(p, 1);
  });
});
