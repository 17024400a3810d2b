import fc from "fast-check";
import { expect, test } from "vitest";
import { arrange, leastBytes, type Span } from "../../src/plan/arena.ts";
import { runs } from "../properties/runs.ts";

const spans = fc.array(
  fc
    .record({ units: fc.integer({ min: 1, max: 64 }), first: fc.nat({ max: 30 }), more: fc.nat({ max: 12 }) })
    .map(({ units, first, more }): Span => ({ bytes: units * 256, first, last: first + more })),
  { maxLength: 40 },
);

test("what is needed at one time never overlaps, stays aligned, and arenas keep to their limit", () => {
  const property = fc.property(spans, fc.integer({ min: 64, max: 400 }), (list, units) => {
    const limit = units * 256;
    const { at, sizes } = arrange(list, limit);
    expect(at).toHaveLength(list.length);
    list.forEach((a, i) => {
      const p = at[i] as (typeof at)[0];
      expect(p.offset % 256).toBe(0);
      expect(p.offset + a.bytes).toBeLessThanOrEqual(Math.min(limit, sizes[p.arena] as number));
      list.slice(0, i).forEach((b, j) => {
        const q = at[j] as (typeof at)[0];
        const together = a.first <= b.last && b.first <= a.last && p.arena === q.arena;
        if (together) expect(p.offset >= q.offset + b.bytes || q.offset >= p.offset + a.bytes).toBe(true);
      });
    });
    // No arrangement is below the bound; a single arena is what it is compared with.
    if (sizes.length === 1) expect(sizes[0]).toBeGreaterThanOrEqual(leastBytes(list));
  });
  fc.assert(property, runs(10_000));
});

test("a stack of lifetimes takes no more than its bound", () => {
  const nested = Array.from({ length: 20 }, (_, i): Span => ({ bytes: 256 * (i + 1), first: i, last: 39 - i }));
  expect(arrange(nested, 2 ** 28).sizes).toEqual([leastBytes(nested)]);
});

test("the bound is the largest sum of bytes at one step", () => {
  const list: Span[] = [
    { bytes: 256, first: 0, last: 3 },
    { bytes: 512, first: 2, last: 2 },
    { bytes: 1024, first: 4, last: 9 },
  ];
  expect(leastBytes(list)).toBe(1024);
  expect(leastBytes(list.slice(0, 2))).toBe(768);
  expect(leastBytes([])).toBe(0);
});
