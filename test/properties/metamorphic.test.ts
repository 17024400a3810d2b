import fc from "fast-check";
import { describe, test } from "vitest";
import { print } from "../../src/ir/print.ts";
import { errorBounds } from "../support/error-bounds.ts";
import { sharedGpu } from "../support/gpu.ts";
import { randomGraphs } from "../support/random-graph.ts";
import { wrongResult } from "./check-graph.ts";
import { relations, transformed } from "./metamorphic.ts";
import { runs } from "./runs.ts";

const gpu = sharedGpu();

describe("a graph changed without changing its meaning gives the same results", () => {
  test.each(Object.entries(relations))("%s", { timeout: 300_000 }, async (_, relation) => {
    await fc.assert(
      fc.asyncProperty(randomGraphs({ maxNodes: 6 }), fc.nat({ max: 1023 }), async (g, seed) => {
        const graph = transformed(g.graph, relation, seed);
        const bounds = errorBounds(g.graph, g.inputs);
        const wrong = await wrongResult(gpu(), graph, g.inputs, { bounds, builds: [{ fuse: "legal" }], bits: false });
        if (wrong) throw new Error(`${wrong}\n${print(graph)}`);
      }),
      runs(12),
    );
  });
});
