import type { DType } from "../base/dtype.ts";
import { evaluated } from "../fuse/explain.ts";
import { shapeOf } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";

/** Elements of a result, as numbers. */
export interface Sample {
  readonly dtype: DType;
  readonly values: Float64Array;
}

/** Terms that an element of the result is summed from. */
function termsOf(region: Region): number {
  const [anchor] = region.anchors as [Node?];
  if (region.family === "contraction") {
    const product = region.anchors.find((n) => n.op === "matmul") as Node;
    return shapeOf(product.args[0] as Node).at(-1) as number;
  }
  if (region.family === "row") return region.axes.reduce((n, a) => n * (region.space[a] as number), 1);
  if (region.family === "attention" && anchor) return Math.max(...anchor.args.map((a) => shapeOf(a).at(-2) ?? 1));
  return 1;
}

/**
 * How far the results of two variants of a kernel may be from each other, relative to an element and the root of the mean
 * square of all: sums taken in another order differ by about the square root of the number of their terms, in ulps; where
 * a value is rounded to f16 on the way, by ulps of that.
 */
export function toleranceOf(region: Region): number {
  const half = [...evaluated(region), ...region.outputs].some((n) => n.type.dtype === "f16");
  return 2 ** -23 * (16 + 2 * Math.sqrt(termsOf(region))) + (half ? 2 ** -8 : 0);
}

/** Is every element within the tolerance? NaN and infinities must be the same, integers equal. */
export function agrees(actual: Sample, expected: Sample, tolerance: number): boolean {
  const { values } = expected;
  const exact = expected.dtype !== "f32" && expected.dtype !== "f16";
  let squares = 0;
  let finite = 0;
  for (const e of values) {
    if (!Number.isFinite(e)) continue;
    squares += e * e;
    finite++;
  }
  const typical = Math.sqrt(squares / Math.max(1, finite));
  return values.every((e, i) => {
    const a = actual.values[i] as number;
    if (Object.is(a, e) || a === e) return true;
    return !exact && Math.abs(a - e) <= tolerance * (Math.abs(e) + typical);
  });
}
