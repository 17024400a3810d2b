import { fail } from "../base/diagnostic.ts";
import { type Dim, dimAdd, dimCeilDiv, dimEqual, dimMax, dimMin, dimSub, isSym } from "../ir/dim.ts";
import { describe } from "./tensor.ts";

/** Where a slice begins or ends: negative numbers count from the end, null leaves the side open. */
export type Bound = Dim | null;
/** `[start, end, step]` of one axis, all optional; null takes the whole axis. */
export type SliceRange = readonly [start?: Bound, end?: Bound, step?: number] | null;

interface Part {
  readonly start: Dim;
  readonly step: number;
  readonly size: Dim;
}

/** The elements of an axis of size `n` that a range takes: `start + i * step` for i below `size`. */
export function part(n: Dim, range: NonNullable<SliceRange>, axis: number): Part {
  if (!Array.isArray(range)) {
    fail("bad-slice", `slice: the range of axis ${axis} is ${describe(range)}`, {
      hint: "write [start, end, step] or null",
    });
  }
  const [start = null, end = null, step = 1] = range as readonly [Bound?, Bound?, number?];
  for (const v of [start, end]) {
    if (typeof v === "number" && !Number.isInteger(v))
      fail("bad-slice", `slice: ${v} is not an integer`, { hint: "round it: ranges count whole elements" });
  }
  if (!Number.isInteger(step) || step === 0) {
    fail("bad-slice", `slice: the step of axis ${axis} is ${step}`, { hint: "steps are integers other than 0" });
  }
  const p = step > 0 ? forward(n, start, end, step) : backward(n, start, end, step);
  return p.size === 0 ? { start: 0, step: 1, size: 0 } : p;
}

function forward(n: Dim, start: Bound, end: Bound, step: number): Part {
  const at = (v: Dim): Dim => {
    if (v === 0 || dimEqual(v, n)) return v;
    return typeof v === "number" && v < 0 ? dimMax(dimAdd(n, v), 0) : dimMin(n, v);
  };
  const low = at(start ?? 0);
  const high = at(end ?? n);
  return { start: low, step, size: dimCeilDiv(lengthOf(n, start, low, high), step) };
}

/** `max(high - low, 0)` in its simplest form. */
function lengthOf(n: Dim, start: Bound, low: Dim, high: Dim): Dim {
  if (low === 0) return high;
  // n - min(n, v) = max(n - v, 0) and n - max(n - k, 0) = min(n, k).
  if (dimEqual(high, n) && isSym(n) && typeof start === "number") {
    return start < 0 ? dimMin(n, -start) : dimMax(dimAdd(n, -start), 0);
  }
  return dimMax(dimSub(high, low), 0);
}

function backward(n: Dim, start: Bound, end: Bound, step: number): Part {
  const last = dimAdd(n, -1);
  const at = (v: Dim): Dim => (typeof v === "number" && v < 0 ? dimMax(dimAdd(n, v), -1) : dimMin(last, v));
  const high = start === null || start === -1 ? last : at(start);
  const low = end === null ? -1 : at(end);
  const length = end === null ? dimAdd(high, 1) : dimMax(dimSub(high, low), 0);
  return { start: high, step, size: dimCeilDiv(length, -step) };
}
