import { evaluated } from "../fuse/explain.ts";
import { shapeOf } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";

/** Terms that an element of the result is summed from. */
function termsOf(region: Region): number {
  const [anchor] = region.anchors as [Node?];
  if (region.family === "contraction") {
    const product = region.anchors.find((n) => n.op === "matmul") as Node;
    return shapeOf(product.args[0] as Node).at(-1) as number;
  }
  if (region.family === "row") return region.axes.reduce((n, a) => n * (region.space[a] as number), 1);
  if (region.family === "attention" && anchor) {
    // Each term is made of products that are sums themselves, as long as a head is wide.
    const [query] = anchor.args as [Node];
    return (shapeOf(query).at(-1) as number) * Math.max(...anchor.args.map((a) => shapeOf(a).at(-2) ?? 1));
  }
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

/** The root of the mean square of what is finite among the values. */
export function typicalOf(values: Float64Array): number {
  let squares = 0;
  let finite = 0;
  for (const v of values) {
    if (!Number.isFinite(v)) continue;
    squares += v * v;
    finite++;
  }
  return Math.sqrt(squares / Math.max(1, finite));
}
