import { expect, test } from "vitest";
import { parse } from "../../src/ir/parse.ts";
import { print } from "../../src/ir/print.ts";
import { verify } from "../../src/ir/verify.ts";

const roundTrip = (text: string): void => {
  const graph = parse(text);
  verify(graph);
  expect(print(graph)).toBe(text);
};

test("floats print exactly", () => {
  const values = ["0", "-0", "inf", "-inf", "nan", "1e-45", "3.4028234663852886e+38", "0.1", "-1.5e+300"];
  const lines = values.map((v, i) => `  %${i} = const() {value: ${v}, dtype: f32, shape: []} : f32[]`);
  const outputs = values.map((_, i) => `    o${i}: %${i}`);
  roundTrip(`graph() {\n${lines.join("\n")}\n  return ${outputs.join(", ").replaceAll(/ +/g, " ").trim()}\n}\n`);
});

test("names that are not simple are quoted", () => {
  roundTrip(`graph(%params.w.0: f32[2] weight, %"0": f32[], %"a b\\"\\n": i32[0, 3] state) {
  %0 = const() {value: 1, dtype: bool, shape: [1]} : bool[1]
  return "1 €": %"0", nan: %0, s: %"a b\\"\\n"
}
`);
});

test("symbolic dims print with their hints", () => {
  roundTrip(`graph<T = 512, S = 16>(%x: f32[T, (T + 1)], %y: f32[(S * -1), max(S, 4), ((T / 4) % 3)]) {
  %0 = const() {value: 1, dtype: f32, shape: [(T * S)]} : f32[(T * S)]
  return out: %0
}
`);
});
test("literals and dead nodes keep their place", () => {
  roundTrip(`graph() {
  %0 = literal() {data: [1, -2, 0.5, nan], dtype: f16, shape: [2, 2]} : f16[2, 2]
  %1 = iota() {axis: 1, dtype: u32, shape: [2, 3]} : u32[2, 3]
  return
}
`);
});
