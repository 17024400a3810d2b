import fc from "fast-check";
import type { DType } from "../../src/base/dtype.ts";
import { type Attrs, type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { count, type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { print } from "../../src/ir/print.ts";
import { benign, randomOf } from "../support/values.ts";
import type { Inputs } from "./check-graph.ts";

/** A graph of one op whose arguments have to fit each other, and its inputs. */
export interface ShapedCase {
  readonly graph: Graph;
  readonly inputs: Inputs;
}

/** Makes inputs as they are asked for and the graph of what `body` returns. */
class Maker {
  readonly b = new GraphBuilder();
  readonly random: () => number;
  private readonly nodes: Node[] = [];
  private readonly values: Record<string, NDArray> = {};

  constructor(seed: number) {
    this.random = randomOf(seed);
  }
  input(dtype: DType, shape: readonly number[], data?: ArrayLike<number>): Node {
    const name = `x${this.nodes.length}`;
    const node = this.b.input(name, { dtype, shape });
    this.nodes.push(node);
    this.values[name] = data ? ndarray(dtype, shape, data) : benign(dtype, shape, this.random);
    return node;
  }
  /** Indices of an axis of size n, some counting from the end and some beyond both ends. */
  indices(dtype: "i32" | "u32", shape: readonly number[], n: number): Node {
    const [from, to] = dtype === "u32" ? [0, n + 2] : [-n - 2, n + 2];
    return this.input(
      dtype,
      shape,
      Array.from({ length: count(shape) }, () => from + Math.floor(this.random() * (to - from))),
    );
  }
  done(made: Node): ShapedCase {
    const outputs = this.b.results(made).map((node, i) => ({ name: `y${i}`, node }));
    const shaped = { graph: makeGraph(this.nodes, outputs), inputs: this.values };
    return Object.defineProperties(shaped, {
      [fc.toStringMethod]: { value: () => print(shaped.graph), enumerable: false },
    });
  }
}

/** `make` with a record of choices and a seed for the inputs. */
function cases<T>(
  choices: { [K in keyof T]: fc.Arbitrary<T[K]> },
  make: (c: T, m: Maker) => Node,
): fc.Arbitrary<ShapedCase> {
  return fc.tuple(fc.record(choices) as unknown as fc.Arbitrary<T>, fc.nat({ max: 1023 })).map(([c, seed]) => {
    const m = new Maker(seed);
    return m.done(make(c, m));
  });
}

const size = fc.constantFrom(3, 1, 2, 4, 5, 7, 8, 16, 17, 31, 33, 64, 65);
const small = fc.constantFrom(2, 1, 3, 4, 5, 7);
const floats = fc.constantFrom<DType>("f32", "f16");
const numbers = fc.constantFrom<DType>("f32", "f16", "i32", "u32");
const shape = (max: number): fc.Arbitrary<number[]> => fc.array(small, { minLength: 1, maxLength: max });
const some = (rank: number, bits: number): number[] =>
  Array.from({ length: rank }, (_, i) => i).filter((i) => (bits >> i) & 1);
const nat = fc.nat({ max: 255 });

const attention = cases(
  {
    dtype: floats,
    batch: fc.array(fc.constantFrom(2, 1), { maxLength: 1 }),
    heads: fc.constantFrom(1, 2, 3),
    group: fc.constantFrom(1, 2, 4),
    rows: fc.constantFrom(3, 1, 2, 5, 17, 33),
    more: fc.constantFrom(0, 1, 4, 32),
    depth: fc.constantFrom(4, 1, 2, 3, 8, 16, 17, 64),
    causal: fc.boolean(),
    mask: fc.constantFrom("none", "rows", "heads"),
    scale: fc.constantFrom(undefined, 0.25),
  },
  (c, m) => {
    const { heads, group, rows, depth } = c;
    const keys = rows + c.more;
    const q = m.input(c.dtype, [...c.batch, heads * group, rows, depth]);
    const k = m.input(c.dtype, [...c.batch, heads, keys, depth]);
    const v = m.input(c.dtype, [...c.batch, heads, keys, depth]);
    const args = [q, k, v];
    if (c.mask !== "none") {
      const to = c.mask === "rows" ? [rows, keys] : [heads * group, rows, keys];
      const values = Array.from({ length: count(to) }, () =>
        m.random() < 0.3 ? Number.NEGATIVE_INFINITY : m.random() < 0.5 ? 0 : -1,
      );
      args.push(m.input(c.dtype, to, values));
    }
    return m.b.add("attention", args, { causal: c.causal, ...(c.scale === undefined ? {} : { scale: c.scale }) });
  },
);

const matmul = cases(
  {
    dtype: numbers,
    m: size,
    n: size,
    k: fc.constantFrom(3, 0, 1, 2, 4, 16, 31, 33, 64, 130),
    left: fc.array(fc.constantFrom(2, 1), { maxLength: 2 }),
    right: fc.array(fc.constantFrom(2, 1), { maxLength: 2 }),
    swap: fc.nat({ max: 3 }),
    bias: fc.boolean(),
    after: fc.constantFrom("none", "relu", "sigmoid", "cast"),
  },
  (c, m) => {
    const operand = (batch: readonly number[], rows: number, columns: number, swapped: boolean): Node => {
      if (!swapped) return m.input(c.dtype, [...batch, rows, columns]);
      const x = m.input(c.dtype, [...batch, columns, rows]);
      const rank = batch.length;
      return m.b.add("transpose", [x], { perm: [...batch.map((_, i) => i), rank + 1, rank] });
    };
    let y = m.b.add("matmul", [
      operand(c.left, c.m, c.k, (c.swap & 1) > 0),
      operand(c.right, c.k, c.n, (c.swap & 2) > 0),
    ]);
    if (c.bias) y = m.b.add("add", [y, m.input(c.dtype, [c.n])]);
    const float = c.dtype === "f32" || c.dtype === "f16";
    if (c.after === "relu" && c.dtype !== "u32") return m.b.add("relu", [y]);
    if (c.after === "sigmoid" && float) return m.b.add("sigmoid", [y]);
    return c.after === "cast" && float ? m.b.add("cast", [y], { dtype: c.dtype === "f32" ? "f16" : "f32" }) : y;
  },
);

const gathers = cases(
  {
    dtype: numbers,
    index: fc.constantFrom("i32" as const, "u32" as const),
    op: fc.constantFrom("gather", "gatherElements", "gatherND", "embedding"),
    data: shape(3),
    wanted: shape(2),
    pick: nat,
  },
  (c, m) => {
    const axis = c.pick % c.data.length;
    const n = c.data[axis] as number;
    if (c.op === "gather")
      return m.b.add("gather", [m.input(c.dtype, c.data), m.indices(c.index, c.wanted, n)], { axis });
    if (c.op === "gatherElements") {
      const to = c.data.map((d, i) => (i === axis ? (c.wanted[0] as number) : d));
      return m.b.add("gatherElements", [m.input(c.dtype, c.data), m.indices(c.index, to, n)], { axis });
    }
    if (c.op === "embedding") {
      const table = m.input(c.dtype === "f16" ? "f16" : "f32", [n, c.pick % 9]);
      return m.b.add("embedding", [table, m.indices(c.index, c.wanted, n)]);
    }
    const depth = 1 + (c.pick % c.data.length);
    const indices = m.indices(c.index, [...c.wanted, depth], Math.min(...c.data));
    return m.b.add("gatherND", [m.input(c.dtype, c.data), indices], { batchDims: 0 });
  },
);

const scatters = cases(
  {
    dtype: numbers,
    index: fc.constantFrom("i32" as const, "u32" as const),
    op: fc.constantFrom("scatterElements", "scatterND", "scatterAdd"),
    data: shape(3),
    wanted: shape(1),
    reduction: fc.constantFrom("none", "add", "mul", "min", "max"),
    pick: nat,
  },
  (c, m) => {
    const axis = c.pick % c.data.length;
    const n = c.data[axis] as number;
    const data = m.input(c.dtype, c.data);
    const [times] = c.wanted as [number];
    const replaced = c.data.map((d, i) => (i === axis ? times : d));
    if (c.op === "scatterAdd") {
      return m.b.add("scatterAdd", [data, m.indices(c.index, [times], n), m.input(c.dtype, replaced)], { axis });
    }
    if (c.op === "scatterElements") {
      const attrs: Attrs = { axis, reduction: c.reduction };
      return m.b.add("scatterElements", [data, m.indices(c.index, replaced, n), m.input(c.dtype, replaced)], attrs);
    }
    const depth = 1 + (c.pick % c.data.length);
    const indices = m.indices(c.index, [times, depth], Math.min(...c.data));
    const updates = m.input(c.dtype, [times, ...c.data.slice(depth)]);
    return m.b.add("scatterND", [data, indices, updates], { reduction: c.reduction });
  },
);

const norms = cases(
  {
    dtype: floats,
    op: fc.constantFrom("layerNorm", "rmsNorm", "groupNorm", "instanceNorm", "batchNorm"),
    data: fc
      .array(fc.constantFrom(4, 2, 6, 1, 12, 65), { minLength: 3, maxLength: 4 })
      .filter((d) => count(d) <= 20_000),
    affine: fc.nat({ max: 3 }),
    pick: nat,
  },
  (c, m) => {
    const x = m.input(c.dtype, c.data);
    const rank = c.data.length;
    const channel = c.op === "batchNorm" ? c.pick % rank : c.op === "instanceNorm" && c.pick % 2 ? rank - 1 : 1;
    const axes = some(rank, c.pick).length ? some(rank, c.pick) : [rank - 1];
    const layer = c.op === "layerNorm" || c.op === "rmsNorm";
    const affineShape = layer ? axes.map((a) => c.data[a] as number) : [c.data[channel] as number];
    const args = [x];
    if (c.op === "batchNorm") {
      const variance = Array.from({ length: affineShape[0] as number }, () => 0.5 + m.random());
      args.push(m.input(c.dtype, affineShape), m.input("f32", affineShape, variance));
      if (c.dtype === "f16") args[2] = m.b.add("cast", [args[2] as Node], { dtype: "f16" });
    }
    const has = c.op === "rmsNorm" ? (c.affine & 1 ? [0] : []) : [0, 1].filter((i) => (c.affine >> i) & 1);
    for (const _ of has) args.push(m.input(c.dtype, affineShape));
    const channels = c.data[1] as number;
    const attrs: Record<string, Attrs> = {
      layerNorm: { axes },
      rmsNorm: { axes },
      groupNorm: { groups: channels % 2 === 0 ? 2 : 1 },
      instanceNorm: { layout: c.pick % 2 ? "nhwc" : "nchw" },
      batchNorm: { axis: channel },
    };
    return m.b.add(c.op, args, { ...attrs[c.op], epsilon: 0.01, has });
  },
);

const rows = cases(
  {
    dtype: floats,
    op: fc.constantFrom("crossEntropy", "softmax", "logSoftmax", "logSumExp", "l2", "mean", "cumSum", "argMax"),
    rows: small,
    n: fc.constantFrom(3, 1, 2, 64, 65, 255, 257, 1023, 3000),
    first: fc.boolean(),
  },
  (c, m) => {
    const axis = c.first ? 0 : 1;
    const x = m.input(c.dtype, c.first ? [c.n, c.rows] : [c.rows, c.n]);
    if (c.op === "crossEntropy") {
      const targets = Array.from({ length: c.rows }, () => Math.floor(m.random() * c.n));
      const logits = c.first ? m.b.add("transpose", [x], { perm: [1, 0] }) : x;
      return m.b.add("crossEntropy", [logits, m.input("i32", [c.rows], targets)]);
    }
    if (c.op === "softmax" || c.op === "logSoftmax") return m.b.add(c.op, [x], { axis });
    if (c.op === "cumSum") return m.b.add("cumSum", [x], { axis, exclusive: c.first, reverse: c.rows % 2 === 0 });
    if (c.op === "argMax") return m.b.add("argMax", [x], { axis, keepDims: c.first });
    return m.b.add(c.op, [x], { axes: [axis], keepDims: c.first });
  },
);

const wholes = cases(
  {
    dtype: numbers,
    op: fc.constantFrom("sum", "reduceMax", "reduceMin"),
    data: fc.constantFrom([70_000], [257, 255], [65, 33, 31], [5, 1, 7, 1, 301], [4097]),
    axes: nat,
    keepDims: fc.boolean(),
  },
  (c, m) => m.b.add(c.op, [m.input(c.dtype, c.data)], { axes: some(c.data.length, c.axes), keepDims: c.keepDims }),
);

const equations = [
  "ij,jk->ik",
  "bij,bjk->bik",
  "ij->ji",
  "ii->i",
  "ij,ij->",
  "ijk,k->ij",
  "bhtd,bhsd->bhts",
  "i,j->ij",
  "ij,kj->ik",
];
const einsum = cases(
  { equation: fc.constantFrom(...equations), dims: fc.array(small, { minLength: 8, maxLength: 8 }), dtype: floats },
  (c, m) => {
    const letters = [...new Set(c.equation.replace(/[^a-z]/g, ""))];
    const shapes = (c.equation.split("->")[0] as string)
      .split(",")
      .map((term) => [...term].map((l) => c.dims[letters.indexOf(l)] as number));
    return m.b.add(
      "einsum",
      shapes.map((d) => m.input(c.dtype, d)),
      { equation: c.equation },
    );
  },
);

/** Ops whose arguments have shapes that depend on each other, over many shapes. */
export const shapedOps: Readonly<Record<string, fc.Arbitrary<ShapedCase>>> = {
  attention,
  matmul,
  gathers,
  scatters,
  norms,
  rows,
  wholes,
  einsum,
};
