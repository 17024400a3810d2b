import fc from "fast-check";
import { expect, test } from "vitest";
import { SinterError } from "../../src/base/diagnostic.ts";
import { isFloat } from "../../src/base/dtype.ts";
import { pullback } from "../../src/ir/autodiff.ts";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { print } from "../../src/ir/print.ts";
import { errorBounds, knownShare } from "../support/error-bounds.ts";
import { sharedGpu } from "../support/gpu.ts";
import { type RandomGraph, randomGraphs } from "../support/random-graph.ts";
import { benign, randomOf } from "../support/values.ts";
import { wrongResult } from "./check-graph.ts";
import { runs } from "./runs.ts";

const gpu = sharedGpu();

interface Backward {
  readonly graph: Graph;
  readonly inputs: Readonly<Record<string, NDArray>>;
}

/** The graph's results and the gradients of their sum, weighted by further inputs, by every float input. */
function backward({ graph, inputs }: RandomGraph): Backward | undefined {
  const b = new GraphBuilder();
  const results = graph.outputs.map((o) => o.node).filter((n) => isFloat(n.type.dtype));
  const wrt = graph.inputs.filter((n) => isFloat(n.type.dtype));
  const random = randomOf(7);
  const weights = results.map((n, i) => b.input(`w${i}`, n.type));
  const made = pullback(b, results, weights, wrt);
  const grads = made.flatMap((node, i) => (node ? [{ name: `d${(wrt[i] as Node).attrs.name}`, node }] : []));
  if (grads.length === 0) return undefined;
  const given = weights.map((w) => [w.attrs.name, benign(w.type.dtype, w.type.shape as number[], random)] as const);
  return {
    graph: makeGraph([...graph.inputs, ...weights], [...graph.outputs, ...grads]),
    inputs: { ...inputs, ...Object.fromEntries(given) },
  };
}

test("gradients of random graphs: fused = interpreter, with kernels for both kinds of adapter", {
  timeout: 900_000,
}, async () => {
  const parameters = runs<[RandomGraph]>(60);
  console.log(`gradients of random graphs on ${gpu().adapterName}: seed ${parameters.seed}`);
  let tried = 0;
  let known = 0;
  const property = fc.asyncProperty(
    randomGraphs({ dtypes: ["f32", "f32", "f32", "f16", "i32"], maxNodes: 8 }),
    async (g) => {
      let made: Backward | undefined;
      try {
        made = backward(g);
      } catch (e) {
        if (e instanceof SinterError && e.code === "not-differentiable") return;
        throw e;
      }
      if (!made) return;
      const bounds = errorBounds(made.graph, made.inputs);
      for (const x of Object.values(bounds)) known += knownShare(x) / Object.keys(bounds).length;
      tried++;
      const builds = [{ fuse: "legal" }, { fuse: "legal", otherKind: true }] as const;
      const wrong = await wrongResult(gpu(), made.graph, made.inputs, { bounds, builds, bits: false });
      if (wrong) throw new Error(`${wrong}\n${print(made.graph)}`);
    },
  );
  await fc.assert(property, parameters);
  console.log(`gradients of random graphs: ${tried}, ${((100 * known) / tried).toFixed(0)} % of elements bounded`);
  expect(tried).toBeGreaterThan((parameters.numRuns as number) / 4);
});
