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

// Values of NumPy's formulas in f64.
describe("softmax logSoftmax", () => {
  const soft = [
    0.04201006613406605, 0.1141951993845945, 0.8437947344813395, 0.006690621492609113, 0.0003331064296760298,
    0.9929762720777149,
  ];
  it("normalise along an axis", () => {
    expectClose(run("softmax", [x], { axis: 1 }), soft, 1e-14);
    expectClose(
      run("logSoftmax", [x], { axis: 1 }),
      soft.map((v) => Math.log(v)),
    );
    expectClose(run("softmax", [t([[1], [1]])], { axis: 0 }), [0.5, 0.5]);
  });
  it("do not overflow; a row of -inf gives NaN", () => {
    expect(values("softmax", [t([1000, 1000])], { axis: 0 })).toEqual([0.5, 0.5]);
    expect(values("softmax", [t([lowest, 0])], { axis: 0 })).toEqual([0, 1]);
    expect(values("softmax", [t([lowest, lowest])], { axis: 0 })).toEqual([nan, nan]);
    expect(values("softmax", [t([60000, 60000], "f16")], { axis: 0 })).toEqual([0.5, 0.5]);
  });
  it("keep f16 and refuse integers", () => {
    expect(run("softmax", [t([1, 2], "f16")], { axis: 0 }).dtype).toBe("f16");
    refused("dtype-mismatch", "softmax", [["i32", 2]], { axis: 0 });
    refused("bad-axis", "softmax", [[2]], { axis: -1 });
  });
});

describe("crossEntropy", () => {
  it("is minus the logarithm of the target's probability", () => {
    expectClose(run("crossEntropy", [x, i32([2, 1])]), [0.1698460195562857, 8.007048510411064]);
    expectClose(run("crossEntropy", [x, t([2, 1], "u32")]), [0.1698460195562857, 8.007048510411064]);
  });
  it("works on any shape of positions", () => {
    expect(values("crossEntropy", [t([0, 0]), i32(1)])).toBeCloseTo(Math.LN2, 12);
    expect(run("crossEntropy", [ndarray("f32", [2, 3, 5]), ndarray("i32", [2, 3])]).shape).toEqual([2, 3]);
  });
  it("ignores negative targets and gives NaN for classes that do not exist", () => {
    expect(values("crossEntropy", [x, i32([-100, 3])])).toEqual([0, nan]);
    expect(values("crossEntropy", [t([[lowest, 0]]), i32([0])])).toEqual([highest]);
  });
  it("refuses other shapes", () => {
    refused("shape-mismatch", "crossEntropy", [
      [2, 3],
      ["i32", 3],
    ]);
    refused("dtype-mismatch", "crossEntropy", [[2, 3], [2]]);
  });
});

describe("norms", () => {
  it("layerNorm centres and scales over axes", () => {
    const plain = run("layerNorm", [x], { axes: [1], epsilon: 1e-5 });
    expectClose(
      plain,
      [
        -1.069041531450298, -0.267260382862575, 1.336301914312872, -0.202030416141395, -1.111167288777672,
        1.313197704919066,
      ],
      1e-13,
    );
    expectClose(
      run("layerNorm", [x, t([1, 2, 3]), t([0.5, 0, -0.5])], { axes: [1] }),
      [
        -0.569041531450298, -0.534520765725149, 3.508905742938616, 0.297969583858605, -2.222334577555343,
        3.439593114757199,
      ],
      1e-13,
    );
    const bias = run("layerNorm", [x, t([1, 1, 1])], { axes: [1], has: [1] });
    expectClose(
      bias,
      [...plain.data].map((v) => v + 1),
    );
  });
  it("layerNorm's parameters follow the order of the axes", () => {
    const z = t([
      [
        [1, 2],
        [3, 5],
      ],
      [
        [8, 13],
        [21, 34],
      ],
    ]);
    expectClose(
      run(
        "layerNorm",
        [
          z,
          t([
            [1, 10],
            [100, 1000],
          ]),
        ],
        { axes: [2, 0] },
      ),
      [
        -1.031421026807535, -82.51368214460277, -1.008961768425629, -85.06932557314128, 4.125684107230138,
        1443.989437530548, 4.154548458223179, 1444.200178334724,
      ],
      1e-12,
    );
  });
  it("layerNorm over no axes leaves the bias", () => {
    expect(values("layerNorm", [t([7, 8]), t(3)], { axes: [], has: [1] })).toEqual([3, 3]);
  });
  it("f16 variance does not overflow", () => {
    const y = run("layerNorm", [t([-1000, 1000], "f16")], { axes: [0] });
    expect([...y.data]).toEqual([-1, 1]);
  });
  it("rmsNorm divides by the root of the mean square", () => {
    expectClose(
      run("rmsNorm", [x, t([1, 2, 1])], { axes: [1] }),
      [0.377964203034893, 2 * 0.755928406069786, 1.511856812139572, 0, 2 * -0.891132395532448, 1.485220659220748],
      1e-13,
    );
  });
  it("batchNorm uses given statistics along the channel axis", () => {
    const y = run(
      "batchNorm",
      [
        t([
          [1, 2],
          [3, 4],
        ]),
        t([1, 2]),
        t([4, 9]),
        t([2, 3]),
        t([0, 1]),
      ],
      { axis: 1, epsilon: 0 },
    );
    expectClose(y, [0, 1, 2, 3]);
    expectClose(
      run(
        "batchNorm",
        [
          t([
            [1, 2],
            [3, 4],
          ]),
          t([1, 2]),
          t([4, 4]),
        ],
        { axis: 0, epsilon: 0 },
      ),
      [0, 0.5, 0.5, 1],
    );
    expectClose(run("batchNorm", [t([[3]]), t([1]), t([4]), t([5])], { axis: 0, epsilon: 0, has: [1] }), [6]);
  });
  it("groupNorm normalises groups of channels", () => {
    const g = t([
      [
        [1, 2],
        [3, 4],
        [10, 20],
        [30, 40],
      ],
    ]);
    expectClose(
      run("groupNorm", [g, t([1, 2, 3, 4]), t([0, 0, 0, 1])], { groups: 2 }),
      [
        -1.341635419968927, -0.447211806656309, 0.894423613312618, 2.683270839937854, -4.024922198502737,
        -1.341640732834246, 2.788854310445661, 6.366562931336983,
      ],
      1e-12,
    );
    refused("bad-attribute", "groupNorm", [[1, 4, 2]], { groups: 3 });
  });
  it("instanceNorm normalises each channel of each item, in either layout", () => {
    const q = ndarray("f32", [1, 2, 2, 2], [0, 1, 4, 9, 16, 25, 36, 49]);
    expectClose(
      run("instanceNorm", [q, t([1, 2])], { layout: "nhwc" }),
      [
        -0.999999974489797, -2.182178869887024, -0.714285696064141, -1.309307321932214, 0.142857139212828,
        0.436435773977405, 1.571428531341109, 3.055050417841834,
      ],
      1e-12,
    );
    expectClose(
      run("instanceNorm", [q], { layout: "nchw" }),
      [
        -0.999999591836985, -0.714285422740703, 0.142857084548141, 1.571427930029547, -1.256183351379349,
        -0.526786566707469, 0.36469839233594, 1.418271525750878,
      ],
      1e-12,
    );
  });
  it("refuse parameters of another shape and a wrong list of optional ones", () => {
    const e = refused("shape-mismatch", "layerNorm", [[2, 3], [2]], { axes: [1] });
    expect(e.message).toContain("[2, 3]");
    expect(e.diagnostic.cause).toContain("[3]");
    refused(
      "dtype-mismatch",
      "layerNorm",
      [
        [2, 3],
        ["f16", 3],
      ],
      { axes: [1] },
    );
    refused("bad-arguments", "layerNorm", [[2, 3], [3]], { axes: [1], has: [0, 1] });
    refused("bad-arguments", "layerNorm", [[2, 3], [3]], { axes: [1], has: [2] });
    typed(
      "layerNorm",
      [
        ["f16", 2, 3],
        ["f32", 3],
        ["f16", 3],
      ],
      { axes: [1] },
    );
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

describe("random", () => {
  const seed = t([123, 456], "u32");
  const n = 20000;
  const moments = (data: Float64Array) => {
    const mean = data.reduce((s, v) => s + v, 0) / data.length;
    return { mean, variance: data.reduce((s, v) => s + (v - mean) ** 2, 0) / data.length };
  };
  it("uniform fills [0, 1) with multiples of 2^-24", () => {
    const { data } = run("uniform", [seed], { shape: [n], stream: 0 });
    expect(data.every((v) => v >= 0 && v < 1 && Number.isInteger(v * 2 ** 24))).toBe(true);
    const { mean, variance } = moments(data);
    // Five standard errors of the mean of n values with variance 1/12.
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / n));
    expect(variance).toBeCloseTo(1 / 12, 2);
  });
  it("normal has mean 0, variance 1 and the right tails", () => {
    const { data, shape } = run("normal", [seed], { shape: [n / 4, 4], stream: 0 });
    expect(shape).toEqual([n / 4, 4]);
    const { mean, variance } = moments(data);
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    const beyond = data.filter((v) => Math.abs(v) > 1.959964).length / n;
    expect(Math.abs(beyond - 0.05)).toBeLessThan(5 * Math.sqrt((0.05 * 0.95) / n));
    expect(data.every(Number.isFinite)).toBe(true);
  });
  it("bernoulli is true with probability p", () => {
    const { data, dtype } = run("bernoulli", [seed], { shape: [n], stream: 1, p: 0.3 });
    expect(dtype).toBe("bool");
    expect(Math.abs(moments(data).mean - 0.3)).toBeLessThan(5 * Math.sqrt(0.21 / n));
    expect(values("bernoulli", [seed], { shape: [2], p: 0 })).toEqual([0, 0]);
    expect(values("bernoulli", [seed], { shape: [2], p: 1 })).toEqual([1, 1]);
    refused("bad-attribute", "bernoulli", [["u32", 2]], { shape: [2], p: 1.5 });
  });
  it("seeds and streams decide, and nothing else", () => {
    const draw = (s: number, stream: number) => [...run("uniform", [t([s, 0], "u32")], { shape: [8], stream }).data];
    expect(draw(1, 0)).toEqual(draw(1, 0));
    expect(draw(1, 0)).not.toEqual(draw(2, 0));
    expect(draw(1, 0)).not.toEqual(draw(1, 1));
    refused("bad-seed", "uniform", [["i32", 2]], { shape: [2] });
  });
});
