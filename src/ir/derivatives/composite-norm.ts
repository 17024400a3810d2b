import type { Node } from "../graph.ts";
import type { Adjoint, Derivative } from "../op.ts";
import { range } from "../ops/axes.ts";
import { alongAxes, cast, epsilonOf, optionals, transpose } from "../ops/composite-helpers.ts";
import { affine, ascending, meanOf, standardised } from "../ops/composite-norm.ts";
import { formula } from "./formula.ts";
import { sumTo } from "./helpers.ts";

/** The gradient of a parameter along the axes that are normalised, from its values at every element of x. */
function ofParameter(a: Adjoint, i: number, each: Node): Node {
  const axes = a.node.attrs.axes as readonly number[];
  const sorted = ascending(a.node.attrs);
  const shape = sorted.map((axis) => each.type.shape[axis] ?? 1);
  const lead = range(each.type.shape.length).filter((axis) => !axes.includes(axis));
  const summed = lead.length ? a.b.add("sum", [each], { axes: lead, keepDims: false }) : sumTo(a.b, each, shape);
  const ordered = transpose(
    a.b,
    summed,
    axes.map((axis) => sorted.indexOf(axis)),
  );
  return cast(a.b, ordered, (a.args[i] as Node).type.dtype);
}

/**
 * With the normalised values y and their cotangent g, dx = (g - mean(g) - y mean(g y)) / sqrt(variance + epsilon). The
 * decomposition's derivative says the same, but by a sum that waits for another one, since it does not know that the
 * centred values add up to 0. Mean and deviation are the forward pass's own nodes.
 */
export const layerNormDerivative: Derivative = (a) => {
  const { b, node } = a;
  const { attrs } = node;
  const x = cast(b, a.args[0] as Node, "f32");
  const ct = cast(b, a.ct, "f32");
  const [scale, bias] = optionals("layerNorm", a.args, attrs, 1, affine);
  const sorted = ascending(attrs);
  const f = formula(b, "f32");
  const { centred, inverse } = standardised(b, x, sorted, epsilonOf(attrs));
  const y = f("mul", centred, inverse);
  const along = (p: Node): Node =>
    cast(b, alongAxes(b, p, attrs.axes as readonly number[], x.type.shape.length), "f32");
  const byX = (): Node => {
    const g = scale ? f("mul", ct, along(scale)) : ct;
    const share = f("mul", y, meanOf(b, f("mul", g, y), sorted));
    const centre = f("sub", f("sub", g, meanOf(b, g, sorted)), share);
    return cast(b, f("mul", centre, inverse), node.type.dtype);
  };
  const parts = [scale && (() => f("mul", ct, y)), bias && (() => ct)].filter((p) => p !== undefined);
  return [
    a.needs(0) ? byX() : undefined,
    ...parts.map((each, i) => (a.needs(i + 1) ? ofParameter(a, i + 1, each()) : undefined)),
  ];
};
