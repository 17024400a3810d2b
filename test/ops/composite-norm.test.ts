import { describe, expect, it } from "vitest";
import { ndarray } from "../../src/ir/ndarray.ts";
import { expectClose, i32, refused, run, t, typed, values } from "./run.ts";

const { NEGATIVE_INFINITY: lowest, POSITIVE_INFINITY: highest, NaN: nan } = Number;
const x = t([
  [1, 2, 4],
  [0, -3, 5],
]);

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
