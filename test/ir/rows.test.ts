import { describe, expect, test } from "vitest";
import { interpret } from "../../src/ir/interpret.ts";
import { rows } from "../../src/ir/ops.ts";
import { parse } from "../../src/ir/parse.ts";
import { print } from "../../src/ir/print.ts";
import { verify } from "../../src/ir/verify.ts";
import { decompose } from "../../src/passes/decompose.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { rowGraphs } from "../support/row-graphs.ts";
import { benignInputs, difference } from "../support/values.ts";

describe.each(rows.map((row) => [row.name, row] as const))("%s", (_, row) => {
  const graphs = rowGraphs(row);
  test("prints and parses back", () => {
    expect(graphs.length).toBeGreaterThan(0);
    for (const g of graphs) {
      verify(g);
      const text = print(g);
      const back = parse(text);
      verify(back);
      expect(print(back)).toBe(text);
    }
  });
  test("means the same after parsing, after decomposition and after all passes", () => {
    for (const g of graphs) {
      const inputs = benignInputs(g);
      const expected = interpret(g, inputs);
      const simple = decompose(g, { keep: ["attention"] });
      verify(simple, "decomposed");
      const fast = optimise(g);
      verify(fast, "decomposed");
      for (const other of [parse(print(g)), simple, fast]) {
        const actual = interpret(other, inputs);
        for (const { name, node } of g.outputs) {
          const tolerance = node.type.dtype === "f16" ? 2 ** -8 : 1e-5;
          expect(difference(actual[name] as never, expected[name] as never, tolerance), print(other)).toBeUndefined();
        }
      }
    }
  });
});
