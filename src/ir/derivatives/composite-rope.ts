import { concreteDim, type Dim } from "../dim.ts";
import type { Node } from "../graph.ts";
import type { Adjoint, Derivative } from "../op.ts";
import { range } from "../ops/axes.ts";
import { reduceOver, reshape, sliceAxis } from "../ops/composite-helpers.ts";
import { widened } from "./formula.ts";
import { sumTo } from "./helpers.ts";

/**
 * Pairs (p, q) of features are turned, so the cotangent is turned back: by the opposite positions. By the angle of its pair
 * the result changes by (-q, p), by the position by that times the pair's frequency.
 */
export const ropeDerivative: Derivative = (a) => [
  a.needs(0) ? a.b.add("rope", [a.ct, a.b.add("neg", [a.args[1] as Node])], a.node.attrs) : undefined,
  a.needs(1) ? byPosition(a) : undefined,
];

function byPosition(a: Adjoint): Node {
  const { b, node } = a;
  const positions = a.args[1] as Node;
  const lead = node.type.shape.slice(0, -1);
  const d = concreteDim(node.type.shape.at(-1) as Dim);
  const neighbours = node.attrs.pairing === "neighbours";
  const [shape, axis] = neighbours ? [[...lead, d / 2, 2], lead.length + 1] : [[...lead, 2, d / 2], lead.length];
  const base = (node.attrs.base as number | undefined) ?? 10000;
  const frequencies = b.add("literal", [], {
    data: Float32Array.from(range(d / 2), (i) => base ** ((-2 * i) / d)),
    dtype: "f32",
    shape: [d / 2],
  });
  return widened(a, 1, (f, { ct, y }) => {
    const part = (x: Node, i: 0 | 1): Node =>
      reshape(b, sliceAxis(b, b.add("reshape", [x], { shape }), axis, i, 1), [...lead, d / 2]);
    const turn = f("sub", f("mul", part(ct, 1), part(y, 0)), f("mul", part(ct, 0), part(y, 1)));
    const each = reduceOver(b, "sum", f("mul", turn, frequencies), [lead.length], false);
    return sumTo(b, each, positions.type.shape);
  });
}
