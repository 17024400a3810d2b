import { fail } from "../../base/diagnostic.ts";
import type { DType } from "../../base/dtype.ts";
import { type Dim, isSym } from "../dim.ts";
import type { Attrs, GraphBuilder, Node, TensorType } from "../graph.ts";
import type { OpRow } from "../op.ts";
import { axisOf } from "./axes.ts";
import { inF32, reduceOver, reshape, scalar } from "./composite-helpers.ts";
import { mayEqual, requireFloat, requireInteger, requireRank, typeText } from "./infer.ts";

/**
 * x minus its maximum along an axis, the exponential of that and its sum: what all of softmax's kin share. No result
 * depends on what was subtracted, so it is a constant of differentiation.
 */
function stableExp(b: GraphBuilder, x: Node, axis: number): { centred: Node; exps: Node; sum: Node } {
  const top = b.add("stopGradient", [reduceOver(b, "reduceMax", x, [axis], true)]);
  const centred = b.add("sub", [x, top]);
  const exps = b.add("exp", [centred]);
  return { centred, exps, sum: reduceOver(b, "sum", exps, [axis], true) };
}

function softmaxRow(
  name: string,
  doc: string,
  finish: (b: GraphBuilder, s: ReturnType<typeof stableExp>) => Node,
): OpRow {
  return {
    name,
    kind: "composite",
    params: ["x"],
    attrs: { axis: { type: "int", doc: "axis along which the exponentials sum to one" } },
    doc: `${doc} dtypes: f32, f16; computed in f32.`,
    infer: ([t], a) => {
      const x = t as TensorType;
      axisOf(name, a.axis, x.shape);
      return { dtype: requireFloat(name, x), shape: x.shape };
    },
    decompose: (b, [x], a) => inF32(b, x as Node, (y) => finish(b, stableExp(b, y, a.axis as number))),
    accuracy: { ulp: (n) => 3 * n + 3 },
  };
}

function crossEntropyType(logits: TensorType, targets: TensorType): TensorType {
  requireFloat("crossEntropy", logits, "logits");
  requireRank("crossEntropy", logits, 1, 8, "logits");
  requireInteger("crossEntropy", targets, "targets");
  const shape = logits.shape.slice(0, -1);
  if (targets.shape.length !== shape.length || shape.some((d, i) => !mayEqual(d, targets.shape[i] as Dim))) {
    fail("shape-mismatch", `crossEntropy: logits ${typeText(logits)} and targets ${typeText(targets)} do not fit`, {
      cause: "targets have the shape of the logits without the last axis, which holds the classes",
      hint: "move the class axis of the logits to the end, or reshape the targets",
    });
  }
  return { dtype: logits.dtype, shape };
}

/**
 * log sum exp(x - m) - (x[target] - m), the pick being a sum over a comparison, so that both sums run over the same row
 * and every element is read where its gradient belongs. Smoothing takes a part of the pick from all classes alike
 * (Szegedy et al., 2016).
 */
function crossEntropy(b: GraphBuilder, x: Node, targets: Node, a: Attrs): Node {
  const axis = x.type.shape.length - 1;
  const loss = targets.type.shape;
  const id = reshape(b, targets, [...loss, 1]);
  const iota = b.add("iota", [], {
    axis,
    dtype: targets.type.dtype,
    shape: x.type.shape.map((d, i): Dim => (i === axis ? d : 1)),
  });
  const { centred, sum } = stableExp(b, x, axis);
  const hit = b.add("where", [b.add("equal", [id, iota]), centred, scalar(b, 0, x)]);
  const pick = reduceOver(b, "sum", hit, [axis], false);
  const smoothing = (a.labelSmoothing as number | undefined) ?? 0;
  const value = b.add("sub", [
    reshape(b, b.add("log", [sum]), loss),
    smoothing === 0 ? pick : smooth(b, centred, pick, smoothing),
  ]);
  const known = b.add("less", [targets, classCount(b, x.type.shape[axis] as Dim, targets.type.dtype)]);
  const checked = b.add("where", [known, value, scalar(b, Number.NaN, x)]);
  return ignoredBy(b, targets, a).reduce((rest, ignored) => b.add("where", [ignored, scalar(b, 0, x), rest]), checked);
}

/** (1 - s) x[target] + s mean(x) of rows x */
function smooth(b: GraphBuilder, x: Node, pick: Node, s: number): Node {
  const even = reduceOver(b, "mean", x, [x.type.shape.length - 1], false);
  return b.add("add", [b.add("mul", [pick, scalar(b, 1 - s, x)]), b.add("mul", [even, scalar(b, s, x)])]);
}

const classCount = (b: GraphBuilder, n: Dim, dtype: DType): Node =>
  isSym(n) ? b.add("elementCount", [], { shape: [n], dtype }) : b.const(n, dtype);

/** The conditions under which a position has no loss. */
function ignoredBy(b: GraphBuilder, targets: Node, a: Attrs): Node[] {
  const { dtype } = targets.type;
  const negative = dtype === "i32" ? [b.add("less", [targets, b.const(0, dtype)])] : [];
  const index = a.ignoreIndex as number | null | undefined;
  const named = index !== null && index !== undefined && (index >= 0 || dtype === "u32");
  return named ? [...negative, b.add("equal", [targets, b.const(index, dtype)])] : negative;
}

export const softmaxComposites: readonly OpRow[] = [
  softmaxRow("softmax", "exp(x - max) / sum(exp(x - max)) along an axis; NaN where all are -inf.", (b, s) =>
    b.add("div", [s.exps, s.sum]),
  ),
  softmaxRow("logSoftmax", "x - max - log(sum(exp(x - max))) along an axis.", (b, s) =>
    b.add("sub", [s.centred, b.add("log", [s.sum])]),
  ),
  {
    name: "crossEntropy",
    kind: "composite",
    params: ["logits", "targets"],
    attrs: {
      ignoreIndex: { type: "int", doc: "one more target whose positions are ignored", default: null },
      labelSmoothing: {
        type: "float",
        doc: "part of a target's probability, from 0 to 1, that is spread over all classes",
        default: 0,
      },
    },
    doc:
      "-log(softmax(logits)[target]) for each position: logits [..., V] (f32, f16; computed in f32), targets [...] (i32, u32) with classes 0..V-1; " +
      "the result is [...]. A negative target ignores its position (loss 0); one of V or more gives NaN.",
    infer: ([logits, targets]) => crossEntropyType(logits as TensorType, targets as TensorType),
    decompose: (b, [x, targets], a) => inF32(b, x as Node, (y) => crossEntropy(b, y, targets as Node, a)),
    accuracy: { ulp: (n) => 2 * n + 18 },
  },
];
