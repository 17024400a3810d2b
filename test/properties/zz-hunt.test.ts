import fc from "fast-check";
import { test } from "vitest";
import { print } from "../../src/ir/print.ts";
import { sharedGpu } from "../support/gpu.ts";
import { type RandomGraph, randomGraphs } from "../support/random-graph.ts";
import { wrongResult } from "./check-graph.ts";
const gpu = sharedGpu();
const cls = (m: string) => m.split("\n")[0]!.replace(/-?[\d.]+(e[-+]\d+)?/g, "#").slice(0, 120);
test("hunt", { timeout: 900_000 }, async () => {
  const seed = Number(process.env.SEED ?? 1), n = Number(process.env.N ?? 100);
  const seen = new Map<string, number>();
  const fail = async (g: RandomGraph) => { try { return await wrongResult(gpu(), g.graph, g.inputs); } catch (e) { return String((e as Error).message); } };
  const t = Date.now();
  for (let round = 0; round < 6 && Date.now() - t < 400_000; round++) {
    const d = await fc.check(fc.asyncProperty(randomGraphs(), async (g) => {
      const w = await fail(g); if (!w) return;
      const c = cls(w); if ((seen.get(c) ?? 0) >= 1) return;
      throw new Error(w);
    }), { seed, numRuns: n, interruptAfterTimeLimit: 200_000, markInterruptAsFailure: false });
    if (!d.failed) { console.log("clean after", d.numRuns); break; }
    const w = (d.errorInstance as Error).message; seen.set(cls(w), 1);
    console.log(w.slice(0, 400) + "\n" + fc.stringify((d.counterexample as any)[0]).slice(0, 1500));
  }
  console.log("ms", Date.now() - t);
});
