import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect } from "vitest";
import { quotient } from "../../src/frontend/sizes.ts";
import { part } from "../../src/frontend/slice-range.ts";
import { compile, dim, f32 } from "../../src/index.ts";
import { bindDim, dimText } from "../../src/ir/dim.ts";

/** The indices that Python's `range(n)[start:end:step]` holds, by the definition in its language reference. */
function python(n: number, start: number | null, end: number | null, step: number): number[] {
  const clamp = (v: number | null, open: number): number => {
    if (v === null) return open;
    const low = step > 0 ? 0 : -1;
    const high = step > 0 ? n : n - 1;
    return Math.min(high, Math.max(low, v < 0 ? v + n : v));
  };
  const out: number[] = [];
  const stop = clamp(end, step > 0 ? n : -1);
  for (let i = clamp(start, step > 0 ? 0 : n - 1); step > 0 ? i < stop : i > stop; i += step) out.push(i);
  return out;
}

const bound = fc.option(fc.integer({ min: -9, max: 9 }));
const cut = { n: fc.nat(7), start: bound, end: bound, step: fc.integer({ min: -3, max: 3 }).filter((s) => s !== 0) };
const indices = (p: { start: number; step: number; size: number }): number[] =>
  Array.from({ length: p.size }, (_, i) => p.start + i * p.step);

describe("slice", () => {
  test.prop([fc.record(cut)])("takes what Python takes", ({ n, start, end, step }) => {
    const p = part(n, [start, end, step], 0) as { start: number; step: number; size: number };
    expect(indices(p)).toEqual(python(n, start, end, step));
  });

  test.prop([fc.record(cut)])("of a symbolic axis takes the same once it is bound", ({ n, start, end, step }) => {
    const p = part(dim("T"), [start, end, step], 0);
    const at = (d: typeof p.size): number => bindDim(d, { T: n }) as number;
    expect(indices({ start: at(p.start), step: p.step, size: at(p.size) })).toEqual(python(n, start, end, step));
  });

  test("of a symbolic axis has short sizes", () => {
    const T = dim("T");
    const size = (...range: [number | null, (number | null)?, number?]): string => dimText(part(T, range, 0).size);
    expect(size(null)).toBe("T");
    expect(size(null, null, -1)).toBe("T");
    expect(size(-1)).toBe("min(T, 1)");
    expect(size(0, 4)).toBe("min(T, 4)");
    expect(size(1)).toBe("max((T + -1), 0)");
    expect(dimText(part(T, [0, T], 0).size)).toBe("T");
  });

  test("lists of starts, ends and steps name the leading axes, or those of `axes`", () => {
    const line = (fn: Parameters<typeof compile<{ x: ReturnType<typeof f32> }, never>>[1]): string =>
      String(compile({ x: f32(4, 5) }, fn)).split("\n")[1] as string;
    expect(line(({ x }) => x.slice({ starts: [1], ends: [3] }) as never)).toContain(
      "starts: [1, 0], steps: [1, 1], sizes: [2, 5]",
    );
    expect(line(({ x }) => x.slice({ starts: [-2], axes: [-1] }) as never)).toContain(
      "starts: [0, 3], steps: [1, 1], sizes: [4, 2]",
    );
    expect(line(({ x }) => x.slice({ steps: [1, -2] }) as never)).toContain(
      "starts: [0, 4], steps: [1, -2], sizes: [4, 3]",
    );
    expect(line(({ x }) => x.slice([null, [1, -1]]) as never)).toContain(
      "starts: [0, 1], steps: [1, 1], sizes: [4, 3]",
    );
  });

  test("refuses what is no range", () => {
    const slice = (ranges: unknown) => () => compile({ x: f32(4, 5) }, ({ x }) => x.slice(ranges as never));
    expect(slice([[0, 1, 0]])).toThrow(/step of axis 0 is 0/);
    expect(slice([[0.5]])).toThrow(/0.5 is not an integer/);
    expect(slice([null, null, null])).toThrow(/3 ranges for f32\[4, 5\]/);
    expect(slice([3])).toThrow(/the range of axis 0 is the number 3/);
    expect(slice({ begin: [0] })).toThrow(/no option "begin"/);
  });
});

describe("the missing size of a reshape", () => {
  const [T, U] = [dim("T"), dim("U")];
  test.each([
    [[4, 6], [3], "8"],
    [[8, T, 64], [64], "(T * 8)"],
    [[8, T, 12, 64], [8, T], "768"],
    [[T, U], [U], "T"],
    [[T, T], [T], "T"],
    [[3, T], [2], "((T * 3) / 2)"],
    [[0, 4], [4], "0"],
  ] as const)("%j by %j", (from, by, want) => {
    expect(dimText(quotient(from, by) as never)).toBe(want);
  });
  test("that no size fills", () => {
    expect(quotient([4, 6], [5])).toBeUndefined();
    expect(quotient([T, 3], [T, 2])).toBeUndefined();
    expect(quotient([0], [0])).toBeUndefined();
  });
});
