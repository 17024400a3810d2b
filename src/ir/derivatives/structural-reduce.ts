import { type Shape, shapeSize } from "../dim.ts";
import type { Graph, GraphBuilder, Node } from "../graph.ts";
import type { Adjoint, Derivative } from "../op.ts";
import { range, splice } from "../ops/axes.ts";
import { combineStates } from "../ops/combine-states.ts";
import { reshape, transpose } from "../ops/composite-helpers.ts";

/** Several axes as one, and back. Axes that do not lie side by side are moved to the end first. */
function merging(b: GraphBuilder, shape: Shape, axes: readonly number[]) {
  const kept = range(shape.length).filter((i) => !axes.includes(i));
  const together = axes.every((a, i) => a === (axes[0] as number) + i);
  const order = together ? range(shape.length) : [...kept, ...axes];
  const axis = together ? (axes[0] ?? 0) : kept.length;
  const moved = order.map((i) => shape[i] as Shape[number]);
  const one = splice(moved, axis, axes.length, shapeSize(axes.map((i) => shape[i] as Shape[number])));
  return {
    axis,
    shape: one,
    /** A result of the reduction, or its cotangent, beside every element that it is made of. */
    spread: (r: Node): Node => b.add("expand", [reshape(b, r, splice(one, axis, 1, 1))], { shape: one }),
    merge: (x: Node): Node => reshape(b, transpose(b, x, order), one),
    split: (x: Node): Node =>
      transpose(
        b,
        reshape(b, x, moved),
        range(shape.length).map((i) => order.indexOf(i)),
      ),
  };
}

/**
 * The result of a reduction is combine(before, combine(element, after)) for every element, where `before` and `after` are the
 * combinations of what precedes and follows it: the derivative by the element is that of this formula. It holds for any
 * associative combine, also where the states before and after cannot be told from the result (0 times x, a maximum).
 *
 * As Futhark differentiates `reduce`: Schenck, Ronning, Henriksen, Oancea, "AD for an array language with nested
 * parallelism", SC 2022.
 */
export const reduceDerivative: Derivative = ({ b, node, args, cotangents, needs, pullback }: Adjoint) => {
  const { combine, identity, axes } = node.attrs as {
    combine: Graph;
    identity: readonly number[];
    axes: readonly number[];
  };
  const line = merging(b, (args[0] as Node).type.shape, axes);
  const elements = args.map(line.merge);
  const states = (reverse: boolean): Node[] =>
    b.results(b.add("exclusiveScan", elements, { axis: line.axis, reverse, combine, identity }));
  const [before, after] = [states(false), states(true)];
  // Nodes of their own for the elements: before and after are made of them too.
  const own = elements.map((x) => b.add("reshape", [x], { shape: line.shape }));
  const whole = combineStates(b, combine, before, combineStates(b, combine, own, after));
  const wanted = own.filter((_, i) => needs(i));
  const found = pullback(
    whole,
    cotangents.map((ct) => ct && line.spread(ct)),
    wanted,
  );
  return own.map((x) => {
    const ct = found[wanted.indexOf(x)];
    return ct && line.split(ct);
  });
};
