import { describe, expect, test } from "vitest";
import { fuse } from "../../src/fuse/fuse.ts";
import { inPlaceInputs } from "../../src/fuse/in-place.ts";
import { legalise } from "../../src/fuse/legalise.ts";
import { parse } from "../../src/ir/parse.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { profiles } from "../../src/runtime/profiles.ts";

/** Which inputs (by name) each output (by op) may be written over, region by region. */
function pairs(text: string): Record<string, string[]>[] {
  const graph = legalise(optimise(parse(text)), 8);
  const { regions } = fuse(graph, profiles.base, "legal");
  return regions.map((r) =>
    Object.fromEntries(
      [...inPlaceInputs(r)].map(([o, list]) => [o.op, list.map((n) => String(n.attrs.name ?? n.op)).sort()]),
    ),
  );
}

describe("an output may be written over", () => {
  test.each<[string, string, Record<string, string[]>[]]>([
    [
      "an operand of elementwise ops",
      "graph(%x: f32[3, 4], %y: f32[3, 4]) {\n %0 = add(%x, %y) : f32[3, 4]\n return z: %0\n}",
      [{ add: ["x", "y"] }],
    ],
    [
      "but not one that is broadcast, or of another dtype",
      "graph(%x: i32[3, 4], %y: f32[4]) {\n %0 = cast(%x) {dtype: f32} : f32[3, 4]\n %1 = add(%0, %y) : f32[3, 4]\n return z: %1\n}",
      [{}],
    ],
    [
      "but not one that is read transposed, or shifted",
      "graph(%x: f32[4, 4], %y: f32[4, 4]) {\n %0 = transpose(%x) {perm: [1, 0]} : f32[4, 4]\n %1 = add(%0, %y) : f32[4, 4]\n return z: %1\n}",
      [{ add: ["y"] }],
    ],
    [
      "the operand of a softmax",
      "graph(%x: f32[3, 40]) {\n %0 = softmax(%x) {axis: 1} : f32[3, 40]\n return z: %0\n}",
      [{ div: ["x"] }],
    ],
    [
      "what is added to a product, but not its operands",
      "graph(%a: f32[4, 4], %b: f32[4, 4], %c: f32[4, 4]) {\n %0 = matmul(%a, %b) : f32[4, 4]\n %1 = add(%0, %c) : f32[4, 4]\n return z: %1\n}",
      [{ add: ["c"] }],
    ],
    [
      "not what is also an operand of the product",
      "graph(%a: f32[4, 4], %b: f32[4, 4]) {\n %0 = matmul(%a, %b) : f32[4, 4]\n %1 = add(%0, %a) : f32[4, 4]\n return z: %1\n}",
      [{}],
    ],
    [
      "a value a row, where only such are written",
      "graph(%x: f32[3, 40], %m: f32[3]) {\n %0 = sum(%x) {axes: [1], keepDims: false} : f32[3]\n %1 = add(%0, %m) : f32[3]\n return z: %1\n}",
      [{ add: ["m"] }],
    ],
    [
      "the data that a scatter updates",
      'graph(%x: f32[9, 4], %i: i32[2, 1], %u: f32[2, 4]) {\n %0 = scatterND(%x, %i, %u) {reduction: "add"} : f32[9, 4]\n return z: %0\n}',
      [{ scatterND: ["x"] }],
    ],
    [
      "not where the updates are read from it",
      'graph(%x: f32[9, 4], %i: i32[9, 1]) {\n %0 = neg(%x) : f32[9, 4]\n %1 = scatterND(%x, %i, %0) {reduction: "add"} : f32[9, 4]\n return z: %1\n}',
      [{}],
    ],
  ])("%s", (_, text, expected) => {
    expect(pairs(text)).toEqual(expected);
  });
});

test("a copy that is stored transposed reads its operand elsewhere", () => {
  const [region] = pairs(
    "graph(%x: f32[5, 5], %z: f32[5, 5]) {\n %0 = transpose(%x) {perm: [1, 0]} : f32[5, 5]\n %1 = neg(%z) : f32[5, 5]\n return a: %0, b: %1\n}",
  );
  expect(Object.values(region as object).flat()).not.toContain("x");
});
