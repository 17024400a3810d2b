import {
  attention,
  compile,
  crossEntropy,
  f32,
  i32,
  layerNorm,
  matmul,
  type Program,
  rmsNorm,
  softmax,
  type Tensor,
  valueAndGrad,
} from "sinter";
import { expect, test } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { runManifest } from "../properties/check-graph.ts";
import { errorBounds, outside } from "../support/error-bounds.ts";
import { sharedGpu } from "../support/gpu.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { benignInputs } from "../support/values.ts";

const gpu = sharedGpu();

type Tensors = Readonly<Record<string, Tensor>>;
const many = (n: number, ...shape: number[]) =>
  Object.fromEntries(Array.from({ length: n }, (_, i) => [`t${i}`, f32(...shape)]));
const mapped = (of: Tensors, fn: (t: Tensor, name: string) => Tensor): Tensors =>
  Object.fromEntries(Object.entries(of).map(([name, t]) => [name, fn(t, name)]));
const total = (of: readonly Tensor[]): Tensor => of.reduce((a, b) => a.add(b));

/** One result with many readers, each of which has more to read: they do not fit the kernel that computes it. */
const programs: Readonly<Record<string, Program<never, never, never, never>>> = Object.fromEntries(
  Object.entries({
    "a sum of sums": compile({ a: many(4, 32, 64), b: many(4, 32, 64) }, ({ a, b }) => {
      const s = total(Object.values(a).map((x) => x.sum({ axes: 1, keepDims: true })));
      return mapped(a, (x, name) => x.mul(s).add(b[name] as Tensor));
    }),
    "a product": compile({ x: f32(32, 64), y: f32(64, 64), a: many(6, 32, 64), b: many(6, 32, 64) }, ({ x, y, a, b }) =>
      mapped(a, (t, name) =>
        matmul(x, y)
          .mul(t)
          .tanh()
          .add(b[name] as Tensor)
          .mul(t),
      ),
    ),
    "a softmax": compile({ x: f32(32, 64), a: many(9, 32, 64), b: many(9, 32, 64) }, ({ x, a, b }) =>
      mapped(a, (t, name) =>
        softmax(x)
          .mul(t)
          .add(b[name] as Tensor),
      ),
    ),
    attention: compile({ q: f32(2, 16, 64), a: many(4, 2, 16, 64), b: many(4, 2, 16, 64) }, ({ q, a, b }) =>
      mapped(a, (t, name) =>
        attention(q, q, q)
          .mul(t)
          .add(b[name] as Tensor),
      ),
    ),
    "reductions of one tensor": compile({ x: f32(7, 33), t: i32(7) }, ({ x, t }) => ({
      ...{ soft: softmax(x), norm: layerNorm(x), l2: x.l2({ axes: 1 }), sum: x.sum({ axes: 1 }) },
      ...{ largest: x.argMax({ axis: 1 }), least: x.argMin({ axis: 1 }), loss: crossEntropy(x, t) },
    })),
    "two normalisations, with their gradients": compile(
      { p: { x: f32(20, 40), g: f32(40), b: f32(40) }, t: i32(20) },
      ({ p, t }) =>
        valueAndGrad(({ x, g, b }: typeof p) => {
          const y = rmsNorm(layerNorm(x, { scale: g, bias: b, epsilon: 0.1 }), { scale: g, epsilon: 0.1 });
          return crossEntropy(y, t.mod(40));
        })(p),
    ),
    "momentum, clipped by hand": compile(
      { p: many(4, 64, 64), g: many(4, 64, 64), m: many(4, 64, 64), lr: f32() },
      ({ p, g, m, lr }) => {
        const norm = total(Object.values(g).map((x) => x.mul(x).sum()))
          .sqrt()
          .add(1e-6);
        const moved = mapped(p, (_, name) => (m[name] as Tensor).mul(0.9).add((g[name] as Tensor).div(norm)));
        return { m: moved, p: mapped(p, (x, name) => x.sub((moved[name] as Tensor).mul(lr))) };
      },
    ),
  }),
) as never;

test.for(
  Object.entries(programs).flatMap(([name, p]) =>
    (["legal", "profit"] as const).map((fuse) => [name, fuse, p] as const),
  ),
)("%s and what is made of it, with 8 buffers a kernel, %s", async ([name, fuse, { graph }], { skip }) => {
  skip(leftOut(`${name} ${fuse}`), leftOutWhy);
  const own = gpu().capabilities;
  for (const software of [true, false]) {
    const c: Capabilities = { ...own, software, limits: { ...own.limits, maxStorageBuffersPerShaderStage: 8 } };
    const { manifest, report } = compileGraph(graph, c, { fuse });
    for (const k of manifest.kernels) expect(k.bindings.length).toBeLessThanOrEqual(8);
    expect(JSON.stringify(report)).toContain("more than 8 storage buffers");
    const inputs = benignInputs(graph);
    const [got] = await runManifest(gpu(), manifest, inputs);
    for (const [name, bound] of Object.entries(errorBounds(graph, inputs))) {
      expect(outside(got?.[name] as NDArray, bound), name).toBeUndefined();
    }
  }
});
