import { fail } from "../base/diagnostic.ts";
import { normaliseAxes, normaliseAxis } from "../ir/ops/infer.ts";
import { describe } from "./tensor.ts";

/** An axis counted from the front. Fails with `bad-axis`. */
export function resolveAxis(op: string, axis: number, rank: number, what = "axis"): number {
  if (typeof axis !== "number") {
    fail("bad-axis", `${op}: ${what} must be an integer, not ${describe(axis)}`, { hint: `write ${what}: -1` });
  }
  return normaliseAxis(op, axis, rank, what);
}

/** Axes from the front, ascending; all of them when none are given. Fails with `bad-axis`. */
export const resolveAxes = (op: string, axes: number | readonly number[] | undefined, rank: number): number[] =>
  axes === undefined
    ? Array.from({ length: rank }, (_, i) => i)
    : resolveAxisList(op, axes, rank).sort((a, b) => a - b);

/** Axes from the front, each once, in the order given. Fails with `bad-axis`. */
export function resolveAxisList(op: string, axes: number | readonly number[], rank: number): number[] {
  if (typeof axes === "number") return [resolveAxis(op, axes, rank)];
  if (!Array.isArray(axes)) {
    fail("bad-axis", `${op}: axes must be an integer or an array of integers, not ${describe(axes)}`, {
      hint: "write axes: [0, -1]",
    });
  }
  const list = (axes as readonly number[]).map((a) => resolveAxis(op, a, rank));
  normaliseAxes(op, list, rank);
  return list;
}
