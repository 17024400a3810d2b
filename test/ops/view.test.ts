import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dim, dimText } from "../../src/ir/dim.ts";
import { count, ndarray } from "../../src/ir/ndarray.ts";
import { nested, refused, run, t, typed, values } from "./run.ts";

const arange = (...shape: number[]) =>
  ndarray(
    "f32",
    shape,
    Array.from({ length: count(shape) }, (_, i) => i),
  );
const T = dim("T");

describe("reshape", () => {
  it("keeps row-major order", () => {
    expect(values("reshape", [arange(2, 6)], { shape: [3, 4] })).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9, 10, 11],
    ]);
  });
  it("refuses another number of elements, also behind a common symbolic factor", () => {
    const e = refused("shape-mismatch", "reshape", [[2, 3]], { shape: [4] });
    expect(e.message).toContain("[2, 3]");
    expect(e.message).toContain("[4]");
    refused("shape-mismatch", "reshape", [[T, 6]], { shape: [T, 2, 2] });
  });
  it("accepts symbolic sizes that may agree", () => {
    expect(typed("reshape", [[2, T, 6]], { shape: [T, 12] }).type.shape.map(dimText)).toEqual(["T", "12"]);
    typed("reshape", [[T]], { shape: [dim("U"), 4] });
  });
});

describe("transpose", () => {
  it("puts axis perm[i] at i", () => {
    const y = run("transpose", [arange(2, 3, 4)], { perm: [2, 0, 1] });
    expect(y.shape).toEqual([4, 2, 3]);
    expect(y.data.slice(0, 6)).toEqual(Float64Array.of(0, 4, 8, 12, 16, 20));
  });
  it("refuses what is no permutation", () => {
    refused("bad-axis", "transpose", [[2, 3]], { perm: [0, 0] });
    refused("bad-axis", "transpose", [[2, 3]], { perm: [0] });
  });
});

describe("expand", () => {
  it("repeats axes of size 1 and missing ones", () => {
    expect(values("expand", [t([[1], [2]])], { shape: [2, 2, 2] })).toEqual([
      [
        [1, 1],
        [2, 2],
      ],
      [
        [1, 1],
        [2, 2],
      ],
    ]);
    expect(values("expand", [t(7)], { shape: [2] })).toEqual([7, 7]);
  });
  it("refuses other sizes and fewer axes", () => {
    refused("shape-mismatch", "expand", [[2]], { shape: [3] });
    refused("shape-mismatch", "expand", [[1, 2]], { shape: [2] });
  });
});

describe("slice", () => {
  it("walks with a step, also backwards", () => {
    expect(values("slice", [arange(10)], { starts: [1], steps: [3], sizes: [3] })).toEqual([1, 4, 7]);
    expect(values("slice", [arange(10)], { starts: [9], steps: [-4], sizes: [3] })).toEqual([9, 5, 1]);
    expect(run("slice", [arange(3)], { starts: [3], steps: [1], sizes: [0] }).shape).toEqual([0]);
  });
  it("refuses reads outside, a zero step and missing entries", () => {
    refused("bad-slice", "slice", [[10]], { starts: [8], steps: [1], sizes: [3] });
    refused("bad-slice", "slice", [[10]], { starts: [1], steps: [-1], sizes: [3] });
    refused("bad-attribute", "slice", [[10]], { starts: [1], steps: [0], sizes: [3] });
    refused("bad-attribute", "slice", [[10, 2]], { starts: [1], steps: [1], sizes: [3] });
  });
});

describe("tile", () => {
  it("repeats the whole along each axis", () => {
    expect(values("tile", [t([[1, 2]])], { repeats: [2, 2] })).toEqual([
      [1, 2, 1, 2],
      [1, 2, 1, 2],
    ]);
    expect(run("tile", [arange(2, 3)], { repeats: [0, 1] }).shape).toEqual([0, 3]);
  });
  it("multiplies symbolic sizes", () => {
    expect(typed("tile", [[T]], { repeats: [3] }).type.shape.map(dimText)).toEqual(["(T * 3)"]);
    refused("bad-attribute", "tile", [[2]], { repeats: [-1] });
  });
});

// numpy.pad([1, 2, 3], …) in modes constant, edge, reflect and symmetric.
describe("pad", () => {
  const pad = (mode: string, low: number, high: number, value = 9) =>
    values("pad", [t([1, 2, 3])], { low: [low], high: [high], mode, value });
  it("fills by mode", () => {
    expect(pad("constant", 2, 1)).toEqual([9, 9, 1, 2, 3, 9]);
    expect(pad("edge", 2, 3)).toEqual([1, 1, 1, 2, 3, 3, 3, 3]);
    expect(pad("reflection", 2, 2)).toEqual([3, 2, 1, 2, 3, 2, 1]);
    expect(pad("symmetric", 3, 3)).toEqual([3, 2, 1, 1, 2, 3, 3, 2, 1]);
  });
  it("pads an empty axis with a constant only", () => {
    expect(values("pad", [ndarray("f32", [0])], { low: [1], high: [1], mode: "constant", value: 5 })).toEqual([5, 5]);
    refused("bad-padding", "pad", [[0]], { low: [1], high: [0], mode: "edge", value: 0 });
  });
  it("refuses more than a mirror holds, negative padding and unknown modes", () => {
    refused("bad-padding", "pad", [[3]], { low: [3], high: [0], mode: "reflection", value: 0 });
    refused("bad-padding", "pad", [[3]], { low: [0], high: [4], mode: "symmetric", value: 0 });
    refused("bad-attribute", "pad", [[3]], { low: [-1], high: [0], mode: "edge", value: 0 });
    refused("bad-attribute", "pad", [[3]], { low: [1], high: [0], mode: "circular", value: 0 });
  });
});

describe("concat", () => {
  it("joins along any axis", () => {
    const [a, b] = [
      t([[1], [2]]),
      t([
        [3, 4],
        [5, 6],
      ]),
    ];
    expect(values("concat", [a, b], { axis: 1 })).toEqual([
      [1, 3, 4],
      [2, 5, 6],
    ]);
    expect(values("concat", [t([1]), ndarray("f32", [0]), t([2, 3])], { axis: 0 })).toEqual([1, 2, 3]);
  });
  it("adds symbolic sizes and takes known ones from either side", () => {
    const node = typed(
      "concat",
      [
        [T, 4],
        [3, dim("U")],
      ],
      { axis: 0 },
    );
    expect(node.type.shape.map(dimText)).toEqual(["(T + 3)", "4"]);
  });
  it("refuses other shapes and dtypes", () => {
    refused(
      "shape-mismatch",
      "concat",
      [
        [2, 3],
        [2, 4],
      ],
      { axis: 0 },
    );
    refused("dtype-mismatch", "concat", [[2], ["i32", 2]], { axis: 0 });
    refused("bad-axis", "concat", [[2], [2]], { axis: 1 });
  });
});

it("views work at rank 0 and 8 and on empty tensors", () => {
  const eight = arange(1, 2, 1, 2, 1, 2, 1, 2);
  expect(run("transpose", [eight], { perm: [7, 6, 5, 4, 3, 2, 1, 0] }).data.slice(0, 4)).toEqual(
    Float64Array.of(0, 8, 4, 12),
  );
  expect(nested(run("reshape", [t(3)], { shape: [1, 1] }))).toEqual([[3]]);
  expect(values("transpose", [t(3)], { perm: [] })).toBe(3);
  expect(run("reshape", [ndarray("f32", [0, 3])], { shape: [5, 0] }).shape).toEqual([5, 0]);
  refused("rank-limit", "expand", [[2]], { shape: [1, 1, 1, 1, 1, 1, 1, 1, 2] });
});

it("the map of a reshape is the row-major one for any two shapes of equal size", async () => {
  const { numberAlgebra } = await import("../../src/ir/interpret.ts");
  const { rowOf } = await import("../../src/ir/ops.ts");
  const { forEachIndex, stridesOf } = await import("../../src/ir/ndarray.ts");
  const map = rowOf("reshape").view?.map;
  if (!map) throw new Error("reshape has no map");
  const parts = fc.array(fc.constantFrom(1, 2, 3, 4), { maxLength: 4 });
  /** Merges neighbouring factors at random, so that both shapes have the product of the factors. */
  const merge = (factors: readonly number[], cuts: readonly boolean[]): number[] => {
    const out: number[] = [];
    factors.forEach((f, i) => {
      if (i > 0 && cuts[i]) out[out.length - 1] = (out[out.length - 1] as number) * f;
      else out.push(f);
    });
    return out;
  };
  fc.assert(
    fc.property(
      parts,
      fc.array(fc.boolean(), { minLength: 4 }),
      fc.array(fc.boolean(), { minLength: 4 }),
      (f, a, b) => {
        const [from, to] = [merge(f, a), merge(f, b)];
        const strides = stridesOf(from);
        forEachIndex(to, (index, k) => {
          const source = map(numberAlgebra, index, { attrs: {}, from, to });
          expect(source.reduce((n, s, i) => n + s * (strides[i] as number), 0)).toBe(k);
          source.forEach((s, i) => {
            expect(s >= 0 && s < (from[i] as number)).toBe(true);
          });
        });
      },
    ),
    { numRuns: 200 },
  );
});
