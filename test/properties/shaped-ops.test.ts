import fc from "fast-check";
import { describe, test } from "vitest";
import { sharedGpu } from "../support/gpu.ts";
import { wrongResult } from "./check-graph.ts";
import { runs } from "./runs.ts";
import { shapedOps } from "./shaped-ops.ts";

const gpu = sharedGpu();

describe("an op means the same on the GPU, fused and unfused, whatever its shapes", () => {
  test.each(Object.entries(shapedOps))("%s", { timeout: 300_000 }, async (_, arbitrary) => {
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ graph, inputs }) => {
        const wrong = await wrongResult(gpu(), graph, inputs);
        if (wrong) throw new Error(wrong);
      }),
      runs(10),
    );
  });
});
