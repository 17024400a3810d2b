import { describe, expect, it } from "vitest";
import { dim, dimText } from "../../src/ir/dim.ts";
import { count, type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { expectClose, i32, refused, run, t, typed, values } from "./run.ts";

/** Deterministic values that look random. */
const noise = (shape: number[], seed: number, dtype: "f32" | "f16" = "f32"): NDArray =>
  ndarray(
    dtype,
    shape,
    Array.from({ length: count(shape) }, (_, i) => Math.sin(seed * 12.9898 + i * 78.233) * 1.7),
  );

interface Options {
  causal?: boolean;
  scale?: number;
  mask?(h: number, i: number, j: number): number;
}

/** Attention by its definition, one query at a time: q [B, Hq, T, D], k [B, Hk, S, D], v [B, Hk, S, Dv]. */
function byDefinition(q: NDArray, k: NDArray, v: NDArray, o: Options = {}): Float64Array {
  const [B, Hq, T, D] = q.shape as [number, number, number, number];
  const [, Hk, S] = k.shape as [number, number, number, number];
  const Dv = v.shape[3] as number;
  const out = new Float64Array(B * Hq * T * Dv);
  for (let b = 0; b < B; b++)
    for (let h = 0; h < Hq; h++)
      for (let i = 0; i < T; i++) {
        const kv = b * Hk + Math.floor(h / (Hq / Hk));
        const weights = Array.from({ length: S }, (_, j) => {
          let dot = 0;
          for (let d = 0; d < D; d++)
            dot += (q.data[((b * Hq + h) * T + i) * D + d] as number) * (k.data[(kv * S + j) * D + d] as number);
          const masked = o.causal && j > i + S - T;
          return masked ? 0 : Math.exp(dot * (o.scale ?? 1 / Math.sqrt(D)) + (o.mask?.(h, i, j) ?? 0));
        });
        const sum = weights.reduce((p, w) => p + w, 0);
        weights.forEach((w, j) => {
          for (let d = 0; d < Dv && sum > 0; d++) {
            const at = ((b * Hq + h) * T + i) * Dv + d;
            out[at] = (out[at] as number) + (w / sum) * (v.data[(kv * S + j) * Dv + d] as number);
          }
        });
      }
  return out;
}

describe("attention", () => {
  const q = noise([2, 4, 3, 8], 1);
  const k = noise([2, 4, 5, 8], 2);
  const v = noise([2, 4, 5, 6], 3);
  it("is softmax(q k^T / sqrt(D)) v", () => {
    expectClose(run("attention", [q, k, v]), byDefinition(q, k, v));
    expectClose(run("attention", [q, k, v], { scale: 0.25 }), byDefinition(q, k, v, { scale: 0.25 }));
  });
  it("causal aligns the last query with the last key", () => {
    expectClose(run("attention", [q, k, v], { causal: true }), byDefinition(q, k, v, { causal: true }));
    const first = run("attention", [t([[[1]]]), t([[[1], [9]]]), t([[[5], [7]]])], { causal: true });
    expect(first.shape).toEqual([1, 1, 1]);
    expect(first.data[0]).toBeGreaterThan(6.9);
  });
  it("repeats grouped heads, at any rank", () => {
    const [k2, v2] = [noise([2, 2, 5, 8], 4), noise([2, 2, 5, 6], 5)];
    expectClose(run("attention", [q, k2, v2], { causal: true }), byDefinition(q, k2, v2, { causal: true }));
    const flat = (x: NDArray): NDArray => ({ ...x, shape: x.shape.slice(1), data: x.data.slice(0, x.data.length / 2) });
    const one = (x: NDArray): NDArray => ({ ...flat(x), shape: [1, ...x.shape.slice(1)] });
    expectClose(run("attention", [flat(q), flat(k2), flat(v2)]), byDefinition(one(q), one(k2), one(v2)));
  });
  it("adds a mask that broadcasts; a row masked everywhere gives 0", () => {
    const none = Number.NEGATIVE_INFINITY;
    const mask = t([
      [0, none, 0.5, 0, 1],
      [none, none, none, none, none],
      [0, 0, 0, none, none],
    ]);
    const at = (_h: number, i: number, j: number): number => mask.data[i * 5 + j] as number;
    const y = run("attention", [q, k, v, mask]);
    expectClose(y, byDefinition(q, k, v, { mask: at }));
    expect([...y.data.slice(6, 12)]).toEqual([0, 0, 0, 0, 0, 0]);
    expectClose(run("attention", [q, k, v, mask], { causal: true }), byDefinition(q, k, v, { mask: at, causal: true }));
  });
  it("of no keys is 0", () => {
    const y = run("attention", [ndarray("f32", [1, 2, 4]), ndarray("f32", [1, 0, 4]), ndarray("f32", [1, 0, 3])]);
    expect([...y.data]).toEqual([0, 0, 0, 0, 0, 0]);
  });
  it("without features is the mean of the values that are seen, and has no default scale", () => {
    const [none, features] = [ndarray("f32", [1, 2, 0]), ndarray("f32", [1, 3, 0])];
    const y = run("attention", [none, features, t([[[1], [2], [6]]])], { causal: true, scale: 1 });
    expectClose(y, [1.5, 3]);
    const shapes = [none.shape, features.shape, [1, 3, 1]];
    expect(refused("bad-option", "attention", shapes).message).toContain("q f32[1, 2, 0] has no features");
    refused("bad-option", "attentionStats", shapes, { scale: null });
  });
  it("f16 is computed in f32: scores beyond f16's range stay finite", () => {
    const big = ndarray("f16", [1, 1, 2], [300, 300]);
    const y = run("attention", [big, big, ndarray("f16", [1, 1, 2], [1, 2])]);
    expect(y.dtype).toBe("f16");
    expect([...y.data]).toEqual([1, 2]);
  });
  it("infers symbolic lengths and refuses what does not fit", () => {
    const T = dim("T");
    expect(
      typed(
        "attention",
        [
          [8, T, 64],
          [8, T, 64],
          [8, T, 64],
        ],
        { causal: true },
      ).type.shape.map(dimText),
    ).toEqual(["8", "T", "64"]);
    refused("shape-mismatch", "attention", [
      [3, 2, 4],
      [2, 2, 4],
      [2, 2, 4],
    ]);
    refused("shape-mismatch", "attention", [
      [2, 2, 4],
      [2, 2, 5],
      [2, 2, 4],
    ]);
    refused("shape-mismatch", "attention", [
      [2, 2, 4],
      [2, 3, 4],
      [2, 2, 4],
    ]);
    refused(
      "shape-mismatch",
      "attention",
      [
        [2, 3, 4],
        [2, 2, 4],
        [2, 2, 4],
      ],
      { causal: true },
    );
    refused("shape-mismatch", "attention", [
      [2, 2, 4],
      [2, 2, 4],
      [2, 2, 4],
      [2, 2, 2, 2],
    ]);
    refused("dtype-mismatch", "attention", [
      [2, 2, 4],
      [2, 2, 4],
      [2, 2, 4],
      ["bool", 2, 2],
    ]);
    refused("dtype-mismatch", "attention", [
      [2, 2, 4],
      ["f16", 2, 2, 4],
      [2, 2, 4],
    ]);
  });
});

describe("rope", () => {
  const x = noise([2, 3, 6], 7);
  /** Pair i of a row turned as a complex number. */
  const turned = (pair: (i: number) => [number, number], positions: number[], base = 10000): Float64Array => {
    const out = x.data.slice();
    for (let row = 0; row < 6; row++)
      for (let i = 0; i < 3; i++) {
        const [p, q] = pair(i).map((d) => row * 6 + d) as [number, number];
        const angle = (positions[row % 3] as number) * Math.fround(base ** ((-2 * i) / 6));
        const [re, im] = [x.data[p] as number, x.data[q] as number];
        out[p] = re * Math.cos(angle) - im * Math.sin(angle);
        out[q] = re * Math.sin(angle) + im * Math.cos(angle);
      }
    return out;
  };
  it("turns pairs of halves or of neighbours", () => {
    expectClose(
      run("rope", [x, i32([0, 1, 5])]),
      turned((i) => [i, i + 3], [0, 1, 5]),
    );
    expectClose(
      run("rope", [x, i32([0, 1, 5])], { pairing: "neighbours", base: 100 }),
      turned((i) => [2 * i, 2 * i + 1], [0, 1, 5], 100),
    );
    expectClose(
      run("rope", [x, t([0, 0.5, 2])]),
      turned((i) => [i, i + 3], [0, 0.5, 2]),
    );
  });
  it("position 0 changes nothing, and positions broadcast", () => {
    expectClose(run("rope", [x, i32([0])]), x.data);
    const each = run("rope", [
      x,
      i32([
        [0, 1, 2],
        [0, 1, 2],
      ]),
    ]);
    expectClose(each, run("rope", [x, i32([0, 1, 2])]).data);
  });
  it("refuses an odd number of features and positions that do not fit", () => {
    refused("shape-mismatch", "rope", [
      [3, 5],
      ["i32", 3],
    ]);
    refused("shape-mismatch", "rope", [
      [3, 4],
      ["i32", 2],
    ]);
    refused("shape-mismatch", "rope", [
      [3, 4],
      ["i32", 2, 3],
    ]);
    refused("dtype-mismatch", "rope", [
      [3, 4],
      ["u32", 3],
    ]);
    expect(values("rope", [t([[1, 0]], "f16"), i32([0])])).toEqual([[1, 0]]);
  });
});
