import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { print } from "../../src/ir/print.ts";
import { errorBounds, knownShare } from "../support/error-bounds.ts";
import { sharedGpu } from "../support/gpu.ts";
import { type RandomGraph, randomGraphs } from "../support/random-graph.ts";
import { wrongResult } from "./check-graph.ts";
import { keep, readCorpus } from "./corpus.ts";
import { runs } from "./runs.ts";

const gpu = sharedGpu();

/** The seed of a random graph's inputs, which its text ends with. */
const seedOf = (g: RandomGraph): number => Number(/seed (\d+)$/.exec(fc.stringify(g))?.[1]);

describe("graphs that failed once", () => {
  const entries = readCorpus();
  test("are read", () => {
    expect(entries.every(({ graph }) => graph.outputs.length > 0)).toBe(true);
  });
  test.each(entries)("$name", async ({ graph, inputs }) => {
    expect(await wrongResult(gpu(), graph, inputs)).toBeUndefined();
  });
});

describe("random graphs", () => {
  let known = 0;
  let outputs = 0;
  afterAll(() =>
    console.log(`random graphs: ${outputs} outputs, ${((100 * known) / outputs).toFixed(1)} % of elements bounded`),
  );

  test("fused = unfused = interpreter, the same bits again and in poisoned memory", { timeout: 900_000 }, async () => {
    // With the second adapter's quarter: 300.
    const parameters = runs<[RandomGraph]>(240);
    console.log(`random graphs on ${gpu().adapterName}: seed ${parameters.seed}`);
    const failure = async (g: RandomGraph): Promise<string | undefined> => {
      const bounds = errorBounds(g.graph, g.inputs);
      for (const b of Object.values(bounds)) {
        known += knownShare(b);
        outputs++;
      }
      try {
        return await wrongResult(gpu(), g.graph, g.inputs, { bounds });
      } catch (e) {
        return e instanceof Error ? (e.stack ?? e.message) : String(e);
      }
    };
    const details = await fc.check(
      fc.asyncProperty(randomGraphs(), async (g) => {
        const wrong = await failure(g);
        if (wrong) throw new Error(wrong);
      }),
      { ...parameters, endOnFailure: false },
    );
    if (!details.failed) return;
    const [worst] = details.counterexample as [RandomGraph];
    const why = details.errorInstance instanceof Error ? details.errorInstance.message : String(details.errorInstance);
    const file = keep(worst.graph, seedOf(worst), why);
    const again = `SINTER_SEED=${details.seed} SINTER_PATH=${details.counterexamplePath}`;
    throw new Error(`${why}\n${print(worst.graph)}kept as corpus/${file}; run it again with ${again}`);
  });
});
