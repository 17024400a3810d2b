import { expect, test } from "vitest";
import { paced } from "../../src/node/pace.ts";

/** Asks for news as Dawn's module does, from one `setImmediate` to the next, until `ms` are over. */
function polling(ms: number): { call(): Promise<number>; readonly polls: () => number } {
  let polls = 0;
  const began = performance.now();
  return {
    call: () =>
      new Promise((resolve) => {
        const tick = (): void => {
          polls++;
          if (performance.now() - began >= ms) resolve(performance.now() - began);
          else globalThis.setImmediate(tick);
        };
        globalThis.setImmediate(tick);
      }),
    polls: () => polls,
  };
}

test("polls of a long wait are far apart, and it ends hardly later", async () => {
  const usual = globalThis.setImmediate;
  const { call, polls } = polling(150);
  const waited = paced(call);
  expect(globalThis.setImmediate).toBe(usual);
  expect(await waited).toBeGreaterThanOrEqual(150);
  // Without pauses there are tens of thousands; the pauses alone allow about 900.
  expect(polls()).toBeLessThan(2500);
  expect(globalThis.setImmediate).toBe(usual);
});

test("other code goes on between the polls, and sees setImmediate as it is", async () => {
  const usual = globalThis.setImmediate;
  const { call } = polling(60);
  const waited = paced(call);
  const seen: unknown[] = [];
  while (seen.length < 50)
    await new Promise((resolve) => setImmediate(() => resolve(seen.push(globalThis.setImmediate))));
  expect(new Set(seen)).toEqual(new Set([usual]));
  await waited;
});

test("arguments are handed on, what throws leaves nothing behind, and values come back", async () => {
  const usual = globalThis.setImmediate;
  const got = await new Promise((resolve) => paced(() => globalThis.setImmediate((a, b) => resolve([a, b]), 1, "two")));
  expect(got).toEqual([1, "two"]);
  expect(() =>
    paced(() => {
      throw new RangeError("no device");
    }),
  ).toThrow(RangeError);
  expect(globalThis.setImmediate).toBe(usual);
  expect(paced(() => 7)).toBe(7);
});
