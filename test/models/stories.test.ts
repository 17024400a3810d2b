import { argMax, compile, i32 } from "sinter";
import type { KvCache } from "sinter/nn";
import { describe, expect, test } from "vitest";
import { sharedGpu } from "../support/gpu.ts";
import { largestDifference } from "./hashed.ts";
import { type Stories, stories260K } from "./llama2c.ts";

const stories = stories260K("the model that tells stories");
if (stories) suite(stories);
else describe.skip("stories260K", () => test("its weights are not at hand", () => {}));

function suite({ model, params, tokens, logits }: Stories): void {
  const gpu = sharedGpu();
  const length = 256;

  /** One token in, the next one out. Its position is data, so that this one program tells the whole story. */
  const program = compile(
    { params: model.params, cache: model.cache(1, length), token: i32(1, 1), position: i32() },
    ({ params, cache, token, position }) => {
      const out = model.decode(params, cache, token, position);
      return { next: argMax(out.logits), logits: out.logits, cache: out.cache };
    },
    { weights: ["params"], donate: ["cache"] },
  );
  const zeros = (): KvCache<Float32Array>[] =>
    model.cache(1, length).map(({ key, value }) => {
      const empty = ({ shape }: typeof key) => new Float32Array((shape as number[]).reduce((n, d) => n * d, 1));
      return { key: empty(key), value: empty(value) };
    });

  // Software adapters take seconds to compile some of the pipelines.
  test("200 greedy tokens are those of llama2.c, one submit each, nothing made on the way", {
    timeout: 300_000,
  }, async () => {
    const session = await program.load(gpu(), {
      weights: { params },
      state: { cache: zeros() },
      strict: true,
    });
    const told = [tokens[0] as number];
    let before = gpu().counters.snapshot();
    const first = before;
    for (let position = 0; told.length < tokens.length; position++) {
      const out = await session.run({ token: [told[position] as number], position }, { read: true });
      told.push((await out.next.data())[0] as number);
      if (position === 0) expect(largestDifference(await out.logits.data(), logits)).toBeLessThan(1e-4);
      out.next.dispose();
      out.logits.dispose();
      const after = gpu().counters.snapshot();
      if (position > 1) {
        expect(after.buffers - before.buffers).toBe(0);
        expect(after.bindGroups - before.bindGroups).toBe(0);
      }
      before = after;
    }
    expect(told).toEqual(tokens);
    expect(before.submits - first.submits).toBe(tokens.length - 1);
    expect(before.latePipelines - first.latePipelines).toBe(0);
    session.dispose();
  });
}
