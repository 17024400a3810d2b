import { afterAll, describe, test } from "vitest";
import type { Gpu } from "../../src/runtime/gpu.ts";
import { mapConcurrent } from "../support/concurrent.ts";
import { sharedGpu } from "../support/gpu.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { firstLine, runOnGpu } from "./run.ts";
import { specsOf, traced } from "./webnn/build.ts";
import type { WebnnCase } from "./webnn/cases.ts";
import { judge, loadSuite, skippedText } from "./webnn/suite.ts";
import { difference, toleranceOf } from "./webnn/tolerance.ts";

const suite = loadSuite("WebNN conformance");

/** Cases under way at once: compiling one overlaps with the driver's work on others. */
const width = 8;

async function failureOf(gpu: Gpu, c: WebnnCase): Promise<string | undefined> {
  try {
    const out = await runOnGpu(gpu, specsOf(c), traced(c), c.inputs);
    for (const want of c.outputs) {
      const wrong = difference(want, out[want.name] as never, toleranceOf(c));
      if (wrong) return wrong;
    }
    return undefined;
  } catch (e) {
    return firstLine(e);
  }
}

describe.skipIf(!suite)("WebNN conformance", () => {
  const gpu = sharedGpu();
  let passed = 0;
  let failed = 0;
  afterAll(() => {
    if (!suite) return;
    const { adapterName, counters } = gpu();
    const counts = `${passed} pass, ${failed} fail with ${counters.pipelines} pipelines`;
    console.log(`WebNN on ${adapterName}: ${counts}; ${skippedText(suite)}`);
  });

  test.for([...(suite?.files ?? [])])("%s", { timeout: 300_000 }, async ([name, cases], { skip }) => {
    skip(leftOut(name), leftOutWhy);
    const failures = await mapConcurrent(cases, width, (c) => failureOf(gpu(), c));
    failed += failures.filter((f) => f !== undefined).length;
    passed += failures.filter((f) => f === undefined).length;
    judge(gpu().adapterName, new Map(cases.map((c, i) => [c.id, failures[i]])));
  });
});
