import type { DType } from "../../src/base/dtype.ts";
import type { Attrs, GraphBuilder, Node } from "../../src/ir/graph.ts";
import { count } from "../../src/ir/ndarray.ts";

/**
 * A value of a random graph with what is known of it: magnitudes stay at most `bound`; a correct f32 evaluation is within
 * `error` of the real value; with `grid` g every element is a multiple of 2^-g that f32 holds exactly (so comparisons,
 * floor and casts to integers cannot flip by rounding).
 */
export interface Value {
  readonly node: Node;
  readonly bound: number;
  readonly error: number;
  readonly grid?: number;
}

export const shapeOf = (v: Value): readonly number[] => v.node.type.shape as readonly number[];
export const dtypeOf = (v: Value): DType => v.node.type.dtype;
export const sizeOf = (v: Value): number => count(shapeOf(v));

/** Largest number of elements of a tensor, of multiply-adds of a product, and of a magnitude. */
export const limits = { elements: 70_000, products: 2_000_000, bound: 10_000 };

/** Unit roundoff: half a unit in the last place of a number near 1. */
const roundoff: Readonly<Record<DType, number>> = { f32: 2 ** -24, f16: 2 ** -11, i32: 0, u32: 0, bool: 0 };
/** Significand bits. */
const precision: Readonly<Record<DType, number>> = { f32: 24, f16: 11, i32: 31, u32: 32, bool: 1 };

/** The result of an op with real error `error`, on a grid when one is given and the dtype has the bits. */
export function value(node: Node, bound: number, error: number, grid?: number): Value | undefined {
  const { dtype, shape } = node.type;
  if (count(shape as readonly number[]) > limits.elements || !(bound <= limits.bound)) return undefined;
  if (grid !== undefined && error === 0 && bound * 2 ** grid <= 2 ** precision[dtype])
    return { node, bound, error: 0, grid };
  // f16 subnormals may be flushed.
  return { node, bound, error: error + 2 * roundoff[dtype] * bound + (dtype === "f16" ? 2 ** -14 : 0) };
}

/** A view or another op that only moves elements. */
export const moved = (
  b: GraphBuilder,
  op: string,
  x: Value,
  attrs: Attrs,
  others: readonly Value[] = [],
): Value | undefined =>
  value(
    b.add(
      op,
      [x, ...others].map((v) => v.node),
      attrs,
    ),
    Math.max(x.bound, ...others.map((v) => v.bound)),
    Math.max(x.error, ...others.map((v) => v.error)),
    common(x, ...others),
  );

/** The finest grid of several exact values; undefined when one of them is not exact. */
export function common(...values: readonly Value[]): number | undefined {
  let grid = 0;
  for (const v of values) {
    if (v.grid === undefined) return undefined;
    grid = Math.max(grid, v.grid);
  }
  return grid;
}
