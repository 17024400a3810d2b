import { describe, expect, test } from "vitest";
import * as s from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import type { ndarray } from "../../src/ir/ndarray.ts";
import { linear, mergeHeads, mlp, selfAttention, splitHeads } from "../../src/nn/index.ts";

/** What the interpreter gives for a function of constants. */
function resultOf(fn: () => s.Tensor): { shape: readonly number[]; data: number[] } {
  const { graph } = s.compile({}, fn);
  const out = interpret(graph, {}).out as ReturnType<typeof ndarray>;
  return { shape: out.shape, data: [...out.data] };
}
const c = (data: s.HostData, shape?: number[], dtype?: s.DType) => s.constant(data, shape, dtype);
const count = (...shape: number[]) => s.iota([shape.reduce((a, b) => a * b, 1)], { dtype: "f32" }).reshape(shape);

describe("the language means what NumPy means", () => {
  test.each<[string, () => s.Tensor, readonly number[], readonly number[]]>([
    ["matrix times vector", () => count(2, 3).matmul(c([1, 0, 2])), [2], [4, 13]],
    ["vector times matrix", () => c([1, 2]).matmul(count(2, 3)), [3], [6, 9, 12]],
    ["vector times vector", () => c([1, 2]).matmul(c([3, 4])), [], [11]],
    ["vector times batch", () => c([1, 1]).matmul(count(2, 2, 1)), [2, 1], [1, 5]],
    ["batch times vector", () => count(2, 1, 2).matmul(c([1, 1])), [2, 1], [1, 5]],
    [
      "transposed operands",
      () => count(3, 2).matmul(count(2, 3), { transposeA: true, transposeB: true }),
      [2, 2],
      [10, 28, 13, 40],
    ],
    ["vector with transposeB", () => c([1, 2]).matmul(count(3, 2), { transposeB: true }), [3], [2, 8, 14]],
    ["slice backwards", () => count(5).slice([[null, null, -2]]), [3], [4, 2, 0]],
    ["slice with lists", () => count(2, 3).slice({ starts: [1, -2], ends: [null, 3] }), [1, 2], [4, 5]],
    ["split", () => (count(4).split({ sizes: [1, 3] })[1] as s.Tensor).neg(), [3], [-1, -2, -3]],
    ["stack", () => s.stack([count(2), count(2).add(5)], { axis: 1 }), [2, 2], [0, 5, 1, 6]],
    ["flip", () => count(2, 2).flip({ axes: 1 }), [2, 2], [1, 0, 3, 2]],
    ["tile", () => count(2).tile([2]), [4], [0, 1, 0, 1]],
    ["unsqueeze and broadcast", () => count(2).unsqueeze({ axes: 1 }).add(count(3)), [2, 3], [0, 1, 2, 1, 2, 3]],
    ["sub from a number", () => s.sub(1, count(3)), [3], [1, 0, -1]],
    ["where with numbers", () => s.where(count(3).greater(0), 1, count(3).sub(1)), [3], [-1, 1, 1]],
    ["max of two and over axes", () => s.max(count(2, 2).max({ axes: 0 }), 2.5), [2], [2.5, 3]],
    ["clamp on one side", () => count(3).clamp(null, 1), [3], [0, 1, 1]],
    ["einsum", () => s.einsum("ij, ij", count(2, 2), count(2, 2)), [], [14]],
    [
      "mean of losses",
      () =>
        s
          .crossEntropy(
            c([
              [0, 0],
              [0, 0],
            ]),
            c([0, 1], undefined, "i32"),
          )
          .exp(),
      [],
      [2],
    ],
    ["scatterAdd", () => s.scatterAdd(c([0, 0]), c([1, 1, 0], [3], "i32"), c([1, 2, 4])), [2], [4, 3]],
    ["cumSum", () => count(2, 2).cumSum({ axis: 0 }), [2, 2], [0, 1, 2, 4]],
    [
      "argMax along the last axis",
      () =>
        c([
          [1, 3, 2],
          [5, 4, 5],
        ]).argMax(),
      [2],
      [1, 0],
    ],
  ])("%s", (_, fn, shape, data) => {
    const out = resultOf(fn);
    expect(out.shape).toEqual(shape);
    expect(out.data.length).toBe(data.length);
    for (const [i, x] of out.data.entries()) expect(x).toBeCloseTo(data[i] as number, 5);
  });

  test("reduce with a state of three: Welford's mean and variance", () => {
    const x = c([
      [1, 2, 3, 4],
      [2, 2, 2, 10],
    ]);
    const variance = () => {
      const [, m2, n] = s.reduce([x, s.constant(0, [2, 4]), s.constant(1, [2, 4])], {
        axes: 1,
        identity: [0, 0, 0],
        combine: ([meanA, m2A, nA], [meanB, m2B, nB]) => {
          const n = nA.add(nB);
          const share = s.where(n.equal(0), 0, nB.div(n));
          const delta = meanB.sub(meanA);
          return [meanA.add(delta.mul(share)), m2A.add(m2B).add(delta.mul(delta).mul(nA).mul(share)), n];
        },
      });
      return m2.div(n);
    };
    expect(resultOf(variance)).toEqual({ shape: [2], data: [1.25, 12] });
  });
});

describe("layers", () => {
  test("linear, either layout, with and without bias", () => {
    const x = () => c([[1, 2]]);
    const weight = () =>
      c([
        [1, 2, 3],
        [4, 5, 6],
      ]);
    expect(resultOf(() => linear(x(), { weight: weight() })).data).toEqual([9, 12, 15]);
    expect(
      resultOf(() => linear(x(), { weight: weight().transpose(), bias: c([1, 0, 0]) }, { transposed: true })).data,
    ).toEqual([10, 12, 15]);
  });

  test("heads split and merge", () => {
    expect(resultOf(() => splitHeads(count(2, 4), 2))).toEqual({ shape: [2, 2, 2], data: [0, 1, 4, 5, 2, 3, 6, 7] });
    expect(resultOf(() => mergeHeads(splitHeads(count(2, 4), 2))).data).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(() => resultOf(() => splitHeads(count(2, 4), 3))).toThrow(/f32\[2, 4\] does not split into 3 heads/);
  });

  test("mlp, plain and gated, with an activation of one's own", () => {
    const id = () => ({
      weight: c([
        [1, 0],
        [0, 1],
      ]),
    });
    const x = () => c([[1, -2]]);
    expect(resultOf(() => mlp(x(), { up: id(), down: id() }, { activation: s.relu })).data).toEqual([1, 0]);
    const gated = () => mlp(x(), { up: id(), down: id(), gate: id() }, { activation: (y) => y.add(1) });
    expect(resultOf(gated).data).toEqual([2, 2]);
  });

  test("self-attention is attention between its projections; packed equals separate", () => {
    const [T, C] = [3, 4];
    const w = (seed: number) => count(C, C).mul(0.1).add(seed).sin();
    const out = () => ({ weight: w(3) });
    const x = () => count(T, C).cos();
    const apart = () =>
      selfAttention(
        x(),
        { query: { weight: w(0) }, key: { weight: w(1) }, value: { weight: w(2) }, out: out() },
        { heads: 2, causal: true },
      );
    const packed = () =>
      selfAttention(
        x(),
        { qkv: { weight: s.concat([w(0), w(1), w(2)], { axis: 1 }) }, out: out() },
        { heads: 2, causal: true },
      );
    const byHand = () => {
      const [q, k, v] = [0, 1, 2].map((i) => splitHeads(x().matmul(w(i)), 2)) as [s.Tensor, s.Tensor, s.Tensor];
      return mergeHeads(s.attention(q, k, v, { causal: true })).matmul(w(3));
    };
    expect(resultOf(apart)).toEqual(resultOf(byHand));
    expect(resultOf(packed)).toEqual(resultOf(byHand));
    const shared = () =>
      selfAttention(
        x(),
        { qkv: { weight: s.concat([w(0), w(1)], { axis: 1 }) }, out: out() },
        { heads: 2, kvHeads: 1 },
      );
    expect(resultOf(shared).shape).toEqual([T, C]);
    expect(() => resultOf(() => selfAttention(x(), { qkv: { weight: w(0) }, out: out() }, { heads: 2 }))).toThrow(
      /2 \+ 2 \* 2 heads do not divide/,
    );
  });
});

test("a CPU tensor has the shape and dtype of its data", () => {
  expect(
    s.tensor([
      [1, 2],
      [3, 4],
    ]),
  ).toEqual({ dtype: "f32", shape: [2, 2], data: new Float32Array([1, 2, 3, 4]) });
  expect(s.tensor(new Uint8Array([1, 0]), [2], "bool")).toEqual({
    dtype: "bool",
    shape: [2],
    data: new Uint8Array([1, 0]),
  });
  expect(s.tensor([true]).dtype).toBe("bool");
  expect(s.tensor(new Int16Array([-1])).data).toEqual(new Int32Array([-1]));
  expect(s.tensor([], [0, 3]).shape).toEqual([0, 3]);
  expect(() => s.tensor([1, 2], [3])).toThrow(/2 elements do not fill shape \[3\]/);
  expect(() => s.tensor([300.5], [1], "u32")).toThrow(/not a value of dtype u32/);
});
