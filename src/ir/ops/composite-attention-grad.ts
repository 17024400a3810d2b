import { fail } from "../../base/diagnostic.ts";
import { type Shape, shapeText } from "../dim.ts";
import type { Attrs, GraphBuilder, Node, TensorType } from "../graph.ts";
import type { OpRow } from "../op.ts";
import { maskedScores, repeatHeads, scaleOf, sumHeads, swapLast } from "./attention-scores.ts";
import { attentionAttrs, attentionType } from "./attention-type.ts";
import { cast, has, optionals, reduceOver, reshape, sliceAxis } from "./composite-helpers.ts";
import { precisionOf } from "./contraction.ts";
import { mayEqual, typeText } from "./infer.ts";

/** Refuses an operand that is not of this dtype and shape. */
function requireType(op: string, name: string, x: TensorType | undefined, want: TensorType): void {
  const { shape } = want;
  if (
    x &&
    x.dtype === want.dtype &&
    x.shape.length === shape.length &&
    x.shape.every((d, i) => mayEqual(d, shape[i] ?? 0))
  )
    return;
  fail(
    x && x.dtype !== want.dtype ? "dtype-mismatch" : "shape-mismatch",
    `${op}: ${name} is ${x ? typeText(x) : "missing"}`,
    {
      cause: `of these q, k and v it is ${want.dtype}${shapeText(shape)}`,
      hint: `give ${name} as attentionStats and attentionGradQuery give it`,
    },
  );
}

/** [..., Hq, T] of a result [..., Hq, T, Dv]. */
const rowsOf = (out: TensorType): Shape => out.shape.slice(0, -1);
/** [..., Hq, 2, T] */
const pairsOf = (out: TensorType): TensorType => ({
  dtype: "f32",
  shape: [...out.shape.slice(0, -2), 2, ...out.shape.slice(-2, -1)],
});

/** One of the two numbers that `attentionGradQuery` keeps of each row, [..., Hq, T, 1]: 0 is lse, 1 is delta. */
function ofRows(b: GraphBuilder, rows: Node, which: 0 | 1): Node {
  const { shape } = rows.type;
  const one = sliceAxis(b, rows, shape.length - 2, which, 1);
  return reshape(b, one, [...shape.slice(0, -2), ...shape.slice(-1), 1]);
}

interface Operands {
  readonly q: Node;
  readonly k: Node;
  readonly v: Node;
  readonly dout: Node;
  readonly mask: Node | undefined;
}

/** The weights of a forward pass, computed again from lse [..., Hq, T, 1], and their gradient dout v^T; [..., Hq, T, S]. */
function weightsAgain(b: GraphBuilder, x: Operands, lse: Node, a: Attrs): { weights: Node; gradient: Node } {
  const [q, k, v, dout] = [x.q, x.k, x.v, x.dout].map((n) => cast(b, n, "f32")) as [Node, Node, Node, Node];
  const heads = q.type.shape.at(-3) as Shape[number];
  return {
    weights: b.add("exp", [b.add("sub", [maskedScores(b, q, k, x.mask, a), lse])]),
    gradient: b.add("matmul", [dout, swapLast(b, repeatHeads(b, v, heads))], precisionOf(a)),
  };
}

/** The gradient of the masked scores: weights (gradient - delta) with delta [..., Hq, T, 1] the gradient's weighted mean. */
const scoreGradient = (b: GraphBuilder, weights: Node, gradient: Node, delta: Node): Node =>
  b.add("mul", [weights, b.add("sub", [gradient, delta])]);

const times = (b: GraphBuilder, x: Node, factor: number): Node =>
  factor === 1 ? x : b.add("mul", [x, b.const(factor, "f32")]);

function gradQuery(b: GraphBuilder, args: readonly Node[], a: Attrs): readonly Node[] {
  const [q, k, v, lse, dout] = args as [Node, Node, Node, Node, Node];
  const [mask, out] = optionals("attentionGradQuery", args, a, 5, ["mask", "out"]);
  const column = reshape(b, lse, [...lse.type.shape, 1]);
  const { weights, gradient } = weightsAgain(b, { q, k, v, dout, mask }, column, a);
  const terms = out ? b.add("mul", [cast(b, dout, "f32"), cast(b, out, "f32")]) : b.add("mul", [weights, gradient]);
  const delta = reduceOver(b, "sum", terms, [terms.type.shape.length - 1], true);
  const keys = repeatHeads(b, cast(b, k, "f32"), q.type.shape.at(-3) as Shape[number]);
  const dq = b.add("matmul", [scoreGradient(b, weights, gradient, delta), keys], precisionOf(a));
  const { shape } = pairsOf(dout.type);
  const half = shape.map((d, i) => (i === shape.length - 2 ? 1 : d));
  const rows = b.add("concat", [reshape(b, lse, half), reshape(b, delta, half)], { axis: shape.length - 2 });
  return [cast(b, times(b, dq, scaleOf(q, a)), q.type.dtype), rows];
}

function gradKeyValue(b: GraphBuilder, args: readonly Node[], a: Attrs): readonly Node[] {
  const [q, k, v, rows, dout, mask] = args as [Node, Node, Node, Node, Node, Node | undefined];
  const { weights, gradient } = weightsAgain(b, { q, k, v, dout, mask }, ofRows(b, rows, 0), a);
  const scores = scoreGradient(b, weights, gradient, ofRows(b, rows, 1));
  const product = (left: Node, right: Node, like: Node, factor: number): Node => {
    const each = b.add("matmul", [swapLast(b, left), cast(b, right, "f32")], precisionOf(a));
    return cast(b, times(b, sumHeads(b, each, like.type.shape), factor), like.type.dtype);
  };
  return [product(scores, q, k, scaleOf(q, a)), product(weights, dout, v, 1)];
}

/** The gradient by the mask: that of the scores, summed over the axes along which the mask was repeated. */
function gradMask(b: GraphBuilder, args: readonly Node[], a: Attrs): Node {
  const [q, k, v, rows, dout, mask] = args as [Node, Node, Node, Node, Node, Node];
  const { weights, gradient } = weightsAgain(b, { q, k, v, dout, mask }, ofRows(b, rows, 0), a);
  const scores = scoreGradient(b, weights, gradient, ofRows(b, rows, 1));
  const { shape } = mask.type;
  const skip = scores.type.shape.length - shape.length;
  const axes = scores.type.shape.flatMap((d, i) => (i < skip || (shape[i - skip] === 1 && d !== 1) ? [i] : []));
  const summed = axes.length ? reduceOver(b, "sum", scores, axes, true) : scores;
  return cast(b, reshape(b, summed, shape), mask.type.dtype);
}

/** @throws SinterError where rows and dout are not what goes with q, k and v. */
function requireBackward(op: string, args: readonly TensorType[], a: Attrs): void {
  const [q, k, v, rows, dout, mask] = args;
  const type = attentionType(op, q, k, v, mask, a);
  requireType(op, "rows", rows, pairsOf(type));
  requireType(op, "dout", dout, type);
}

const about =
  "Dao et al., 2022; the weights are computed again, nothing of the size of the scores is stored. dtypes as attention.";

/** The gradient of attention: two rows with a kernel each, and one for the mask. */
export const attentionGradComposites: readonly OpRow[] = [
  {
    name: "attentionGradQuery",
    kind: "composite",
    params: ["q", "k", "v", "lse", "dout", "mask?", "out?"],
    attrs: { ...attentionAttrs, has },
    doc:
      "The gradient of attention by q, given lse of `attentionStats` and dout, the gradient by the result, and [..., Hq, 2, T] in f32: for each row its lse and delta, the " +
      "weighted mean of the gradients of its weights. Given out, attention's result, delta is the sum of dout * out, which is quicker. " +
      about,
    infer: (args, a) => {
      const [q, k, v, lse, dout] = args as [TensorType, TensorType, TensorType, TensorType, TensorType];
      const op = "attentionGradQuery";
      const [mask, out] = optionals(op, args, a, 5, ["mask", "out"]);
      const type = attentionType(op, q, k, v, mask, a);
      requireType(op, "lse", lse, { dtype: "f32", shape: rowsOf(type) });
      requireType(op, "dout", dout, type);
      if (out) requireType(op, "out", out, type);
      return [q, pairsOf(type)];
    },
    decompose: gradQuery,
    accuracy: { ulp: (n) => 8 * n + 128 },
  },
  {
    name: "attentionGradKeyValue",
    kind: "composite",
    params: ["q", "k", "v", "rows", "dout", "mask?"],
    attrs: attentionAttrs,
    doc:
      "The gradients of attention by k and v, given the second result of `attentionGradQuery` and dout; summed over the query heads of a group in order. " +
      about,
    infer: (args, a) => {
      requireBackward("attentionGradKeyValue", args, a);
      return [args[1] as TensorType, args[2] as TensorType];
    },
    decompose: gradKeyValue,
    accuracy: { ulp: (n) => 8 * n + 128 },
  },
  {
    name: "attentionGradMask",
    kind: "composite",
    params: ["q", "k", "v", "rows", "dout", "mask"],
    attrs: attentionAttrs,
    doc:
      "The gradient of attention by its mask, given the second result of `attentionGradQuery` and dout. It is as large as the scores and has no kernel of its own. " +
      "dtypes as attention.",
    infer: (args, a) => {
      requireBackward("attentionGradMask", args, a);
      return args[5] as TensorType;
    },
    decompose: gradMask,
    accuracy: { ulp: (n) => 8 * n + 128 },
  },
];
