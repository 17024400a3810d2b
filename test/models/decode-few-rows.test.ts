import { compile, i32 } from "sinter";
import { gpt2 } from "sinter/nn";
import { expect, test } from "vitest";
import { gpt2Weight } from "../../fixtures/hash-weights.ts";
import { compileGraph } from "../../src/compiler.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { count, ndarray } from "../../src/ir/ndarray.ts";
import { loadManifest } from "../../src/runtime/session.ts";
import { sharedGpu } from "../support/gpu.ts";
import { hardware } from "../support/variants.ts";
import { largestDifference } from "./hashed.ts";

const gpu = sharedGpu();

/** As a GPU has it: five kernels a layer, on whatever adapter there is. */
test("a token at a time by the kernels of GPUs is the whole forward pass, at every position", {
  timeout: 300_000,
}, async () => {
  const length = 4;
  const model = gpt2({ layers: 1, width: 64, heads: 2, hidden: 64, vocabulary: 52, positions: length });
  const decode = compile(
    { params: model.params, cache: model.cache(1, 96), tokens: i32(1, 1), position: i32() },
    ({ params, cache, tokens, position }) => model.decode(params, cache, tokens, position),
    { weights: ["params"], donate: ["cache"] },
  );
  const forward = compile({ params: model.params, tokens: i32(1, length) }, ({ params, tokens }) =>
    model.logits(params, tokens),
  );
  // Ten bindings: a projection with what comes before it and the two caches after it.
  const device = hardware(gpu(), {
    limits: { maxComputeInvocationsPerWorkgroup: 128, maxStorageBuffersPerShaderStage: 10 },
  });
  const { manifest, report } = compileGraph(decode.graph, device);
  expect(report.kernels.map((k) => k.variant).slice(1, 6)).toEqual([
    ...["matvec_n", "attention_decode", "matvec_n", "matvec_n", "matvec_n"],
  ]);
  expect(report.kernels).toHaveLength(5 + 2);
  const weight = (name: string, n: number): Float32Array =>
    gpt2Weight(name.replace("params.", ""), n).map((x) => 4 * x);
  const tokens = Array.from({ length }, (_, i) => (i * 19 + 5) % 52);
  const inputs = Object.fromEntries(
    forward.graph.inputs.map((n) => {
      const [name, shape] = [n.attrs.name as string, n.type.shape as number[]];
      return [
        name,
        name === "tokens" ? ndarray("i32", shape, tokens) : ndarray("f32", shape, weight(name, count(shape))),
      ];
    }),
  );
  const [logits] = Object.values(interpret(forward.graph, inputs));
  const session = await loadManifest(gpu(), manifest, {
    weights: Object.fromEntries(manifest.weights.map((p) => [p.name, weight(p.name, count(p.shape))])),
    state: Object.fromEntries(manifest.state.map((p) => [p.name, new Float32Array(count(p.shape))])),
    strict: true,
  });
  for (const [position, token] of tokens.entries()) {
    const out = await session.run({ tokens: Int32Array.of(token), position: Int32Array.of(position) });
    const expected = Array.from(logits!.data).slice(position * 52, (position + 1) * 52);
    expect(largestDifference(await out.logits!.data(), expected), `position ${position}`).toBeLessThan(2e-5);
    out.logits!.dispose();
  }
  session.dispose();
});
