import { afterAll, describe, test } from "vitest";
import type { Gpu } from "../../src/runtime/gpu.ts";
import { mapConcurrent } from "../support/concurrent.ts";
import { sharedGpu } from "../support/gpu.ts";
import { firstLine, type HostTensor, runOnGpu } from "./run.ts";
import type { TorchCase } from "./torch/cases.ts";
import { type Closeness, loadTorchSuite, torchDifference, torchSpecs, tracedTorch } from "./torch/suite.ts";
import { judge } from "./webnn/suite.ts";

const suite = loadTorchSuite("PyTorch samples");

const usual: Closeness = { rtol: 2e-5, atol: 1e-5 };

async function failureOf(gpu: Gpu, c: TorchCase): Promise<string | undefined> {
  try {
    const out = await runOnGpu(gpu, torchSpecs(c), tracedTorch(c), c.inputs);
    for (const [i, want] of c.outputs.entries()) {
      const wrong = torchDifference(want, out[`out${i}`] as HostTensor, usual);
      if (wrong) return `out${i}${wrong}`;
    }
    return undefined;
  } catch (e) {
    return firstLine(e);
  }
}

describe.skipIf(!suite)("PyTorch samples", () => {
  const gpu = sharedGpu();
  let passed = 0;
  let failed = 0;
  afterAll(() => {
    if (!suite) return;
    const left = [...suite.left].map(([reason, n]) => `  ${n} × ${reason}`);
    console.log(
      [`PyTorch samples on ${gpu().adapterName}: ${passed} pass, ${failed} fail; not run:`, ...left].join("\n"),
    );
  });

  test.each([...(suite?.byOp ?? [])])("%s", { timeout: 300_000 }, async (_, cases) => {
    const failures = await mapConcurrent(cases, 8, (c) => failureOf(gpu(), c));
    failed += failures.filter((f) => f !== undefined).length;
    passed += failures.filter((f) => f === undefined).length;
    judge(gpu().adapterName, new Map(cases.map((c, i) => [c.id, failures[i]])));
  });
});
