import { fail } from "../../base/diagnostic.ts";
import { type Dim, dimText, isSym, type Shape, shapeText } from "../dim.ts";
import type { Attrs, TensorType } from "../graph.ts";
import type { AttrSpec } from "../op.ts";
import { productPrecisions } from "./contraction.ts";
import { broadcastShapes, mayEqual, requireFloat, requireRank, sameDType, typeText } from "./infer.ts";

/** Rows about attention that have kernels of their own: composites that a compiler keeps. */
export const attentionKernels: readonly string[] = [
  "attention",
  "attentionStats",
  "attentionGradQuery",
  "attentionGradKeyValue",
];

/** Attributes of every row about attention. */
export const attentionAttrs: Readonly<Record<string, AttrSpec>> = {
  causal: {
    type: "bool",
    doc: "a query sees keys up to its own place, the last query the last key (S >= T)",
    default: false,
  },
  scale: { type: "float", doc: "factor of the scores; absent: 1/sqrt(D); needed where D is 0", default: null },
  precision: {
    type: "string",
    doc: "how its products of f32 are computed, as that of `matmul`",
    default: null,
    oneOf: productPrecisions,
  },
};

/** The sizes of an attention: q [...lead, Hq, T, D], k [...lead, Hk, S, D], v [...lead, Hk, S, Dv]. */
export interface AttentionSizes {
  readonly lead: Shape;
  readonly Hq: Dim;
  readonly Hk: Dim;
  readonly T: Dim;
  readonly S: Dim;
  readonly D: Dim;
  readonly Dv: Dim;
}

export function attentionSizes(q: Shape, k: Shape, v: Shape): AttentionSizes {
  const [Hq, T, D] = q.slice(-3) as [Dim, Dim, Dim];
  const [Hk, S] = k.slice(-3) as [Dim, Dim];
  return { lead: q.slice(0, -3), Hq, Hk, T, S, D, Dv: v[v.length - 1] as Dim };
}

/** The result of attention, once its arguments were found to fit. `op` names the row that asks. */
export function attentionType(
  op: string,
  q: TensorType | undefined,
  k: TensorType | undefined,
  v: TensorType | undefined,
  mask: TensorType | undefined,
  a: Attrs,
): TensorType {
  if (!q || !k || !v) fail("bad-arguments", `${op} takes q, k and v`, { hint: "give it all three" });
  requireFloat(op, q, "q");
  sameDType(op, q, k, v);
  requireRank(op, q, 3, 8, "q");
  const refuse = (cause: string, hint: string): never =>
    fail("shape-mismatch", `${op}: q ${typeText(q)}, k ${typeText(k)} and v ${typeText(v)} do not fit`, {
      cause,
      hint,
    });
  if (k.shape.length !== q.shape.length || v.shape.length !== q.shape.length)
    refuse("their ranks differ", "reshape them to q [..., Hq, T, D], k [..., Hk, S, D] and v [..., Hk, S, Dv]");
  const { lead, Hq, Hk, T, S, D, Dv } = attentionSizes(q.shape, k.shape, v.shape);
  const same = (x: readonly Dim[], y: readonly Dim[]): boolean => x.every((d, i) => mayEqual(d, y[i] as Dim));
  if (!same(lead, k.shape) || !same(lead, v.shape)) refuse("their leading axes differ", "expand the smaller ones");
  if (!same([D], k.shape.slice(-1)))
    refuse(`q has ${dimText(D)} features a head and k has others`, "project them alike");
  if (!same([Hk, S], v.shape.slice(-3)))
    refuse("k and v differ in heads or length", "give k and v the same heads and length");
  if (!isSym(Hq) && !isSym(Hk) && (Hk === 0 ? Hq !== 0 : Hq % Hk !== 0))
    refuse(
      `${Hq} query heads do not divide into ${Hk} groups`,
      "the number of query heads is a multiple of that of k and v",
    );
  if (a.causal && !isSym(T) && !isSym(S) && S < T)
    refuse(
      `causal aligns the last query with the last key, but there are ${T} queries and ${S} keys`,
      "give at least as many keys as queries",
    );
  if (D === 0 && (a.scale ?? null) === null)
    fail("bad-option", `${op}: q ${typeText(q)} has no features, and no scale is given`, {
      cause: "the default is 1 / sqrt(D), and D is 0",
      hint: "give a scale, such as 1: the scores are 0 whatever it is",
    });
  if (mask) checkMask(op, mask, q, [...lead, Hq, T, S]);
  return { dtype: q.dtype, shape: [...lead, Hq, T, Dv] };
}

function checkMask(op: string, mask: TensorType, q: TensorType, scores: Shape): void {
  if (mask.dtype !== q.dtype && mask.dtype !== "f32") {
    fail("dtype-mismatch", `${op}: the mask is ${typeText(mask)} and q is ${typeText(q)}`, {
      cause: "the mask is added to the scores",
      hint: mask.dtype === "bool" ? "where(mask, 0, -Infinity) makes an additive mask of it" : `cast it to ${q.dtype}`,
    });
  }
  const both = broadcastShapes(mask.shape, scores, op);
  if (both.length !== scores.length || both.some((d, i) => !mayEqual(d, scores[i] as Dim))) {
    fail("shape-mismatch", `${op}: mask ${typeText(mask)} does not broadcast to the scores ${shapeText(scores)}`, {
      cause: "the mask may not be larger than the scores",
      hint: "slice or reshape the mask",
    });
  }
}
