import { describe, expect, test } from "vitest";
import { GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { decomposed, interpret } from "../../src/ir/interpret.ts";
import { ndarray } from "../../src/ir/ndarray.ts";
import { nested, runAll, t } from "./run.ts";

/** x → a x + b, one after another. */
function affine() {
  const b = new GraphBuilder();
  const [a0, a1, b0, b1] = ["a0", "a1", "b0", "b1"].map((n) => b.input(n, { dtype: "f32", shape: [] })) as [
    Node,
    Node,
    Node,
    Node,
  ];
  const shift = b.add("add", [b.add("mul", [a1, b0]), b1]);
  return makeGraph(
    [a0, a1, b0, b1],
    [
      { name: "r0", node: b.add("mul", [a0, b0]) },
      { name: "r1", node: shift },
    ],
  );
}
const attrs = { combine: affine(), identity: [1, 0] };

describe("exclusiveScan", () => {
  const [factor, shift] = [t([[2, 3, 0.5]]), t([[1, -1, 4]])];
  test("combines what precedes each element, in order", () => {
    const [a, b] = runAll("exclusiveScan", [factor, shift], { axis: 1, ...attrs });
    expect(nested(a as never)).toEqual([[1, 2, 6]]);
    expect(nested(b as never)).toEqual([[0, 1, 2]]);
  });
  test("reverse: what follows it, in the same order", () => {
    const [a, b] = runAll("exclusiveScan", [factor, shift], { axis: 1, reverse: true, ...attrs });
    expect(nested(a as never)).toEqual([[1.5, 0.5, 1]]);
    expect(nested(b as never)).toEqual([[3.5, 4, 0]]);
  });

  test.each([0, 1, 2, 3, 5, 8, 13])("of %s elements equals its decomposition by doubling", (n) => {
    for (const reverse of [false, true]) {
      const b = new GraphBuilder();
      const inputs = [0, 1].map((i) => b.input(`a${i}`, { dtype: "f32", shape: [2, n, 3] }));
      const node = b.add("exclusiveScan", inputs, { axis: 1, reverse, ...attrs });
      const whole = makeGraph(
        inputs,
        b.results(node).map((r, i) => ({ name: `r${i}`, node: r })),
      );
      const values = Object.fromEntries(
        [0, 1].map((i) => {
          const data = Array.from({ length: 6 * n }, (_, k) => (((k * 7 + i * 5) % 9) - 4) / 4);
          return [`a${i}`, ndarray("f32", [2, n, 3], data)];
        }),
      );
      const [want, have] = [interpret(whole, values), interpret(decomposed(node), values)];
      for (const name of ["r0", "r1"]) expect(have[name]).toEqual(want[name]);
    }
  });
});
