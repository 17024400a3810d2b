import { describe, expect, test } from "vitest";
import { compile } from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import type { TorchCase } from "./torch/cases.ts";
import { loadTorchSuite, torchDifference, torchSpecs, tracedTorch } from "./torch/suite.ts";
import { judge } from "./webnn/suite.ts";

const suite = loadTorchSuite("PyTorch samples on the interpreter");

/** Numbers in a program are f32 constants: 0.6 is off by 3e-8 from the reference's. */
const closeness = { rtol: 1e-6, atol: 1e-6 };

function failureOf(c: TorchCase): string | undefined {
  try {
    const { graph } = compile(torchSpecs(c), tracedTorch(c));
    const inputs = Object.fromEntries(c.inputs.map((t) => [t.name, ndarray(t.dtype, t.shape, t.data)]));
    const out = interpret(graph, inputs);
    for (const [i, want] of c.outputs.entries()) {
      const wrong = torchDifference(want, out[`out${i}`] as NDArray, closeness);
      if (wrong) return `out${i}${wrong}`;
    }
    return undefined;
  } catch (e) {
    return e instanceof Error ? (e.message.split("\n")[0] as string) : String(e);
  }
}

describe.skipIf(!suite)("PyTorch samples on the interpreter", () => {
  test("every sample is counted", () => {
    if (!suite) return;
    const run = [...suite.byOp.values()].reduce((n, list) => n + list.length, 0);
    const left = [...suite.left].map(([reason, n]) => `  ${n} × ${reason}`);
    console.log([`${run} samples of ${suite.byOp.size} operators to run; not run:`, ...left].join("\n"));
    expect(run + [...suite.left.values()].reduce((a, b) => a + b, 0)).toBe(719);
  });

  test.each([...(suite?.byOp ?? [])])("%s", (_, cases) => {
    judge("interpreter", new Map(cases.map((c) => [c.id, failureOf(c)])));
  });
});
