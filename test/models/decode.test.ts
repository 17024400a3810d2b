import { compile, i32 } from "sinter";
import { gpt2 } from "sinter/nn";
import { expect, test } from "vitest";
import { gpt2Weight } from "../../fixtures/hash-weights.ts";
import { Interpreted } from "../nn/support/interpreted.ts";
import { sharedGpu } from "../support/gpu.ts";
import { hashParams, largestDifference } from "./hashed.ts";

const gpu = sharedGpu();

/**
 * A head of 3 halves, so that blocks of the cache begin and end inside words. (Its f32 twin is the story of 200 tokens in
 * stories.test.ts.)
 */
test("a cache of f16 with heads of odd size is written in place", { timeout: 300_000 }, async () => {
  const [batch, length] = [2, 5];
  const model = gpt2({ layers: 1, width: 6, heads: 2, vocabulary: 7, positions: length });
  const program = compile(
    {
      params: model.params,
      cache: model.cache(batch, length, "f16"),
      tokens: i32(batch, 1),
      position: i32(),
    },
    ({ params, cache, tokens, position }) => model.decode(params, cache, tokens, position),
    { weights: ["params"], donate: ["cache"] },
  );
  const params = hashParams(model.params, (name, n) => gpt2Weight(name, n).map((x) => 8 * x));
  const zeros = new Float32Array(batch * length * 6);
  const state = { cache: [{ key: zeros, value: zeros }] };
  const session = await program.load(gpu(), { weights: { params }, state, strict: true });
  const expected = new Interpreted(program, state);
  // Beyond the last position the last one is written again, as the starts of an update are clamped.
  for (const position of [0, 1, 2, 3, 4, 9]) {
    const tokens = Int32Array.of((3 * position) % 7, (5 * position + 1) % 7);
    const out = await session.run({ tokens, position });
    const { logits } = expected.run({ params, tokens, position } as never) as { logits: number[] };
    // Logits are f16 up to about 8, whose unit is 2^-8.
    expect(largestDifference(await out.logits.data(), logits), `position ${position}`).toBeLessThan(2 ** -6);
    for (const part of ["key", "value"] as const) {
      const got = await session.state.cache[0]![part].data();
      const want = expected.state.get(`cache.0.${part}`)!.data;
      expect(largestDifference(got, want), `${part} at position ${position}`).toBeLessThan(2 ** -6);
      const unwritten = (x: ArrayLike<number>): number => Array.from(x).filter((v) => v === 0).length;
      expect(unwritten(got)).toBe(unwritten(want));
    }
    out.logits.dispose();
  }
  session.dispose();
});
