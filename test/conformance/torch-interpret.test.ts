import { describe, expect, test } from "vitest";
import { compile } from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { ndarray } from "../../src/ir/ndarray.ts";
import { firstLine } from "./run.ts";
import type { TorchCase } from "./torch/cases.ts";
import { type TorchCloseness, torchProgram } from "./torch/program.ts";
import { loadTorchSuite, scopeText } from "./torch/suite.ts";
import { judge } from "./webnn/suite.ts";

const suite = loadTorchSuite("PyTorch samples on the interpreter");

/** Numbers in a program are f32 constants: 0.6 is off by 3e-8 from the reference's. */
const closeness: TorchCloseness = {
  values: { rtol: 1e-6, atol: 1e-6 },
  gradients: () => ({ rtol: 1e-6, atol: 1e-6 }),
};

function failureOf(c: TorchCase): string | undefined {
  try {
    const { specs, fn, inputs, judge } = torchProgram([c]);
    const { graph } = compile(specs, fn);
    const given = Object.fromEntries(inputs.map((t) => [t.name, ndarray(t.dtype, t.shape, t.data)]));
    return judge(0, interpret(graph, given), closeness);
  } catch (e) {
    return firstLine(e);
  }
}

describe.skipIf(!suite)("PyTorch samples on the interpreter", () => {
  test("every sample is counted", () => {
    if (!suite) return;
    console.log(scopeText(suite));
    const run = [...suite.byOp.values()].flat();
    expect(run.length + [...suite.left.values()].reduce((a, b) => a + b, 0)).toBe(719);
  });

  test.each([...(suite?.byOp ?? [])])("%s", (_, cases) => {
    judge("interpreter", new Map(cases.map((c) => [c.id, failureOf(c)])));
  });
});
