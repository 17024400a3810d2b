import { describe, expect, it } from "vitest";
import { dim, dimText } from "../../src/ir/dim.ts";
import { ndarray } from "../../src/ir/ndarray.ts";
import { i32, refused, run, t, typed, values } from "./run.ts";

describe("matmul", () => {
  it("multiplies", () => {
    expect(
      values("matmul", [
        t([
          [1, 2],
          [3, 4],
        ]),
        t([
          [5, 6],
          [7, 8],
        ]),
      ]),
    ).toEqual([
      [19, 22],
      [43, 50],
    ]);
  });
  it("broadcasts batch axes of either side", () => {
    const a = ndarray("f32", [2, 1, 1, 2], [1, 2, 3, 4]);
    const b = ndarray("f32", [3, 2, 1], [1, 1, 1, -1, 2, 0]);
    const y = run("matmul", [a, b]);
    expect(y.shape).toEqual([2, 3, 1, 1]);
    expect([...y.data]).toEqual([3, -1, 2, 7, -1, 6]);
  });
  it("of nothing is zero", () => {
    expect(values("matmul", [ndarray("f32", [2, 0]), ndarray("f32", [0, 2])])).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(run("matmul", [ndarray("f32", [0, 2, 3]), ndarray("f32", [3, 4])]).shape).toEqual([0, 2, 4]);
  });
  it("wraps integers and rounds f16 once", () => {
    expect(values("matmul", [i32([[65537, 1]]), i32([[65537], [-1]])])).toEqual([[131072]]);
    expect(values("matmul", [t([[2048, 1, 1]], "f16"), t([[1], [1], [1]], "f16")])).toEqual([[2050]]);
  });
  it("infers symbolic shapes", () => {
    const T = dim("T");
    expect(
      typed("matmul", [
        [8, T, 64],
        [64, 32],
      ]).type.shape.map(dimText),
    ).toEqual(["8", "T", "32"]);
    typed("matmul", [
      [2, T],
      [3, 4],
    ]);
  });
  it("refuses with both shapes and a hint that fits", () => {
    const e = refused("shape-mismatch", "matmul", [
      [8, 64],
      [32, 64],
    ]);
    expect(e.message).toContain("[8, 64]");
    expect(e.message).toContain("[32, 64]");
    expect(e.diagnostic.hint).toContain("transpose");
    refused("rank-mismatch", "matmul", [[3], [3, 4]]);
    refused("dtype-mismatch", "matmul", [
      [2, 3],
      ["f16", 3, 4],
    ]);
    refused("dtype-mismatch", "matmul", [
      ["bool", 2, 3],
      ["bool", 3, 4],
    ]);
    refused("shape-mismatch", "matmul", [
      [2, 3, 4],
      [3, 4, 5],
    ]);
  });
});
