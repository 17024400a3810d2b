import fc from "fast-check";
import { expect, test } from "vitest";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { print } from "../../src/ir/print.ts";
import { decompose } from "../../src/passes/decompose.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { benignInputs, difference } from "../support/values.ts";

const attentions = (g: Graph): Node[] => g.nodes.filter((n) => n.op === "attention");

/** Sizes of an attention: `group` query heads share a head of k and v, there are `more` keys than queries. */
const sizes = fc.record({
  lead: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  heads: fc.integer({ min: 1, max: 3 }),
  group: fc.integer({ min: 1, max: 3 }),
  queries: fc.integer({ min: 2, max: 6 }),
  more: fc.integer({ min: 0, max: 4 }),
  // With one feature a transposed k is k reshaped, and its repeated heads are not told apart.
  features: fc.integer({ min: 2, max: 5 }),
  values: fc.integer({ min: 1, max: 5 }),
  causal: fc.boolean(),
  mask: fc.constantFrom("none", "row", "full"),
  scale: fc.constantFrom(1, 0.5, 0.3, -2),
});

test("what attention decomposes to is recognised as the same attention", () => {
  const property = fc.property(sizes, (s) => {
    const b = new GraphBuilder();
    const [hq, keys] = [s.heads * s.group, s.queries + s.more];
    const input = (name: string, shape: number[]): Node => b.input(name, { dtype: "f32", shape });
    const masks = { none: [], row: [[keys]], full: [[...s.lead, 1, s.queries, keys]] }[s.mask];
    const inputs = [
      input("q", [...s.lead, hq, s.queries, s.features]),
      input("k", [...s.lead, s.heads, keys, s.features]),
      input("v", [...s.lead, s.heads, keys, s.values]),
      ...masks.map((shape) => input("mask", shape)),
    ];
    const node = b.add("attention", inputs, { causal: s.causal, scale: s.scale });
    const direct = makeGraph(inputs, [{ name: "out", node }]);
    const spelled = decompose(direct);
    expect(attentions(spelled)).toHaveLength(0);
    const found = optimise(spelled);
    expect(attentions(found), print(found)).toHaveLength(1);
    const [made] = attentions(found) as [Node];
    expect(made.attrs).toEqual({ causal: s.causal, scale: s.scale });
    expect(made.args.map((a) => a.type)).toEqual(inputs.map((a) => a.type));
    const given = benignInputs(direct);
    const [want, got] = [interpret(direct, given).out, interpret(found, given).out] as [NDArray, NDArray];
    expect(difference(got, want, 1e-12)).toBeUndefined();
  });
  fc.assert(property, { numRuns: 60, seed: 3 });
});

test("attention of an empty operand, for which there is no kernel, is spelled out", () => {
  const sizes: readonly (readonly [number, number, number, number])[] = [
    [2, 3, 0, 4],
    [2, 3, 4, 0],
    [2, 0, 4, 4],
    [0, 3, 4, 4],
  ];
  for (const [T, S, D, Dv] of sizes) {
    const b = new GraphBuilder();
    const shapes = { q: [2, T, D], k: [1, S, D], v: [1, S, Dv] };
    const inputs = Object.entries(shapes).map(([name, shape]) => b.input(name, { dtype: "f32", shape }));
    const node = b.add("attention", inputs, { causal: false, scale: 1 });
    const graph = makeGraph(inputs, [{ name: "out", node }]);
    const made = optimise(graph);
    expect(attentions(made), print(made)).toHaveLength(0);
    const given = benignInputs(graph);
    const [want, got] = [interpret(graph, given).out, interpret(made, given).out] as [NDArray, NDArray];
    expect(difference(got, want, 1e-12)).toBeUndefined();
  }
});

/** Ways in which people write causal scores, T queries and S keys; each gives the scores that softmax sees. */
const spellings: Readonly<Record<string, (b: GraphBuilder, scores: Node, T: number, S: number) => Node>> = {
  "triangle of ones, 1 - it, times a large negative number": (b, scores, T, S) => {
    const ones = b.const(1, "f32", [T, S]);
    const lower = b.add("triangular", [ones], { upper: false, diagonal: S - T });
    const hidden = b.add("sub", [b.const(1, "f32"), lower]);
    return b.add("add", [scores, b.add("mul", [hidden, b.const(-1e9, "f32")])]);
  },
  "where on a triangle that equals 0": (b, scores, T, S) => {
    const lower = b.add("triangular", [b.const(1, "f32", [T, S])], { upper: false, diagonal: S - T });
    return b.add("where", [b.add("equal", [lower, b.const(0, "f32")]), b.const(-Infinity, "f32"), scores]);
  },
  "upper triangle of a tensor of -inf": (b, scores, T, S) => {
    const mask = b.add("triangular", [b.const(-Infinity, "f32", [T, S])], { upper: true, diagonal: S - T + 1 });
    return b.add("add", [mask, scores]);
  },
  "slice of a larger square of comparisons": (b, scores, T, S) => {
    const square = [S + 3, S + 3];
    const row = b.add("iota", [], { axis: 0, dtype: "i32", shape: square });
    const column = b.add("iota", [], { axis: 1, dtype: "i32", shape: square });
    const part = (x: Node): Node => b.add("slice", [x], { starts: [S - T, 0], steps: [1, 1], sizes: [T, S] });
    const seen = b.add("not", [b.add("greater", [part(column), part(row)])]);
    return b.add("where", [b.add("reshape", [seen], { shape: [1, T, S] }), scores, b.const(-3.4e38, "f32")]);
  },
  "a literal of booleans": (b, scores, T, S) => {
    const data = Array.from({ length: T * S }, (_, i) => ((i % S) - (S - T) <= Math.floor(i / S) ? 1 : 0));
    return b.add("where", [
      b.add("literal", [], { data, dtype: "bool", shape: [T, S] }),
      scores,
      b.const(-1e30, "f32"),
    ]);
  },
  "positions as floats, sums on both sides": (b, scores, T, S) => {
    const row = b.add("iota", [], { axis: 1, dtype: "f32", shape: [1, T, 1] });
    const column = b.add("iota", [], { axis: 2, dtype: "f32", shape: [1, 1, S] });
    const late = b.add("sub", [column, row]);
    return b.add("where", [b.add("less", [late, b.const(S - T + 1, "f32")]), scores, b.const(-Infinity, "f32")]);
  },
};

test.each(Object.entries(spellings))("causal: %s", (_, spell) => {
  for (const [T, S] of [
    [4, 4],
    [3, 7],
  ] as const) {
    const b = new GraphBuilder();
    const [q, k, v] = [
      ["q", T],
      ["k", S],
      ["v", S],
    ].map(([name, n]) => b.input(name as string, { dtype: "f32", shape: [2, n as number, 8] })) as [Node, Node, Node];
    const product = b.add("matmul", [q, b.add("transpose", [k], { perm: [0, 2, 1] })]);
    const scores = spell(b, b.add("div", [product, b.const(4, "f32")]), T, S);
    const out = b.add("matmul", [b.add("softmax", [scores], { axis: 2 }), v]);
    const graph = makeGraph([q, k, v], [{ name: "out", node: out }]);
    const found = optimise(graph);
    expect(
      attentions(found).map((n) => n.attrs),
      print(found),
    ).toEqual([{ causal: true, scale: 0.25 }]);
    expect(found.nodes.map((n) => n.op)).toEqual(["input", "input", "input", "attention"]);
    const given = benignInputs(graph);
    expect(
      difference(interpret(found, given).out as NDArray, interpret(graph, given).out as NDArray, 1e-9),
    ).toBeUndefined();
  }
});

test("a triangle that is off by one is a mask, not causal", () => {
  const b = new GraphBuilder();
  const [q, k, v] = ["q", "k", "v"].map((n) => b.input(n, { dtype: "f32", shape: [2, 4, 8] })) as [Node, Node, Node];
  const row = b.add("iota", [], { axis: 0, dtype: "i32", shape: [4, 1] });
  const column = b.add("iota", [], { axis: 1, dtype: "i32", shape: [1, 4] });
  const seen = b.add("lessEqual", [column, b.add("add", [row, b.const(1, "i32")])]);
  const product = b.add("matmul", [q, b.add("transpose", [k], { perm: [0, 2, 1] })]);
  const scores = b.add("where", [seen, product, b.const(-Infinity, "f32")]);
  const out = b.add("matmul", [b.add("softmax", [scores], { axis: 2 }), v]);
  const graph = makeGraph([q, k, v], [{ name: "out", node: out }]);
  const found = optimise(graph);
  const [made] = attentions(found) as [Node];
  expect([made.attrs.causal, made.args.length]).toEqual([false, 4]);
  const given = benignInputs(graph);
  expect(
    difference(interpret(found, given).out as NDArray, interpret(graph, given).out as NDArray, 1e-9),
  ).toBeUndefined();
});
