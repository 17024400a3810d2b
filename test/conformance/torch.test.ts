import { afterAll, describe, test } from "vitest";
import type { Gpu } from "../../src/runtime/gpu.ts";
import { sharedGpu } from "../support/gpu.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { firstLine, runOnGpu } from "./run.ts";
import type { TorchCase } from "./torch/cases.ts";
import { type TorchCloseness, torchProgram } from "./torch/program.ts";
import { loadTorchSuite, scopeText } from "./torch/suite.ts";
import { judge } from "./webnn/suite.ts";

const suite = loadTorchSuite("PyTorch samples");

/**
 * An element of a gradient is a sum of terms that may be larger than it (those of a normalisation cancel), so it is judged by
 * the tensor's largest element. Scores of the attention samples reach 300, whose rounding changes their exponentials by
 * 300 * 2^-24 = 2e-5.
 */
const usual: TorchCloseness = {
  values: { rtol: 2e-5, atol: 1e-5 },
  gradients: (op) => ({ rtol: op.includes("attention") ? 5e-5 : 5e-6, atol: 5e-6, relativeTo: "largest" }),
};

/** All samples of an operator are one program: a submit, and fewer kernels where they have one shape. */
async function failuresOf(gpu: Gpu, cases: readonly TorchCase[]): Promise<(string | undefined)[]> {
  try {
    const { specs, fn, inputs, judge } = torchProgram(cases);
    const results = await runOnGpu(gpu, specs, fn, inputs);
    return cases.map((_, k) => judge(k, results, usual));
  } catch (e) {
    if (cases.length === 1) return [firstLine(e)];
    // Which one it is, is worth the time.
    const each = [];
    for (const c of cases) each.push(...(await failuresOf(gpu, [c])));
    return each;
  }
}

describe.skipIf(!suite)("PyTorch samples", () => {
  const gpu = sharedGpu();
  let passed = 0;
  let failed = 0;
  afterAll(() => {
    if (!suite) return;
    const { adapterName, counters } = gpu();
    const counts = `${passed} pass, ${failed} fail with ${counters.pipelines} pipelines`;
    console.log(`PyTorch samples on ${adapterName}: ${counts}\n${scopeText(suite)}`);
  });

  test.for([...(suite?.byOp ?? [])])("%s", { timeout: 300_000 }, async ([name, cases], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const failures = await failuresOf(gpu(), cases);
    failed += failures.filter((f) => f !== undefined).length;
    passed += failures.filter((f) => f === undefined).length;
    judge(gpu().adapterName, new Map(cases.map((c, i) => [c.id, failures[i]])));
  });
});
