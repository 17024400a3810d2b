import { describe, expect, it } from "vitest";
import { dim, dimText } from "../../src/ir/dim.ts";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { i32, nested, refused, run, runAll, t, typed, values } from "./run.ts";

const inf = Number.POSITIVE_INFINITY;
const m = t([
  [1, 2, 3],
  [4, 5, 6],
]);

describe("sum prod reduceMin reduceMax", () => {
  it("reduce any axes, keeping them or not", () => {
    expect(values("sum", [m], { axes: [0], keepDims: false })).toEqual([5, 7, 9]);
    expect(values("sum", [m], { axes: [1], keepDims: true })).toEqual([[6], [15]]);
    expect(values("sum", [m], { axes: [0, 1], keepDims: false })).toBe(21);
    expect(values("prod", [m], { axes: [1], keepDims: false })).toEqual([6, 120]);
    expect(values("reduceMin", [m], { axes: [1], keepDims: false })).toEqual([1, 4]);
    expect(values("reduceMax", [m], { axes: [0], keepDims: false })).toEqual([4, 5, 6]);
  });
  it("an empty list of axes reduces nothing", () => {
    expect(run("sum", [m], { axes: [], keepDims: false })).toEqual(m);
  });
  it("of no elements give the identity", () => {
    const none = { axes: [1], keepDims: false };
    const empty = (dtype: NDArray["dtype"]) => ndarray(dtype, [2, 0]);
    expect(values("sum", [empty("f32")], none)).toEqual([0, 0]);
    expect(values("prod", [empty("f32")], none)).toEqual([1, 1]);
    expect(values("reduceMin", [empty("f32")], none)).toEqual([inf, inf]);
    expect(values("reduceMax", [empty("f16")], none)).toEqual([-inf, -inf]);
    expect(values("reduceMin", [empty("i32")], none)).toEqual([2147483647, 2147483647]);
    expect(values("reduceMax", [empty("i32")], none)).toEqual([-2147483648, -2147483648]);
    expect(values("reduceMin", [empty("u32")], none)).toEqual([4294967295, 4294967295]);
    expect(values("any", [empty("bool")], none)).toEqual([0, 0]);
    expect(values("all", [empty("bool")], none)).toEqual([1, 1]);
    expect(run("sum", [ndarray("f32", [0, 3])], none).shape).toEqual([0]);
  });
  it("propagate NaN", () => {
    const x = t([1, Number.NaN, 3]);
    for (const op of ["sum", "prod", "reduceMin", "reduceMax"]) {
      expect(values(op, [x], { axes: [0], keepDims: false })).toBeNaN();
    }
  });
  it("wrap integers and round f16 once", () => {
    const all = { axes: [0], keepDims: false };
    expect(values("sum", [i32([2147483647, 1])], all)).toBe(-2147483648);
    expect(values("prod", [i32([65537, 65537])], all)).toBe(131073);
    expect(values("prod", [t([65537, 65537], "u32")], all)).toBe(131073);
    expect(values("sum", [t([2048, 1, 1], "f16")], all)).toBe(2050);
    expect(values("sum", [t([60000, 60000, -60000], "f16")], all)).toBe(60000);
  });
  it("infer symbolic shapes and refuse wrong axes and dtypes", () => {
    const T = dim("T");
    expect(typed("sum", [[2, T, 3]], { axes: [0, 2], keepDims: true }).type.shape.map(dimText)).toEqual([
      "1",
      "T",
      "1",
    ]);
    refused("bad-axis", "sum", [[2, 3]], { axes: [2] });
    refused("bad-axis", "sum", [[2, 3]], { axes: [-1] });
    refused("bad-axis", "sum", [[2, 3]], { axes: [1, 0] });
    refused("bad-axis", "sum", [[2, 3]], { axes: [0, 0] });
    refused("dtype-mismatch", "sum", [["bool", 2]], { axes: [0] });
    refused("dtype-mismatch", "any", [["f32", 2]], { axes: [0] });
  });
});

describe("any all", () => {
  it("reduce truth", () => {
    const x = t(
      [
        [0, 1],
        [1, 1],
      ],
      "bool",
    );
    expect(values("any", [x], { axes: [1], keepDims: false })).toEqual([1, 1]);
    expect(values("all", [x], { axes: [1], keepDims: false })).toEqual([0, 1]);
  });
});

/** A combine graph of f32 states: `fn` gets the nodes a0…, b0… and an op shorthand. */
function combine(
  n: number,
  fn: (op: (name: string, ...args: Node[]) => Node, a: Node[], b: Node[], lit: (v: number) => Node) => Node[],
): Graph {
  const g = new GraphBuilder();
  const state = (name: string) =>
    Array.from({ length: n }, (_, i) => g.input(`${name}${i}`, { dtype: "f32", shape: [] }));
  const [a, b] = [state("a"), state("b")];
  const r = fn(
    (name, ...args) => g.add(name, args),
    a,
    b,
    (v) => g.const(v, "f32"),
  );
  return makeGraph(
    [...a, ...b],
    r.map((node, i) => ({ name: `r${i}`, node })),
  );
}

describe("reduce", () => {
  const x = t([
    [1, 2, 4, 9],
    [-1, 0, 0, 1],
  ]);
  const like = (v: number) => ndarray("f32", x.shape, new Float64Array(8).fill(v));

  // Chan, Golub and LeVeque's pairwise update of Welford's (count, mean, M2).
  it("expresses Welford's mean and variance", () => {
    const welford = combine(3, (op, a, b, lit) => {
      const n = op("add", a[0] as Node, b[0] as Node);
      const delta = op("sub", b[1] as Node, a[1] as Node);
      const safe = op("max", n, lit(1));
      const share = op("div", b[0] as Node, safe);
      const mean = op("add", a[1] as Node, op("mul", delta, share));
      const cross = op("mul", op("mul", delta, delta), op("mul", a[0] as Node, share));
      return [n, mean, op("add", op("add", a[2] as Node, b[2] as Node), cross)];
    });
    const [n, mean, m2] = runAll("reduce", [like(1), x, like(0)], {
      axes: [1],
      keepDims: false,
      combine: welford,
      identity: [0, 0, 0],
    });
    expect(nested(n as NDArray)).toEqual([4, 4]);
    expect(nested(mean as NDArray)).toEqual([4, 0]);
    expect(nested(m2 as NDArray)).toEqual([38, 2]);
  });

  // Milakov and Gimelshein's online normaliser: (maximum, sum of exponentials).
  it("expresses the online softmax normaliser", () => {
    const online = combine(2, (op, a, b) => {
      const top = op("max", a[0] as Node, b[0] as Node);
      const part = (s: Node[]) => op("mul", s[1] as Node, op("exp", op("sub", s[0] as Node, top)));
      return [top, op("add", part(a), part(b))];
    });
    const [top, sum] = runAll("reduce", [x, like(1)], {
      axes: [1],
      keepDims: true,
      combine: online,
      identity: [-3e38, 0],
    });
    expect(nested(top as NDArray)).toEqual([[9], [1]]);
    const want = [[1, 2, 4, 9].map((v) => Math.exp(v - 9)), [-1, 0, 0, 1].map((v) => Math.exp(v - 1))];
    want.forEach((row, i) => {
      expect((sum as NDArray).data[i]).toBeCloseTo(
        row.reduce((p, q) => p + q),
        12,
      );
    });
  });

  it("refuses graphs that do not combine the states", () => {
    const add = combine(1, (op, a, b) => [op("add", a[0] as Node, b[0] as Node)]);
    const attrs = { axes: [0], keepDims: false, combine: add, identity: [0] };
    typed("reduce", [[2]], attrs);
    refused("bad-combine", "reduce", [[2], [2]], { ...attrs, identity: [0, 0] });
    refused("bad-combine", "reduce", [["i32", 2]], attrs);
    refused("bad-attribute", "reduce", [[2]], { ...attrs, identity: [] });
    refused("dtype-mismatch", "reduce", [["f16", 2]], attrs);
    const two = combine(2, (_, a) => [...a]);
    refused("shape-mismatch", "reduce", [[2], [3]], { ...attrs, combine: two, identity: [0, 0] });
    const bad = combine(1, (_op, a) => [new GraphBuilder().add("sum", [a[0] as Node], { axes: [] })]);
    refused("bad-combine", "reduce", [[2]], { ...attrs, combine: bad });
  });
});

describe("cumSum", () => {
  const x = t([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  it("sums along an axis, from either end, with or without the element", () => {
    expect(values("cumSum", [x], { axis: 1 })).toEqual([
      [1, 3, 6],
      [4, 9, 15],
    ]);
    expect(values("cumSum", [x], { axis: 0 })).toEqual([
      [1, 2, 3],
      [5, 7, 9],
    ]);
    expect(values("cumSum", [x], { axis: 1, exclusive: true })).toEqual([
      [0, 1, 3],
      [0, 4, 9],
    ]);
    expect(values("cumSum", [x], { axis: 1, reverse: true })).toEqual([
      [6, 5, 3],
      [15, 11, 6],
    ]);
    expect(values("cumSum", [x], { axis: 1, exclusive: true, reverse: true })).toEqual([
      [5, 3, 0],
      [11, 6, 0],
    ]);
  });
  it("handles empty axes, wraps integers and rounds each f16 element once", () => {
    expect(run("cumSum", [ndarray("f32", [2, 0])], { axis: 1 }).data.length).toBe(0);
    expect(values("cumSum", [i32([2147483647, 1])], { axis: 0 })).toEqual([2147483647, -2147483648]);
    expect(values("cumSum", [t([2048, 1, 1], "f16")], { axis: 0 })).toEqual([2048, 2048, 2050]);
    refused("bad-axis", "cumSum", [[2]], { axis: 1 });
    refused("dtype-mismatch", "cumSum", [["bool", 2]], { axis: 0 });
  });
});
