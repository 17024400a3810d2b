import { type Shape, shapeEqual } from "../dim.ts";
import type { GraphBuilder, Node, TensorType } from "../graph.ts";

export const zeros = (b: GraphBuilder, t: TensorType): Node => b.const(0, t.dtype, t.shape);

/**
 * The sum of `ct` over the axes that broadcasting to its shape repeated: the opposite of expanding from `shape`. A size that
 * is not known yet counts as not repeated.
 */
export function sumTo(b: GraphBuilder, ct: Node, shape: Shape): Node {
  const from = ct.type.shape;
  const lead = from.length - shape.length;
  const axes = from.flatMap((d, i) => (i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : []));
  if (axes.length === 0) return ct;
  const sum = b.add("sum", [ct], { axes, keepDims: axes.every((a) => a >= lead) });
  return shapeEqual(sum.type.shape, shape) ? sum : b.add("reshape", [sum], { shape });
}
