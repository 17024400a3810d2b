import { fail } from "../../base/diagnostic.ts";
import type { DType } from "../../base/dtype.ts";
import { type Dim, type Shape, shapeText } from "../dim.ts";
import type { TensorType } from "../graph.ts";

const maxRank = 8;

/** A tensor type of at most {@link maxRank} axes. @throws SinterError `rank-limit` */
export function tensorType(op: string, dtype: DType, shape: Shape): TensorType {
  if (shape.length > maxRank) {
    fail("rank-limit", `${op} would give a tensor of shape ${shapeText(shape)}, which has ${shape.length} axes`, {
      cause: `tensors have at most ${maxRank} axes`,
      hint: "merge axes with reshape first",
    });
  }
  return { dtype, shape };
}

/** An axis attribute as the IR holds it: counted from the front. @throws SinterError `bad-axis` */
export function axisOf(op: string, axis: unknown, shape: Shape): number {
  if (typeof axis !== "number" || !Number.isInteger(axis) || axis < 0 || axis >= shape.length) {
    fail("bad-axis", `${op}: axis ${axis} is outside a tensor of shape ${shapeText(shape)}`, {
      cause: "a graph counts axes from 0 at the front",
      hint: shape.length === 0 ? "a scalar has no axes" : `give an integer from 0 to ${shape.length - 1}`,
    });
  }
  return axis;
}

/** Axes attribute: from the front, ascending, each once. @throws SinterError `bad-axis` */
export function axesOf(op: string, axes: unknown, shape: Shape): readonly number[] {
  const list = axisList(op, axes, shape);
  if (list.some((a, i) => i > 0 && a <= (list[i - 1] as number))) {
    fail("bad-axis", `${op}: axes [${list.join(", ")}] are not ascending`, {
      cause: "a graph holds the axes of a set in ascending order, each once",
      hint: `give [${[...new Set(list)].sort((a, b) => a - b).join(", ")}]`,
    });
  }
  return list;
}

/** Axes attribute whose order has a meaning: from the front, each once. @throws SinterError `bad-axis` */
export function axisList(op: string, axes: unknown, shape: Shape): readonly number[] {
  if (!Array.isArray(axes)) fail("bad-axis", `${op} needs axes: a list of integers`, { hint: "give axes: [0]" });
  const list = (axes as unknown[]).map((a) => axisOf(op, a, shape));
  if (new Set(list).size !== list.length) {
    fail("bad-axis", `${op}: axes [${list.join(", ")}] name one axis twice`, { hint: "name each axis once" });
  }
  return list;
}

/** The shape that is left of `shape` when `axes` are reduced. */
export const reducedShape = (shape: Shape, axes: readonly number[], keepDims: boolean): Shape =>
  keepDims ? shape.map((d, i): Dim => (axes.includes(i) ? 1 : d)) : shape.filter((_, i) => !axes.includes(i));

/** `list` with `items` in place of its `n` elements from `at`. */
export const splice = <T>(list: readonly T[], at: number, n: number, ...items: readonly T[]): T[] => [
  ...list.slice(0, at),
  ...items,
  ...list.slice(at + n),
];

/** `[0, 1, …, n - 1]` */
export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
