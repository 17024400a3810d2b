import { describe, expect, test } from "vitest";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { parse } from "../../src/ir/parse.ts";
import { type Bounded, errorBounds, knownShare, outside } from "../support/error-bounds.ts";
import { benignInputs } from "../support/values.ts";

const boundsOf = (text: string): Bounded => {
  const graph = parse(text);
  return errorBounds(graph, benignInputs(graph, 3)).y as Bounded;
};
const changed = ({ value }: Bounded, by: (x: number) => number): NDArray => ({ ...value, data: value.data.map(by) });

const exactGraph = `graph(%a: f32[8, 33], %b: f32[33, 5]) {
  %0 = matmul(%a, %b) : f32[8, 5]
  %1 = relu(%0) : f32[8, 5]
  %2 = sum(%1) {axes: [1], keepDims: false} : f32[8]
  return y: %2
}`;
const roundedGraph = `graph(%a: f32[8, 33], %b: f32[33]) {
  %0 = exp(%a) : f32[8, 33]
  %1 = div(%0, %b) : f32[8, 33]
  %2 = softmax(%0) {axis: 1} : f32[8, 33]
  return y: %2
}`;

describe("error bounds", () => {
  test("are zero where every order of evaluation gives the same number", () => {
    const bound = boundsOf(exactGraph);
    expect([...bound.error]).toEqual(new Array(8).fill(0));
    expect(outside(bound.value, bound)).toBeUndefined();
    expect(
      outside(
        changed(bound, (x) => x * (1 + 2 ** -23)),
        bound,
      ),
    ).toBeDefined();
  });

  test("admit a correctly rounded result and refuse one that is off by 2e-4", () => {
    const bound = boundsOf(roundedGraph);
    expect(knownShare(bound)).toBe(1);
    expect(outside(changed(bound, Math.fround), bound)).toBeUndefined();
    expect(
      outside(
        changed(bound, (x) => x * (1 + 2 ** -22)),
        bound,
      ),
    ).toBeUndefined();
    expect(
      outside(
        changed(bound, (x) => x * (1 + 2e-4)),
        bound,
      ),
    ).toBeDefined();
  });

  test("know that a product of scattered factors rounds, and one that nothing hits does not", () => {
    const graph = parse(`graph(%a: f32[3], %i: i32[3], %b: f32[3]) {
  %0 = scatterElements(%a, %i, %b) {axis: 0, reduction: "mul"} : f32[3]
  return y: %0
}`);
    const x = Math.fround(1 / 3);
    const bound = errorBounds(graph, {
      a: ndarray("f32", [3], [x, x, x]),
      i: ndarray("i32", [3], [0, 0, 1]),
      b: ndarray("f32", [3], [x, x, x]),
    }).y as Bounded;
    expect(bound.error[2]).toBe(0);
    expect(outside(changed(bound, Math.fround), bound)).toBeUndefined();
    const [twice, once] = bound.error as unknown as [number, number];
    expect(twice / x ** 3).toBeGreaterThan(once / x ** 2);
    expect(
      outside(
        changed(bound, (y) => y * (1 + 2e-6)),
        bound,
      ),
    ).toBeDefined();
    const rounded = ndarray("f32", [3], [Math.fround(Math.fround(x * x) * x), Math.fround(x * x), x]);
    expect(outside(rounded, bound)).toBeUndefined();
  });

  test("say nothing of what a rounding error may decide", () => {
    const bound = boundsOf(`graph(%a: f32[64]) {
  %0 = sin(%a) : f32[64]
  %1 = mul(%0, %0) : f32[64]
  %2 = sqrt(%1) : f32[64]
  %3 = abs(%0) : f32[64]
  %4 = less(%2, %3) : bool[64]
  return y: %4
}`);
    expect(knownShare(bound)).toBeLessThan(0.2);
  });
});
