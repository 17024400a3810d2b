import fc from "fast-check";
import { expect, test } from "vitest";
import type { Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { parse } from "../../src/ir/parse.ts";
import { print } from "../../src/ir/print.ts";
import { verify } from "../../src/ir/verify.ts";
import { alignRows } from "../../src/passes/align-rows.ts";
import { optimise, type Pass, passes } from "../../src/passes/pipeline.ts";
import { splitProducts } from "../../src/passes/split-products.ts";
import { splitReductions } from "../../src/passes/split-reductions.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { type RandomGraph, randomGraphs } from "../support/random-graph.ts";
import { difference } from "../support/values.ts";

const everyPass: readonly Pass[] = [
  ...Object.values(passes),
  // The borders are low here, so that small graphs are split too.
  { name: "split-reductions", run: (g) => splitReductions(g, { minElements: 6, minRowElements: 20, maxRows: 100 }) },
  { name: "split-products", run: (g) => splitProducts(g, profiles.h200, { unit: 1, least: 2, leastSide: 1 }) },
  { name: "align-rows", run: (g) => alignRows(g, profiles.h200, { leastColumns: 1, leastElements: 1 }) },
];

function sameMeaning(after: Graph, { graph, inputs, tolerances }: RandomGraph, what: string): void {
  verify(after);
  const [want, got] = [interpret(graph, inputs), interpret(after, inputs)];
  for (const { name } of graph.outputs) {
    const found = difference(got[name] as NDArray, want[name] as NDArray, tolerances[name]);
    if (found) expect.fail(`${what}: ${name}: ${found}\n${print(graph)}becomes\n${print(after)}`);
  }
}

test("every pass keeps the meaning of random graphs", { timeout: 60_000 }, () => {
  const property = fc.property(randomGraphs(), (g) => {
    for (const pass of everyPass) {
      const after = pass.run(g.graph);
      if (after !== g.graph) sameMeaning(after, g, pass.name);
    }
    const after = optimise(g.graph, {
      trace: (_pass, _before, after) => {
        verify(after);
      },
    });
    verify(after, "decomposed");
    sameMeaning(after, g, "optimise");
  });
  fc.assert(property, { numRuns: 150, seed: 1 });
});

test("random graphs print and parse back", () => {
  const property = fc.property(randomGraphs(), ({ graph }) => {
    const text = print(graph);
    expect(print(parse(text))).toBe(text);
  });
  fc.assert(property, { numRuns: 100, seed: 2 });
});
