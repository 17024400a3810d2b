import { describe, expect, it } from "vitest";
import { dim, dimText } from "../../src/ir/dim.ts";
import { ndarray } from "../../src/ir/ndarray.ts";
import { expectClose, i32, refused, run, runAll, t, typed, values } from "./run.ts";

const { NEGATIVE_INFINITY: lowest, POSITIVE_INFINITY: highest, NaN: nan } = Number;
const x = t([
  [1, 2, 4],
  [0, -3, 5],
]);

describe("mean logSumExp l1 l2 sumSquare", () => {
  it("reduce over axes", () => {
    const y = t([
      [3, -4],
      [6, 8],
    ]);
    expect(values("mean", [y], { axes: [1], keepDims: false })).toEqual([-0.5, 7]);
    expect(values("mean", [y], { axes: [], keepDims: false })).toEqual([
      [3, -4],
      [6, 8],
    ]);
    expect(values("l1", [y], { axes: [1], keepDims: true })).toEqual([[7], [14]]);
    expect(values("l2", [y], { axes: [1], keepDims: false })).toEqual([5, 10]);
    expect(values("sumSquare", [y], { axes: [0, 1], keepDims: false })).toBe(125);
    expect(values("l1", [t([1, 2], "u32")], { axes: [0], keepDims: false })).toBe(3);
    // numpy: np.log(np.exp(x).sum(1))
    expectClose(run("logSumExp", [x], { axes: [1], keepDims: false }), [4.169846019556285, 5.007048510411065]);
  });
  it("the mean of nothing is NaN, the logarithm of no exponentials -inf", () => {
    const none = ndarray("f32", [2, 0]);
    expect(values("mean", [none], { axes: [1], keepDims: false })).toEqual([nan, nan]);
    expect(values("logSumExp", [none], { axes: [1], keepDims: false })).toEqual([lowest, lowest]);
  });
  it("logSumExp neither overflows nor makes NaN of infinities", () => {
    const lse = (row: number[]) => values("logSumExp", [t(row)], { axes: [0], keepDims: false });
    expect(lse([1000, 1000])).toBeCloseTo(1000 + Math.LN2, 12);
    expect(lse([lowest, lowest])).toBe(lowest);
    expect(lse([lowest, 3])).toBe(3);
    expect(lse([highest, 3])).toBe(highest);
    expect(lse([nan, 3])).toBeNaN();
  });
  it("f16 is computed in f32 and rounded once", () => {
    const big = t([30000, 30000, 30000, 30000], "f16");
    expect(values("mean", [big], { axes: [0], keepDims: false })).toBe(30000);
    expect(values("l2", [t([300, 400], "f16")], { axes: [0], keepDims: false })).toBe(500);
  });
  it("refuse integers where the result is no integer", () => {
    refused("dtype-mismatch", "mean", [["i32", 2]], { axes: [0] });
    refused("dtype-mismatch", "l2", [["i32", 2]], { axes: [0] });
  });
});

describe("argMin argMax", () => {
  const arg = (op: string, row: number[], dtype: "f32" | "i32" | "u32" | "f16" = "f32") =>
    values(op, [t(row, dtype)], { axis: 0, keepDims: false });
  it("give the first of equals along an axis", () => {
    expect(
      values(
        "argMax",
        [
          t([
            [1, 5],
            [7, 2],
            [7, 5],
          ]),
        ],
        { axis: 0, keepDims: false },
      ),
    ).toEqual([1, 0]);
    expect(
      values(
        "argMin",
        [
          t([
            [1, 5],
            [7, 2],
          ]),
        ],
        { axis: 1, keepDims: true },
      ),
    ).toEqual([[0], [1]]);
    expect(run("argMin", [x], { axis: 1 }).dtype).toBe("i32");
  });
  it("find infinities, NaN and the extremes of integers", () => {
    expect(arg("argMax", [lowest, lowest])).toBe(0);
    expect(arg("argMin", [highest, highest])).toBe(0);
    expect(arg("argMax", [1, nan, 9, nan])).toBe(1);
    expect(arg("argMin", [1, nan, -9, nan])).toBe(1);
    expect(arg("argMin", [2147483647, 2147483647], "i32")).toBe(0);
    expect(arg("argMax", [-2147483648, -2147483648], "i32")).toBe(0);
    expect(arg("argMax", [0, 4294967295], "u32")).toBe(1);
    expect(arg("argMax", [0.5, 2, 1], "f16")).toBe(1);
  });
  it("refuse an empty axis", () => {
    refused("empty-axis", "argMax", [[2, 0]], { axis: 1 });
    expect(run("argMax", [ndarray("f32", [0, 2])], { axis: 1 }).shape).toEqual([0]);
  });
});

describe("squeeze flip split stack oneHot triangular", () => {
  it("squeeze drops axes of size 1", () => {
    expect(values("squeeze", [t([[[1], [2]]])], { axes: [0, 2] })).toEqual([1, 2]);
    refused("shape-mismatch", "squeeze", [[2, 1]], { axes: [0] });
  });
  it("flip reverses, also empty tensors", () => {
    expect(values("flip", [x], { axes: [0, 1] })).toEqual([
      [5, -3, 0],
      [4, 2, 1],
    ]);
    expect(run("flip", [ndarray("f32", [2, 0])], { axes: [0, 1] }).shape).toEqual([2, 0]);
  });
  it("split cuts into several results", () => {
    const [a, b] = runAll("split", [x], { axis: 1, sizes: [1, 2] });
    expect([a?.data, b?.data]).toEqual([Float64Array.of(1, 0), Float64Array.of(2, 4, -3, 5)]);
    refused("shape-mismatch", "split", [[2, 3]], { axis: 1, sizes: [1, 1] });
    const T = dim("T");
    expect(typed("split", [[T, 2]], { axis: 0, sizes: [1, T] }).results?.map((r) => r.shape.map(dimText))).toEqual([
      ["1", "2"],
      ["T", "2"],
    ]);
  });
  it("stack joins along a new axis", () => {
    expect(values("stack", [t([1, 2]), t([3, 4])], { axis: 1 })).toEqual([
      [1, 3],
      [2, 4],
    ]);
    refused("shape-mismatch", "stack", [[2], [3]], { axis: 0 });
  });
  it("oneHot marks a class, from either end, or none", () => {
    expect(values("oneHot", [i32([0, 2, -1, 3, -4])], { depth: 3 })).toEqual([
      [1, 0, 0],
      [0, 0, 1],
      [0, 0, 1],
      [0, 0, 0],
      [0, 0, 0],
    ]);
    expect(values("oneHot", [t([1, 0], "u32")], { depth: 2, axis: 0, dtype: "i32", on: 5, off: -1 })).toEqual([
      [-1, 5],
      [5, -1],
    ]);
  });
  it("triangular keeps one side of a diagonal", () => {
    const ones = ndarray("f32", [3, 3], new Float64Array(9).fill(1));
    const tri = (upper: boolean, diagonal: number) => [...run("triangular", [ones], { upper, diagonal }).data].join("");
    expect(tri(true, 0)).toBe("111011001");
    expect(tri(false, 0)).toBe("100110111");
    expect(tri(true, 1)).toBe("011001000");
    expect(tri(false, -1)).toBe("000100110");
    expect(values("triangular", [t([[highest, 2]])], { upper: true, diagonal: 1 })).toEqual([[0, 2]]);
  });
});

describe("embedding scatterAdd", () => {
  const table = t([
    [1, 2],
    [3, 4],
    [5, 6],
  ]);
  it("embedding takes rows", () => {
    expect(values("embedding", [table, i32([[2, 0]])])).toEqual([
      [
        [5, 6],
        [1, 2],
      ],
    ]);
  });
  it("embedding refuses a table without rows, unless there are no ids", () => {
    const { message } = refused("empty-axis", "embedding", [
      [0, 4],
      ["i32", 3],
    ]);
    expect(message).toContain("embedding: axis 0 of table f32[0, 4] is empty, but ids are i32[3]");
    expect(
      typed("embedding", [
        [0, 4],
        ["i32", 0],
      ]).type.shape,
    ).toEqual([0, 4]);
  });
  it("scatterAdd adds slices at indices, along any axis", () => {
    expect(
      values(
        "scatterAdd",
        [
          table,
          i32([0, 0, -1, 7]),
          t([
            [1, 1],
            [2, 2],
            [10, 10],
            [9, 9],
          ]),
        ],
        { axis: 0 },
      ),
    ).toEqual([
      [4, 5],
      [3, 4],
      [15, 16],
    ]);
    expect(
      values(
        "scatterAdd",
        [
          table,
          i32([1, 1]),
          t([
            [1, 1],
            [2, 2],
            [3, 3],
          ]),
        ],
        { axis: 1 },
      ),
    ).toEqual([
      [1, 4],
      [3, 8],
      [5, 12],
    ]);
    const cube = ndarray("f32", [2, 3, 2]);
    const updates = ndarray(
      "f32",
      [2, 2, 2, 2],
      Array.from({ length: 16 }, (_, i) => i),
    );
    const y = run(
      "scatterAdd",
      [
        cube,
        i32([
          [0, 2],
          [2, 0],
        ]),
        updates,
      ],
      { axis: 1 },
    );
    expect([...y.data]).toEqual([6, 8, 0, 0, 6, 8, 22, 24, 0, 0, 22, 24]);
  });
  it("scatterAdd is the adjoint of gather", () => {
    const u = t([
      [2, 3],
      [5, 7],
      [11, 13],
    ]);
    const ids = i32([2, 0, 2]);
    const picked = run("gather", [table, ids], { axis: 0 });
    const back = run("scatterAdd", [ndarray("f32", [3, 2]), ids, u], { axis: 0 });
    const dot = (a: Float64Array, b: Float64Array) => a.reduce((s, v, i) => s + v * (b[i] as number), 0);
    expect(dot(picked.data, u.data)).toBe(dot(table.data, back.data));
  });
});
