import { describe, expect, it } from "vitest";
import { dim, dimText } from "../../src/ir/dim.ts";
import { ndarray } from "../../src/ir/ndarray.ts";
import { i32, refused, run, t, typed, values } from "./run.ts";

const m = t([
  [1, 2],
  [3, 4],
  [5, 6],
]);

describe("gather", () => {
  it("picks slices along any axis", () => {
    expect(values("gather", [m, i32([2, 0])], { axis: 0 })).toEqual([
      [5, 6],
      [1, 2],
    ]);
    expect(values("gather", [m, i32([[1], [0]])], { axis: 1 })).toEqual([
      [[2], [1]],
      [[4], [3]],
      [[6], [5]],
    ]);
    expect(values("gather", [m, i32(1)], { axis: 0 })).toEqual([3, 4]);
  });
  it("wraps negative indices, then clamps", () => {
    expect(values("gather", [t([10, 20, 30]), i32([-1, -3, -9, 3, 99])], { axis: 0 })).toEqual([30, 10, 10, 30, 30]);
    expect(values("gather", [t([10, 20, 30]), t([2, 4294967295], "u32")], { axis: 0 })).toEqual([30, 30]);
  });
  it("reads nothing from an empty axis", () => {
    expect(run("gather", [ndarray("f32", [0, 2]), ndarray("i32", [0])], { axis: 0 }).shape).toEqual([0, 2]);
    refused(
      "empty-axis",
      "gather",
      [
        [0, 2],
        ["i32", 1],
      ],
      { axis: 0 },
    );
  });
  it("infers and refuses", () => {
    const node = typed(
      "gather",
      [
        [50, 8],
        ["i32", 2, dim("T")],
      ],
      { axis: 0 },
    );
    expect(node.type.shape.map(dimText)).toEqual(["2", "T", "8"]);
    refused("dtype-mismatch", "gather", [[3], ["f32", 2]], { axis: 0 });
    refused("bad-axis", "gather", [[3], ["i32", 2]], { axis: 1 });
  });
});

// ONNX's examples of GatherElements, GatherND, ScatterElements and ScatterND.
describe("gatherElements", () => {
  it("picks one element for each index", () => {
    expect(
      values(
        "gatherElements",
        [
          t([
            [1, 2],
            [3, 4],
          ]),
          i32([
            [0, 0],
            [1, 0],
          ]),
        ],
        { axis: 1 },
      ),
    ).toEqual([
      [1, 1],
      [4, 3],
    ]);
    const three = t([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ]);
    expect(
      values(
        "gatherElements",
        [
          three,
          i32([
            [-1, -2, 0],
            [-2, 0, 0],
          ]),
        ],
        { axis: 0 },
      ),
    ).toEqual([
      [7, 5, 3],
      [4, 2, 3],
    ]);
  });
  it("refuses other ranks and indices that reach outside", () => {
    refused(
      "rank-mismatch",
      "gatherElements",
      [
        [3, 3],
        ["i32", 3],
      ],
      { axis: 0 },
    );
    refused(
      "shape-mismatch",
      "gatherElements",
      [
        [3, 3],
        ["i32", 1, 4],
      ],
      { axis: 0 },
    );
  });
});

describe("gatherND", () => {
  const data = t([
    [0, 1],
    [2, 3],
  ]);
  const cube = t([
    [
      [0, 1],
      [2, 3],
    ],
    [
      [4, 5],
      [6, 7],
    ],
  ]);
  it("picks elements and slices", () => {
    expect(
      values("gatherND", [
        data,
        i32([
          [0, 0],
          [1, 1],
        ]),
      ]),
    ).toEqual([0, 3]);
    expect(values("gatherND", [data, i32([[1], [0]])])).toEqual([
      [2, 3],
      [0, 1],
    ]);
    expect(values("gatherND", [cube, i32([[[0, 1]], [[1, 0]]])])).toEqual([[[2, 3]], [[4, 5]]]);
    expect(values("gatherND", [cube, i32([[-1, -1, -9]])])).toEqual([6]);
  });
  it("has batch axes", () => {
    expect(values("gatherND", [cube, i32([[1], [0]])], { batchDims: 1 })).toEqual([
      [2, 3],
      [4, 5],
    ]);
  });
  it("refuses tuples longer than the rank", () => {
    refused("shape-mismatch", "gatherND", [
      [2, 2],
      ["i32", 1, 3],
    ]);
    refused(
      "shape-mismatch",
      "gatherND",
      [
        [2, 2],
        ["i32", 3, 1],
      ],
      { batchDims: 1 },
    );
  });
});

describe("scatterElements", () => {
  it("writes one element for each index", () => {
    const zero = ndarray("f32", [3, 3]);
    const updates = t([
      [1, 1.1, 1.2],
      [2, 2.1, 2.2],
    ]);
    expect(
      values(
        "scatterElements",
        [
          zero,
          i32([
            [1, 0, 2],
            [0, 2, 1],
          ]),
          updates,
        ],
        { axis: 0 },
      ),
    ).toEqual([
      [2, 1.1, 0],
      [1, 0, 2.2],
      [0, 2.1, 1.2],
    ]);
    expect(values("scatterElements", [t([[1, 2, 3, 4, 5]]), i32([[1, -2]]), t([[1.1, 2.1]])], { axis: 1 })).toEqual([
      [1, 1.1, 3, 2.1, 5],
    ]);
  });
  it("drops updates outside and lets the last of several win", () => {
    const put = (indices: number[], reduction: string) =>
      values("scatterElements", [t([1, 2, 3]), i32(indices), t([10, 20, 30])], { axis: 0, reduction });
    expect(put([3, -4, 0], "none")).toEqual([30, 2, 3]);
    expect(put([1, 1, 1], "none")).toEqual([1, 30, 3]);
    expect(put([1, 1, 0], "add")).toEqual([31, 32, 3]);
    expect(put([1, 1, 0], "mul")).toEqual([30, 400, 3]);
    expect(put([1, 1, 0], "min")).toEqual([1, 2, 3]);
    expect(put([1, 1, 0], "max")).toEqual([30, 20, 3]);
  });
  it("accumulates f16 without rounding between updates", () => {
    const x = [ndarray("f16", [1], [2048]), i32([0, 0]), t([1, 1], "f16")];
    expect(values("scatterElements", x, { axis: 0, reduction: "add" })).toEqual([2050]);
  });
  it("refuses updates of another shape or dtype, and arithmetic on bool", () => {
    refused("shape-mismatch", "scatterElements", [[3], ["i32", 2], [3]], { axis: 0 });
    refused("dtype-mismatch", "scatterElements", [[3], ["i32", 2], ["i32", 2]], { axis: 0 });
    refused(
      "dtype-mismatch",
      "scatterElements",
      [
        ["bool", 3],
        ["i32", 2],
        ["bool", 2],
      ],
      { axis: 0, reduction: "add" },
    );
  });
});

describe("scatterND", () => {
  it("writes elements and slices", () => {
    const data = t([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(values("scatterND", [data, i32([[4], [3], [1], [7]]), t([9, 10, 11, 12])])).toEqual([
      1, 11, 3, 10, 9, 6, 7, 12,
    ]);
    expect(
      values("scatterND", [
        m,
        i32([[-1], [5]]),
        t([
          [9, 9],
          [8, 8],
        ]),
      ]),
    ).toEqual([
      [1, 2],
      [3, 4],
      [9, 9],
    ]);
    expect(
      values(
        "scatterND",
        [
          m,
          i32([[0], [0]]),
          t([
            [9, 9],
            [8, 8],
          ]),
        ],
        { reduction: "add" },
      ),
    ).toEqual([
      [18, 19],
      [3, 4],
      [5, 6],
    ]);
  });
  it("refuses updates that do not fit", () => {
    refused("shape-mismatch", "scatterND", [
      [3, 2],
      ["i32", 1, 1],
      [1, 3],
    ]);
  });
});
