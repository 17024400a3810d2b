import type { GraphBuilder, Node } from "../graph.ts";
import type { Adjoint, Derivative } from "../op.ts";
import { reducedShape } from "../ops/axes.ts";
import { reduceOver, reshape, scalar } from "../ops/composite-helpers.ts";
import { reduceDerivative } from "./structural-reduce.ts";

const axesOf = (n: Node): readonly number[] => n.attrs.axes as readonly number[];

/** A result of the reduction `n`, or its cotangent, so that it broadcasts against what was reduced. */
const kept = (b: GraphBuilder, n: Node, x: Node): Node =>
  reshape(b, x, reducedShape((n.args[0] as Node).type.shape, axesOf(n), true));

const back = ({ b, node, args, ct }: Adjoint): Node =>
  b.add("expand", [kept(b, node, ct)], { shape: (args[0] as Node).type.shape });

/**
 * The derivative of a product by each of its factors x: the product of the others. `product` gives, for factors of which
 * zeros were replaced by 1, the product that x is part of; `count` how many of the factors are zero.
 */
export function productOfOthers(
  b: GraphBuilder,
  x: Node,
  product: (factors: Node) => Node,
  count: (zero: Node) => Node,
): Node {
  const zero = b.add("equal", [x, scalar(b, 0, x)]);
  const whole = b.add("where", [zero, scalar(b, 1, x), x]);
  const rest = product(whole);
  const zeros = count(b.add("cast", [zero], { dtype: x.type.dtype }));
  const [none, one] = [0, 1].map((n) => b.add("equal", [zeros, scalar(b, n, x)])) as [Node, Node];
  const others = b.add("where", [b.add("or", [none, b.add("and", [one, zero])]), rest, scalar(b, 0, x)]);
  return b.add("div", [others, whole]);
}

/** The cotangent of an extreme is shared evenly by the elements that attain it, as PyTorch's amax and amin do. */
const extreme: Derivative = ({ b, node, args, ct }) => {
  const x = args[0] as Node;
  const hit = b.add("equal", [x, kept(b, node, node)]);
  const ties = reduceOver(b, "sum", b.add("cast", [hit], { dtype: x.type.dtype }), axesOf(node), true);
  const share = b.add("div", [kept(b, node, ct), ties]);
  return [b.add("where", [hit, share, scalar(b, 0, x)])];
};

const prod: Derivative = ({ b, node, args, ct }) => {
  const over = (op: string) => (x: Node) => reduceOver(b, op, x, axesOf(node), true);
  return [b.add("mul", [kept(b, node, ct), productOfOthers(b, args[0] as Node, over("prod"), over("sum"))])];
};

export const reductionDerivatives: Readonly<Record<string, Derivative | null>> = {
  sum: (a) => [back(a)],
  prod,
  reduceMin: extreme,
  reduceMax: extreme,
  reduce: reduceDerivative,
  any: null,
  all: null,
  cumSum: ({ b, node, ct }) => [b.add("cumSum", [ct], { ...node.attrs, reverse: node.attrs.reverse !== true })],
};
