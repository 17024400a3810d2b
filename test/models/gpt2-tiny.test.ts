import { compile, i32, valueAndGrad } from "sinter";
import { adamW, adamWInit, loadSafetensors, saveSafetensors } from "sinter/nn";
import { describe, expect, test } from "vitest";
import { sharedGpu } from "../support/gpu.ts";
import { hashParams, largestDifference, relativeNorm, tinyGpt2 } from "./hashed.ts";

const { model, size, length, tokens, targets, reference } = tinyGpt2;
const batch = { tokens: i32(size, length), targets: i32(size, length) };
const lr = 1e-3;

// Software adapters take seconds to compile some of the pipelines.
describe("GPT-2 as PyTorch trains it", { timeout: 300_000 }, () => {
  const gpu = sharedGpu();
  const params = hashParams(model.params, tinyGpt2.weight);

  test("logits and every gradient", async () => {
    const program = compile({ params: model.params, ...batch }, ({ params, tokens, targets }) => ({
      logits: model.logits(params, tokens),
      ...valueAndGrad((p: typeof params) => model.loss(p, tokens, targets))(params),
    }));
    const session = await program.load(gpu(), { strict: true });
    const out = await session.run({ params, tokens, targets });
    const { losses, tensors } = await reference();
    expect(Math.abs((await out.value.data())[0]! / losses[0]! - 1)).toBeLessThan(1e-5);
    expect(largestDifference(await out.logits.data(), tensors.logits!.data)).toBeLessThan(2e-5);
    const grads = program.graph.outputs.filter((o) => o.name.startsWith("grad."));
    expect(grads).toHaveLength(28);
    for (const { name } of grads) {
      const got = name.split(".").reduce((tree: never, key) => tree[key], out as never) as typeof out.value;
      expect(relativeNorm(await got.data(), tensors[name]!.data), name).toBeLessThan(1e-4);
    }
    session.dispose();
  });

  test("8 AdamW steps, one submit each, in place", async () => {
    const program = compile(
      { params: model.params, opt: adamWInit(model.params), ...batch },
      ({ params, opt, tokens, targets }) => {
        const { value: loss, grad } = valueAndGrad((p: typeof params) => model.loss(p, tokens, targets))(params);
        const next = adamW(params, grad, opt, { lr });
        return { loss, params: next.params, opt: next.state };
      },
      { donate: ["params", "opt"] },
    );
    const session = await program.load(gpu(), { state: { params, opt: adamWInit(params) }, strict: true });
    const { losses, tensors } = await reference();
    let before = gpu().counters.snapshot();
    for (const [step, expected] of losses.entries()) {
      const { loss } = await session.run({ tokens, targets }, { read: true });
      expect(Math.abs((await loss.data())[0]! / expected - 1), `step ${step}`).toBeLessThan(1e-5);
      loss.dispose();
      const after = gpu().counters.snapshot();
      expect(after.submits - before.submits).toBe(1);
      if (step > 1) {
        expect(after.buffers - before.buffers).toBe(0);
        expect(after.bindGroups - before.bindGroups).toBe(0);
      }
      before = gpu().counters.snapshot();
    }
    for (const [name, { data }] of Object.entries(tensors)) {
      if (!name.startsWith("after.")) continue;
      const path = name.slice("after.".length).split(".");
      const got = path.reduce(
        (tree: never, key) => tree[key],
        session.state.params as never,
      ) as typeof session.state.params.transformer.wte.weight;
      check(name, await got.data(), data);
    }
    const file = await loadSafetensors(await saveSafetensors(session.state));
    expect(Object.keys(file.tensors)).toHaveLength(28 * 3 + 1);
    expect(file.tensors["opt.step"]?.data).toEqual(Int32Array.of(8));
    const wte = await session.state.params.transformer.wte.weight.data();
    expect(largestDifference(file.tensors["params.transformer.wte.weight"]!.data, wte)).toBe(0);
    session.dispose();
  });

  /**
   * The gradient of a key's bias is exactly 0, since softmax does not see what is added to all keys: Adam divides rounding
   * by its own size, and each step may go either way.
   */
  function check(name: string, got: ArrayLike<number>, expected: ArrayLike<number>): void {
    const [a, b] = [Array.from(got), Array.from(expected)];
    if (!name.endsWith("c_attn.bias")) {
      expect(relativeNorm(a, b), name).toBeLessThan(1e-4);
      return;
    }
    const third = b.length / 3;
    const without = (x: number[]): number[] => x.toSpliced(third, third);
    const key = (x: number[]): number[] => x.slice(third, 2 * third);
    expect(relativeNorm(without(a), without(b)), name).toBeLessThan(1e-4);
    expect(largestDifference(key(a), key(b)), name).toBeLessThan(lr * 8);
  }
});
