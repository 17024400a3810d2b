import { compile, i32, valueAndGrad } from "sinter";
import { expect, test } from "vitest";
import { sharedGpu } from "../support/gpu.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";
import { hashParams, largestDifference, relativeNorm, tinyLlama } from "./hashed.ts";

const { model, size, length, tokens, targets, reference } = tinyLlama;
const gpu = sharedGpu();

// Software adapters take seconds to compile some of the pipelines.
test("Llama's logits, loss and every gradient are PyTorch's", { timeout: 300_000 }, async ({ skip }) => {
  skip(leftOut("llama-tiny"), leftOutWhy);
  const program = compile(
    { params: model.params, tokens: i32(size, length), targets: i32(size, length) },
    ({ params, tokens, targets }) => ({
      logits: model.logits(params, tokens),
      ...valueAndGrad((p: typeof params) => model.loss(p, tokens, targets))(params),
    }),
  );
  const session = await program.load(gpu(), { strict: true });
  const out = await session.run({ params: hashParams(model.params, tinyLlama.weight), tokens, targets });
  const { losses, tensors } = await reference();
  expect(Math.abs((await out.value.data())[0]! / losses[0]! - 1)).toBeLessThan(1e-5);
  expect(largestDifference(await out.logits.data(), tensors.logits!.data)).toBeLessThan(2e-5);
  const grads = program.graph.outputs.filter((o) => o.name.startsWith("grad."));
  expect(grads).toHaveLength(21);
  for (const { name } of grads) {
    const got = name.split(".").reduce((tree: never, key) => tree[key], out as never) as typeof out.value;
    expect(relativeNorm(await got.data(), tensors[name]!.data), name).toBeLessThan(1e-4);
  }
  session.dispose();
});
