import { describe, expect, test } from "vitest";
import type { SinterError } from "../../src/base/diagnostic.ts";
import { parse } from "../../src/ir/parse.ts";
import { print } from "../../src/ir/print.ts";

const errorOf = (text: string): SinterError["diagnostic"] => {
  try {
    parse(text);
  } catch (e) {
    return (e as SinterError).diagnostic;
  }
  throw new Error("it parsed");
};

const body = (line: string, inputs = "%x: f32[2, 3]"): string => `graph(${inputs}) {\n  ${line}\n  return out: %0\n}\n`;

describe("errors carry a place and a hint", () => {
  test.each([
    ["unknown-op", body("%0 = sofmax(%x) {axis: 1} : f32[2, 3]"), "2:8", /did you mean softmax/],
    ["bad-attribute", body("%0 = softmax(%x) {axes: 1} : f32[2, 3]"), "2:21", /did you mean axis/],
    ["bad-attribute", body("%0 = softmax(%x) : f32[2, 3]"), "2:8", /axis/],
    ["bad-attribute", body('%0 = gelu(%x) {approximate: "tan"} : f32[2, 3]'), "2:8", /"tanh"/],
    ["bad-arity", body("%0 = add(%x) : f32[2, 3]"), "2:8", undefined],
    ["parse-error", body("%0 = neg(%xx) : f32[2, 3]"), "2:12", /did you mean %x/],
    ["parse-error", body("%0 = neg(%x : f32[2, 3]"), "2:15", undefined],
    ["parse-error", body("%0 = neg(%x) : f33[2, 3]"), "2:18", /f32/],
    ["parse-error", body("%0 = neg(%x) : f32[T, 3]"), "2:22", /graph<T = 16>/],
    ["parse-error", body("%0 = neg(%x) : f32[2.5, 3]"), "2:22", undefined],
    ["parse-error", body("%0 = neg(%x) : f32[2, 3] @"), "2:28", undefined],
    ["parse-error", body('%0 = gelu(%x) {approximate: "\\q"} : f32[2, 3]'), "2:31", undefined],
    ["parse-error", body("%x = neg(%x) : f32[2, 3]"), "2:3", undefined],
    ["parse-error", "graph(%x: f32[2]) {\n  return out: %x\n", "3:1", undefined],
    ["parse-error", "graph(%x: f32[2] wait) {\n  return out: %x\n}", "1:18", /weight/],
    ["type-mismatch", body("%0 = neg(%x) : f32[3, 2]"), "2:18", undefined],
    ["type-mismatch", body("%0 = neg(%x) : (f32[2, 3])"), "2:18", undefined],
    ["dtype-mismatch", body("%0 = add(%x, %i) : f32[2, 3]", "%x: f32[2, 3], %i: i32[3]"), "2:8", /cast/],
    ["shape-mismatch", body("%0 = add(%x, %y) : f32[2, 3]", "%x: f32[2, 3], %y: f32[2]"), "2:8", /reshape/],
    [
      "tuple-argument",
      body("%1 = split(%x) {axis: 0, sizes: [1, 1]} : (f32[1, 3], f32[1, 3])\n  %0 = neg(%1) : f32[1, 3]"),
      "3:8",
      undefined,
    ],
  ])("%s %#", (code, text, place, hint) => {
    const d = errorOf(text);
    expect(`${d.code} ${d.place?.line}:${d.place?.column}`).toBe(`${code} ${place}`);
    if (hint) expect(d.hint).toMatch(hint);
  });
});

test("comments, blank lines and any names for values", () => {
  const text = `; a program
graph(%x: f32[2]) { ; its signature

  %a = neg(%x) : f32[2] ; once
  %b.c = neg(%a) : f32[2]
  return out: %b.c
}`;
  expect(print(parse(text))).toBe(`graph(%x: f32[2]) {
  %0 = neg(%x) : f32[2]
  %1 = neg(%0) : f32[2]
  return out: %1
}
`);
});
