import { describe, expect, test } from "vitest";
import { compile, f32, matmul, max, type Tensor, transpose } from "../../src/index.ts";
import type { Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { splitColumns } from "../../src/passes/split-columns.ts";
import { difference } from "../support/values.ts";
import { variantInputs } from "../support/variants.ts";

const gpu = { software: false };
const reductions = (g: Graph) =>
  g.nodes.filter((n) => ["sum", "reduceMax"].includes(n.op)).map((n) => n.args[0]?.type.shape.join("x"));
const graphOf = (fn: (x: Tensor) => Tensor, ...shape: number[]): Graph =>
  optimise(compile({ x: f32(...shape) }, ({ x }) => fn(x)).graph);

describe("split-columns", () => {
  test.each([
    ["a divisor of the rows near what readers there are", [1024, 8], ["64x16x8", "64x8"]],
    ["rows that none divides are filled up", [1021, 8], ["61x17x8", "61x8"]],
    ["neighbouring axes count as one", [3, 640, 4], ["120x16x4", "120x4"]],
    ["odd columns: rows end to end that are vectors", [1024, 7], ["8x896", "128x7"]],
    ["odd columns, some rows left over", [1042, 26], ["8x3380", "132x26"]],
    ["odd columns of an odd number of elements", [1037, 7], ["8x903", "134x7"]],
  ])("%s", (_, shape, split) => {
    const graph = graphOf((x) => x.sum({ axes: shape.map((_, i) => i).slice(0, -1) }), ...shape);
    const done = splitColumns(graph, gpu, 512);
    expect(reductions(done)).toEqual(split);
    const inputs = variantInputs(graph);
    for (const [name, want] of Object.entries(interpret(graph, inputs))) {
      expect(difference(interpret(done, inputs)[name] as never, want, 1e-9)).toBeUndefined();
    }
  });

  test("maxima too", () => {
    expect(
      reductions(
        splitColumns(
          graphOf((x) => max(x, { axes: 0 }), 1024, 8),
          gpu,
          512,
        ),
      ),
    ).toEqual(["64x16x8", "64x8"]);
  });

  test.each([
    ["few elements", (x: Tensor) => x.sum({ axes: 0 }), [16, 8]],
    ["rows", (x: Tensor) => x.sum({ axes: 1 }), [8, 1024]],
    ["columns that are vectors enough", (x: Tensor) => x.sum({ axes: 0 }), [16, 16384]],
    [
      "a sum that a product of the same operand may compute",
      (x: Tensor) => x.sum({ axes: 0 }).add(matmul(transpose(x), x)),
      [1024, 8],
    ],
  ])("left as they are: %s", (_, fn, shape) => {
    const graph = graphOf(fn, ...shape);
    expect(splitColumns(graph, gpu, 512)).toBe(graph);
  });

  test("CPU adapters' are left as they are", () => {
    const graph = graphOf((x) => x.sum({ axes: 0 }), 1024, 8);
    expect(splitColumns(graph, { software: true }, 512)).toBe(graph);
  });
});
