import { describe, expect, test } from "vitest";
import { compileGraph } from "../../src/compiler.ts";
import {
  argMax,
  attention,
  cast,
  compile,
  f32,
  grad,
  layerNorm,
  matmul,
  mean,
  reduce,
  scatterND,
  softmax,
  sum,
  type Tensor,
} from "../../src/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import type { KernelSpec, Manifest, Window } from "../../src/manifest/manifest.ts";
import { encodeWords } from "../../src/plan/words.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { detectRaces } from "../support/reflect.ts";
import { difference, randomOf } from "../support/values.ts";

/** A GPU without subgroups or f16: rows and products are shared between invocations through workgroup memory. */
const capabilities = profiles.base;

const cases: Readonly<Record<string, { readonly graph: Graph }>> = {
  "softmax of odd rows, several a workgroup": compile({ x: f32(5, 37) }, ({ x }) => softmax(x)),
  "softmax of rows of a workgroup each": compile({ x: f32(2, 1030) }, ({ x }) => softmax(x)),
  "layerNorm with residual and affine": compile({ x: f32(3, 96), r: f32(3, 96), g: f32(96) }, ({ x, r, g }) => {
    const h = x.add(r);
    return { h, y: layerNorm(h, { scale: g }) };
  }),
  "several reductions of one row": compile({ x: f32(6, 70) }, ({ x }) => ({
    a: sum(x, { axes: 1 }),
    b: x.max({ axes: 1 }),
    c: mean(x.mul(x), { axes: 1 }),
  })),
  "rows, and sums along the columns of blocks of them": compile({ x: f32(14, 132) }, ({ x }) => {
    const y = x.sub(sum(x, { axes: 1, keepDims: true })).mul(x.max({ axes: 1, keepDims: true }));
    const columns = (t: Tensor) => sum(t.reshape([2, 7, 132]), { axes: 1 });
    return { y, a: columns(y), b: columns(x) };
  }),
  "sums of columns": compile({ x: f32(150, 12) }, ({ x }) => sum(x, { axes: 0 })),
  "sums and maxima of odd columns": compile({ x: f32(130, 7) }, ({ x }) => ({
    a: sum(x, { axes: 0 }),
    b: x.max({ axes: 0 }),
  })),
  "a full reduction in two kernels": compile({ x: f32(190, 180) }, ({ x }) => sum(x.mul(x))),
  "a reduce of two states": compile({ x: f32(3, 130) }, ({ x }) => {
    const [m, n] = reduce([x, x.mul(0).add(1)], {
      axes: 1,
      identity: [0, 0],
      combine: ([ma, na], [mb, nb]) => {
        const n = na.add(nb);
        return [ma.mul(na).add(mb.mul(nb)).div(n.max(1)), n];
      },
    });
    return { m, n };
  }),
  "argMax of rows": compile({ x: f32(3, 130) }, ({ x }) => argMax(x)),
  "matmul by tiles": compile({ a: f32(40, 36), b: f32(36, 48), c: f32(48) }, ({ a, b, c }) =>
    matmul(a, b).add(c).mul(0.5),
  ),
  "matmul by tiles of odd sizes, transposed": compile({ a: f32(20, 33), b: f32(17, 20) }, ({ a, b }) =>
    matmul(a, b, { transposeA: true, transposeB: true }),
  ),
  "matmul by tiles with the sums of its right operand's columns": compile(
    { x: f32(20, 33), dy: f32(20, 36) },
    ({ x, dy }) => ({ dw: matmul(x, dy, { transposeA: true }), db: sum(dy, { axes: 0 }) }),
  ),
  "matmul by tiles with the sums of its left operand's rows": compile(
    { x: f32(20, 33), dy: f32(20, 35) },
    ({ x, dy }) => ({ dw: matmul(dy, x, { transposeA: true }), db: sum(dy, { axes: 0 }) }),
  ),
  "batched matmul by tiles": compile({ a: f32(2, 18, 16), b: f32(2, 16, 20) }, ({ a, b }) => matmul(a, b)),
  "a vector times a matrix": compile({ v: f32(1, 68), b: f32(68, 36) }, ({ v, b }) => matmul(v, b)),
  "causal attention by tiles": compile({ q: f32(2, 20, 8), k: f32(2, 20, 8), v: f32(2, 20, 8) }, ({ q, k, v }) =>
    attention(q, k, v, { causal: true, scale: 0.5 }),
  ),
  "masked attention by tiles, more keys than queries": compile(
    { q: f32(1, 17, 16), k: f32(1, 40, 16), v: f32(1, 40, 16), m: f32(17, 40) },
    ({ q, k, v, m }) => attention(q, k, v, { mask: m }),
  ),
  "the gradient of causal attention by tiles, grouped heads": compile(
    { q: f32(2, 9, 5), k: f32(1, 34, 5), v: f32(1, 34, 8), d: f32(2, 9, 8) },
    ({ d, ...x }) => grad((p: typeof x) => attention(p.q, p.k, p.v, { causal: true }).mul(d).sum())(x),
  ),
  "the gradient of causal attention by halves of a workgroup, grouped heads": compile(
    { q: f32(2, 9, 8), k: f32(1, 34, 8), v: f32(1, 34, 12), d: f32(2, 9, 12) },
    ({ d, ...x }) => grad((p: typeof x) => attention(p.q, p.k, p.v, { causal: true }).mul(d).sum())(x),
  ),
  "the gradient of masked attention by halves of a workgroup": compile(
    { q: f32(1, 9, 8), k: f32(1, 12, 8), v: f32(1, 12, 8), m: f32(9, 12), d: f32(1, 9, 8) },
    ({ d, m, ...x }) => grad((p: typeof x) => attention(p.q, p.k, p.v, { mask: m }).mul(d).sum())(x),
  ),
  "the gradient of masked attention by blocks of tiles": compile(
    { q: f32(1, 33, 20), k: f32(1, 9, 20), v: f32(1, 9, 20), m: f32(33, 9), d: f32(1, 33, 20) },
    ({ d, m, ...x }) => grad((p: typeof x) => attention(p.q, p.k, p.v, { mask: m }).mul(d).sum())(x),
  ),
  "normalised rows times a matrix, by its own kernel": compile({ v: f32(2, 68), b: f32(68, 36) }, ({ v, b }) =>
    matmul(layerNorm(v), b),
  ),
  "attention of one query by the invocations of a workgroup": compile(
    { q: f32(2, 1, 8), k: f32(2, 40, 8), v: f32(2, 40, 8) },
    ({ q, k, v }) => attention(q, k, v),
  ),
  "a few rows times a transposed matrix": compile({ v: f32(3, 64), b: f32(24, 64) }, ({ v, b }) =>
    matmul(v, b, { transposeB: true }),
  ),
};

/** The program on the CPU, dispatch by dispatch, with what the detector has to say of every kernel. */
function runOnCpu(m: Manifest, inputs: Readonly<Record<string, NDArray>>) {
  const buffers = m.buffers.map((b) => {
    const words = new Uint32Array(b.size / 4);
    if (b.init) words.set(b.init);
    return words;
  });
  const wordsOf = (w: Window): Uint32Array =>
    (buffers[w.buffer] as Uint32Array).subarray(w.offset / 4, (w.offset + w.size) / 4);
  for (const p of m.inputs) wordsOf(p.window).set(encodeWords(p.dtype, (inputs[p.name] as NDArray).data));
  const found: string[] = [];
  for (const d of m.dispatches) {
    // What lies behind a window is NaN: an element read there must not count.
    const bound = d.bindings.map((w) => {
      const words = new Uint32Array(w.size / 4 + 16).fill(0x7fc0dead);
      words.set(wordsOf(w));
      return words;
    });
    const kernel = m.kernels[d.kernel] as KernelSpec;
    const { races, errors } = detectRaces(
      kernel,
      d.workgroups,
      bound.map((b) => b.buffer),
    );
    found.push(...races, ...errors);
    d.bindings.forEach((w, i) => {
      if (kernel.bindings[i] === "read_write") wordsOf(w).set((bound[i] as Uint32Array).subarray(0, w.size / 4));
    });
  }
  const results = m.outputs.map((o): [string, NDArray] => {
    const view = o.dtype === "f32" ? Float32Array : Int32Array;
    const n = o.shape.reduce((p, d) => p * d, 1);
    const data = new view(wordsOf(o.window).slice().buffer, 0, n);
    return [o.name, { dtype: o.dtype, shape: o.shape, data: Float64Array.from(data) }];
  });
  return { found, results: Object.fromEntries(results) };
}

function inputsOf(graph: Graph): Record<string, NDArray> {
  const random = randomOf(7);
  return Object.fromEntries(
    graph.inputs.map((n) => {
      const shape = n.type.shape as readonly number[];
      const size = shape.reduce((p, d) => p * d, 1);
      const data = Float64Array.from({ length: size }, () => Math.fround(random() * 4 - 2));
      return [n.attrs.name as string, { dtype: "f32" as const, shape, data }];
    }),
  );
}

const sharesMemory = (m: Manifest): boolean => m.kernels.some((k) => k.requires.workgroupBytes > 0);

describe("kernels with workgroup memory have no races and the interpreter's results", () => {
  test.each(Object.entries(cases))("%s", (_, { graph }) => {
    const { manifest } = compileGraph(graph, capabilities, { fuse: "legal" });
    expect(sharesMemory(manifest)).toBe(true);
    const inputs = inputsOf(graph);
    const { found, results } = runOnCpu(manifest, inputs);
    expect(found).toEqual([]);
    for (const [name, expected] of Object.entries(interpret(graph, inputs))) {
      const largest = expected.data.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
      expect(difference(results[name] as NDArray, expected, 1e-5 * largest), name).toBeUndefined();
    }
  });
});

test("rows added to a table by many updates: no races", () => {
  const { graph } = compile({ x: f32(5, 64), i: f32(66, 1), u: f32(66, 64) }, ({ x, i, u }) =>
    scatterND(x, cast(i, "i32"), u, { reduction: "add" }),
  );
  // Small workgroups: the detector does not know what larger ones use, workgroupUniformLoad.
  const limits = { ...capabilities.limits, maxComputeInvocationsPerWorkgroup: 128 };
  const { manifest } = compileGraph(graph, { ...capabilities, limits });
  expect(sharesMemory(manifest)).toBe(true);
  // The detector's own arithmetic on bits is not WGSL's: test/gpu/scatter.test.ts has the results.
  const { found } = runOnCpu(manifest, inputsOf(graph));
  expect(found).toEqual([]);
  const barrier = "workgroupBarrier();";
  const kernels = manifest.kernels.map((k) => ({ ...k, wgsl: k.wgsl.replace(barrier, "") }));
  expect(runOnCpu({ ...manifest, kernels }, inputsOf(graph)).found.join()).toMatch(/race/i);
});

describe("the detector finds a missing barrier", () => {
  const barrier = "workgroupBarrier();";
  for (const name of [
    "softmax of odd rows, several a workgroup",
    "sums of columns",
    "matmul by tiles",
    "a vector times a matrix",
  ]) {
    test(name, () => {
      const { graph } = cases[name] as { graph: Graph };
      const { manifest } = compileGraph(graph, capabilities);
      const inputs = inputsOf(graph);
      const parts = (manifest.kernels[0] as KernelSpec).wgsl.split(barrier);
      expect(parts.length).toBeGreaterThan(2);
      const without = (n: number): string => parts.slice(0, n).join(barrier) + parts.slice(n).join(barrier);
      // Right after the first writes, and in the midst.
      for (const n of [1, Math.ceil(parts.length / 2)]) {
        const kernel = { ...(manifest.kernels[0] as KernelSpec), wgsl: without(n) };
        const { found } = runOnCpu({ ...manifest, kernels: [kernel] }, inputs);
        expect(found.join("\n"), `barrier ${n} of ${parts.length - 1}`).toMatch(/race/i);
      }
    });
  }
});
