import { describe, expect, it, test } from "vitest";
import { compile, dim, dynamicSlice, dynamicUpdateSlice, f32, i32 as i32Spec } from "../../src/index.ts";
import { i32, refused, t, typed, values } from "./run.ts";

const m = t([
  [1, 2, 3],
  [4, 5, 6],
  [7, 8, 9],
]);

describe("dynamicSlice", () => {
  it("takes the block that begins at its starts", () => {
    expect(values("dynamicSlice", [m, i32(1), i32(0)], { sizes: [2, 2] })).toEqual([
      [4, 5],
      [7, 8],
    ]);
    expect(values("dynamicSlice", [t(5)], { sizes: [] })).toBe(5);
  });
  it("moves a block that would reach outside back in, below and above", () => {
    const at = (start: number): unknown => values("dynamicSlice", [m, i32(start), i32(0)], { sizes: [2, 1] });
    expect(at(-1)).toEqual([[1], [4]]);
    expect(at(2)).toEqual([[4], [7]]);
    expect(at(2 ** 31 - 1)).toEqual([[4], [7]]);
    expect(values("dynamicSlice", [t([1, 2, 3]), t(2 ** 32 - 1, "u32")], { sizes: [1] })).toEqual([3]);
  });
  it("takes nothing, or everything", () => {
    expect(values("dynamicSlice", [m, i32(2), i32(2)], { sizes: [0, 3] })).toEqual([]);
    expect(values("dynamicSlice", [m, i32(2), i32(2)], { sizes: [3, 3] })).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ]);
  });
  it("keeps named dims until they are bound", () => {
    const T = dim("T");
    expect(typed("dynamicSlice", [[T, 4], ["i32"], ["u32"]], { sizes: [T, 2] }).type.shape).toEqual([T, 2]);
  });
  it("refuses blocks larger than x, too few starts, and starts that are no integer scalars", () => {
    refused("shape-mismatch", "dynamicSlice", [[3, 3], ["i32"], ["i32"]], { sizes: [4, 1] });
    refused("shape-mismatch", "dynamicSlice", [[3, 3], ["i32"], ["i32"]], { sizes: [1] });
    refused("bad-arguments", "dynamicSlice", [[3, 3], ["i32"]], { sizes: [1, 1] });
    refused("dtype-mismatch", "dynamicSlice", [[3], ["f32"]], { sizes: [1] });
    refused("rank-mismatch", "dynamicSlice", [[3], ["i32", 1]], { sizes: [1] });
  });
});

describe("dynamicUpdateSlice", () => {
  it("replaces the block that begins at its starts and keeps the rest", () => {
    expect(values("dynamicUpdateSlice", [m, t([[-1, -2]]), i32(2), i32(1)])).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [7, -1, -2],
    ]);
    expect(values("dynamicUpdateSlice", [t(1), t(2)])).toBe(2);
  });
  it("moves a block that would reach outside back in, as dynamicSlice", () => {
    expect(values("dynamicUpdateSlice", [t([1, 2, 3]), t([8, 9]), i32(-5)])).toEqual([8, 9, 3]);
    expect(values("dynamicUpdateSlice", [t([1, 2, 3]), t([8, 9]), i32(2)])).toEqual([1, 8, 9]);
  });
  it("gives back what a slice at the same starts takes", () => {
    for (const start of [-3, 0, 1, 2, 9]) {
      const whole = t([5, 6, 7, 8]);
      const block = t(values("dynamicSlice", [whole, i32(start)], { sizes: [3] }) as number[]);
      expect(values("dynamicUpdateSlice", [whole, block, i32(start)])).toEqual([5, 6, 7, 8]);
    }
  });
  it("refuses updates of another dtype or rank, or larger than x", () => {
    refused("dtype-mismatch", "dynamicUpdateSlice", [[3], ["i32", 1], ["i32"]]);
    refused("shape-mismatch", "dynamicUpdateSlice", [[3], [4], ["i32"]]);
    refused("shape-mismatch", "dynamicUpdateSlice", [[3, 1], [1], ["i32"], ["i32"]]);
  });
});

test("starts given as numbers are integers from 0", () => {
  const sliced = (starts: readonly number[]): void => {
    compile({ x: f32(4, 2), n: i32Spec() }, ({ x }) => dynamicSlice(x, { starts, sizes: [1, 1] }));
  };
  sliced([3, 0]);
  expect(() => sliced([-1, 0])).toThrow("count from the end yourself");
  expect(() => sliced([0.5, 0])).toThrow("integer from 0");
  expect(() => sliced([0])).toThrow("one number or scalar for each axis");
  expect(() => compile({ x: f32(4), u: f32(1) }, ({ x, u }) => dynamicUpdateSlice(x, u, undefined as never))).toThrow(
    "starts are undefined",
  );
});
