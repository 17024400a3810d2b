import { expect, test } from "vitest";
import { ndarray } from "../../src/ir/ndarray.ts";
import { philox4x32 } from "../../src/ir/ops/random.ts";
import { rowOf } from "../../src/ir/ops.ts";
import { philoxKnownAnswers } from "../support/philox.ts";

test("Philox-4x32-10 gives Random123's known answers", () => {
  for (const { counter, key, words } of philoxKnownAnswers) expect(philox4x32(counter, key)).toEqual(words);
});

test("elements take the four words of successive counters", () => {
  const row = rowOf("philox");
  const attrs = { shape: [3, 3], stream: 7 };
  const type = row.infer([{ dtype: "u32", shape: [2] }], attrs);
  expect(type).toEqual({ dtype: "u32", shape: [3, 3] });
  const seed = [0xa4093822, 0x299f31d0] as const;
  const [out] = row.evaluate?.([ndarray("u32", [2], seed)], attrs, [{ dtype: "u32", shape: [3, 3] }]) ?? [];
  const want = [0, 1, 2].flatMap((n) => philox4x32([n, 0, 7, 0], seed)).slice(0, 9);
  expect([...(out?.data ?? [])]).toEqual(want);
});

test("a seed of another type is refused", () => {
  const row = rowOf("philox");
  expect(() => row.infer([{ dtype: "i32", shape: [2] }], { shape: [1], stream: 0 })).toThrow(
    "philox takes a seed of type u32[2], not i32[2] [bad-seed]",
  );
});
