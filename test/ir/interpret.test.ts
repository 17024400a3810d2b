import { describe, expect, test } from "vitest";
import { type Graph, GraphBuilder, makeGraph } from "../../src/ir/graph.ts";
import { decomposed, interpret } from "../../src/ir/interpret.ts";
import { ndarray } from "../../src/ir/ndarray.ts";
import { parse } from "../../src/ir/parse.ts";

const run = (text: string, inputs: Record<string, ReturnType<typeof ndarray>> = {}): Record<string, number[]> =>
  Object.fromEntries(Object.entries(interpret(parse(text), inputs)).map(([k, v]) => [k, [...v.data]]));

const codeOf = (fn: () => unknown): string => {
  try {
    fn();
  } catch (e) {
    return (e as { code: string }).code;
  }
  return "no error";
};

test("elementwise ops broadcast as NumPy does", () => {
  const { out } = run(
    `graph(%x: f32[2, 3], %y: f32[3], %z: f32[2, 1]) {
      %0 = add(%x, %y) : f32[2, 3]
      %1 = mul(%0, %z) : f32[2, 3]
      return out: %1
    }`,
    {
      x: ndarray("f32", [2, 3], [1, 2, 3, 4, 5, 6]),
      y: ndarray("f32", [3], [10, 20, 30]),
      z: ndarray("f32", [2, 1], [1, -1]),
    },
  );
  expect(out).toEqual([11, 22, 33, -14, -25, -36]);
});

test("f16 rounds at every op, f32 at none, integers wrap", () => {
  const { half, single, int } = run(`graph() {
    %0 = const() {value: 0.1, dtype: f16, shape: []} : f16[]
    %1 = add(%0, %0) : f16[]
    %2 = const() {value: 0.1, dtype: f32, shape: []} : f32[]
    %3 = add(%2, %2) : f32[]
    %4 = const() {value: 65536, dtype: i32, shape: []} : i32[]
    %5 = mul(%4, %4) : i32[]
    return half: %1, single: %3, int: %5
  }`);
  expect(half).toEqual([0.199951171875]);
  expect(single).toEqual([0.2]);
  expect(int).toEqual([0]);
});

test("views, padding, joins and a product", () => {
  const { padded, joined, product } = run(
    `graph(%x: f32[2, 2]) {
      %0 = transpose(%x) {perm: [1, 0]} : f32[2, 2]
      %1 = pad(%0) {low: [1, 0], high: [0, 1], mode: "constant", value: 9} : f32[3, 3]
      %2 = slice(%x) {starts: [1, 0], steps: [-1, 1], sizes: [2, 2]} : f32[2, 2]
      %3 = concat(%x, %2) {axis: 0} : f32[4, 2]
      %4 = matmul(%3, %x) : f32[4, 2]
      return padded: %1, joined: %3, product: %4
    }`,
    { x: ndarray("f32", [2, 2], [1, 2, 3, 4]) },
  );
  expect(padded).toEqual([9, 9, 9, 1, 3, 9, 2, 4, 9]);
  expect(joined).toEqual([1, 2, 3, 4, 3, 4, 1, 2]);
  expect(product).toEqual([7, 10, 15, 22, 15, 22, 7, 10]);
});

test("several results, composites and reductions with a tuple state", () => {
  const { right, soft, at } = run(
    `graph(%x: f32[3], %i: i32[3]) {
      %0 = split(%x) {axis: 0, sizes: [1, 2]} : (f32[1], f32[2])
      %1 = result(%0) {index: 1} : f32[2]
      %2 = softmax(%1) {axis: 0} : f32[2]
      %3 = reduce(%x, %i) {axes: [0], keepDims: false, combine: graph(%a0: f32[], %a1: i32[], %b0: f32[], %b1: i32[]) {
        %0 = greaterEqual(%a0, %b0) : bool[]
        %1 = where(%0, %a0, %b0) : f32[]
        %2 = where(%0, %a1, %b1) : i32[]
        return r0: %1, r1: %2
      }, identity: [-inf, -1]} : (f32[], i32[])
      %4 = result(%3) {index: 1} : i32[]
      return right: %1, soft: %2, at: %4
    }`,
    { x: ndarray("f32", [3], [2, 5, 5]), i: ndarray("i32", [3], [10, 11, 12]) },
  );
  expect(right).toEqual([5, 5]);
  expect(soft).toEqual([0.5, 0.5]);
  expect(at).toEqual([11]);
});

test("tensors without elements", () => {
  const { sum, max, joined } = run(
    `graph(%x: f32[0, 3], %y: f32[1, 3]) {
      %0 = sum(%x) {axes: [0], keepDims: false} : f32[3]
      %1 = reduceMax(%x) {axes: [0, 1], keepDims: false} : f32[]
      %2 = concat(%x, %y) {axis: 0} : f32[1, 3]
      return sum: %0, max: %1, joined: %2
    }`,
    { x: ndarray("f32", [0, 3]), y: ndarray("f32", [1, 3], [1, 2, 3]) },
  );
  expect(sum).toEqual([0, 0, 0]);
  expect(max).toEqual([Number.NEGATIVE_INFINITY]);
  expect(joined).toEqual([1, 2, 3]);
});

test("a chain of a hundred thousand nodes does not overflow the stack", () => {
  const b = new GraphBuilder();
  const x = b.input("x", { dtype: "f32", shape: [] });
  let y = x;
  for (let i = 0; i < 100_000; i++) y = b.add("neg", [y]);
  const graph = makeGraph([x], [{ name: "out", node: y }]);
  expect(interpret(graph, { x: ndarray("f32", [], [3]) }).out?.data[0]).toBe(3);
});

test("a composite's decomposition is made once", () => {
  const node = parse("graph(%x: f32[3]) {\n%0 = softmax(%x) {axis: 0} : f32[3]\nreturn out: %0\n}").nodes[1];
  expect(decomposed(node as never)).toBe(decomposed(node as never));
});

describe("inputs that do not fit", () => {
  const graph: Graph = parse("graph(%x: f32[2]) {\n return out: %x\n}");
  test.each([
    ["missing-input", {}],
    ["extra-input", { x: ndarray("f32", [2]), z: ndarray("f32", [2]) }],
    ["shape-mismatch", { x: ndarray("f32", [3]) }],
    ["dtype-mismatch", { x: ndarray("i32", [2]) }],
    ["shape-mismatch", { x: { dtype: "f32", shape: [2], data: new Float64Array(3) } as const }],
  ])("%s", (code, inputs) => {
    expect(codeOf(() => interpret(graph, inputs as never))).toBe(code);
  });
  test("a symbolic shape", () => {
    const symbolic = parse("graph<T = 4>(%x: f32[T]) {\n %0 = neg(%x) : f32[T]\n return out: %0\n}");
    expect(codeOf(() => interpret(symbolic, { x: ndarray("f32", [4]) }))).toBe("unbound-dim");
  });
});
