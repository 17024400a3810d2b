import { describe, expect, test } from "vitest";
import type { Graph, Node } from "../../src/ir/graph.ts";
import { parse } from "../../src/ir/parse.ts";
import { type Stage, verify } from "../../src/ir/verify.ts";

const good = parse(`graph(%x: f32[2, 4]) {
  %0 = softmax(%x) {axis: 1} : f32[2, 4]
  %1 = split(%0) {axis: 1, sizes: [1, 3]} : (f32[2, 1], f32[2, 3])
  %2 = result(%1) {index: 1} : f32[2, 3]
  return out: %2
}`);
const [x, softmax, split, result] = good.nodes as [Node, Node, Node, Node];

const complaint = (graph: Graph, stage?: Stage): string => {
  try {
    verify(graph, stage);
  } catch (e) {
    return (e as Error).message;
  }
  return "fine";
};

/** The good graph with its last node replaced. */
const ending = (node: Node): Graph => ({ ...good, nodes: [x, softmax, split, node], outputs: [{ name: "out", node }] });

test("a good graph", () => {
  expect(complaint(good)).toBe("fine");
});

describe("what it refuses", () => {
  const id = 1_000_000;
  test.each<[string, Graph, RegExp]>([
    ["a use before the definition", { ...good, nodes: [x, split, softmax, result] }, /not defined above/],
    ["a node twice", { ...good, nodes: [x, softmax, softmax, split, result] }, /twice/],
    ["an unknown op", ending({ ...result, op: "nothing" }), /no op named nothing/],
    ["too many arguments", ending({ ...softmax, id, args: [x, x] }), /takes \(x\), but 2 arguments/],
    ["an unknown attribute", ending({ ...softmax, id, attrs: { axis: 1, axes: [1] } }), /no attribute axes/],
    ["a missing attribute", ending({ ...softmax, id, attrs: {} }), /needs the attribute axis/],
    ["an attribute of the wrong type", ending({ ...softmax, id, attrs: { axis: "1" } }), /must be of type int/],
    [
      "a value that is not allowed",
      ending({ id, op: "gelu", args: [x], attrs: { approximate: "x" }, type: x.type }),
      /approximate of gelu/,
    ],
    [
      "a stored type that is not the inferred one",
      ending({ ...softmax, id, type: { dtype: "f32", shape: [4, 2] } }),
      /stored as f32\[4, 2\]/,
    ],
    ["a row's own refusal", ending({ ...softmax, id, attrs: { axis: 7 } }), /axis 7/],
    [
      "several results used directly",
      ending({ id, op: "neg", args: [split], attrs: {}, type: split.type }),
      /several results directly/,
    ],
    ["result of one result", ending({ ...result, id, args: [softmax] }), /one result/],
    [
      "an output with several results",
      { ...good, nodes: [x, softmax, split], outputs: [{ name: "out", node: split }] },
      /node with several results/,
    ],
    [
      "two outputs of one name",
      { ...good, outputs: [...good.outputs, ...good.outputs] },
      /two outputs are named "out"/,
    ],
    ["an output that is not in the list", { ...good, nodes: [x] }, /missing from the node list/],
    ["an input that is not in the signature", { ...good, inputs: [] }, /missing from the signature/],
    [
      "an input that is not in the list",
      { ...good, inputs: [x, { ...x, id, attrs: { ...x.attrs, name: "y" } }] },
      /missing from the node list/,
    ],
  ])("%s", (_, graph, message) => {
    expect(complaint(graph)).toMatch(message);
    expect(complaint(graph)).toContain("[invalid-graph]");
  });
  test("a composite after decomposition", () => {
    expect(complaint(good, "decomposed")).toMatch(/softmax is not legal in a decomposed graph/);
  });
});
