import { fail } from "../../base/diagnostic.ts";
import { concreteDim, type Dim, dimText, isSym, type Shape, shapeSize, shapeText } from "../dim.ts";
import type { Attrs, GraphBuilder, Node, TensorType } from "../graph.ts";
import type { OpRow } from "../op.ts";
import { range } from "./axes.ts";
import { cast, reduceOver, reshape, scalar, transpose } from "./composite-helpers.ts";
import { broadcastShapes, mayEqual, requireFloat, requireRank, sameDType, typeText } from "./infer.ts";

/** The sizes of an attention: q [...lead, Hq, T, D], k [...lead, Hk, S, D], v [...lead, Hk, S, Dv]. */
interface Sizes {
  readonly lead: Shape;
  readonly Hq: Dim;
  readonly Hk: Dim;
  readonly T: Dim;
  readonly S: Dim;
  readonly D: Dim;
  readonly Dv: Dim;
}

function sizesOf(q: Shape, k: Shape, v: Shape): Sizes {
  const [Hq, T, D] = q.slice(-3) as [Dim, Dim, Dim];
  const [Hk, S] = k.slice(-3) as [Dim, Dim];
  return { lead: q.slice(0, -3), Hq, Hk, T, S, D, Dv: v[v.length - 1] as Dim };
}

function attentionType([q, k, v, mask]: readonly TensorType[], a: Attrs): TensorType {
  if (!q || !k || !v) fail("bad-arguments", "attention takes q, k and v", { hint: "give it all three" });
  requireFloat("attention", q, "q");
  sameDType("attention", q, k, v);
  requireRank("attention", q, 3, 8, "q");
  const refuse = (cause: string, hint: string): never =>
    fail("shape-mismatch", `attention: q ${typeText(q)}, k ${typeText(k)} and v ${typeText(v)} do not fit`, {
      cause,
      hint,
    });
  if (k.shape.length !== q.shape.length || v.shape.length !== q.shape.length)
    refuse("their ranks differ", "reshape them to q [..., Hq, T, D], k [..., Hk, S, D] and v [..., Hk, S, Dv]");
  const { lead, Hq, Hk, T, S, D, Dv } = sizesOf(q.shape, k.shape, v.shape);
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
  if (mask) checkMask(mask, q, [...lead, Hq, T, S]);
  return { dtype: q.dtype, shape: [...lead, Hq, T, Dv] };
}

function checkMask(mask: TensorType, q: TensorType, scores: Shape): void {
  if (mask.dtype !== q.dtype && mask.dtype !== "f32") {
    fail("dtype-mismatch", `attention: the mask is ${typeText(mask)} and q is ${typeText(q)}`, {
      cause: "the mask is added to the scores",
      hint: mask.dtype === "bool" ? "where(mask, 0, -Infinity) makes an additive mask of it" : `cast it to ${q.dtype}`,
    });
  }
  const both = broadcastShapes(mask.shape, scores, "attention");
  if (both.length !== scores.length || both.some((d, i) => !mayEqual(d, scores[i] as Dim))) {
    fail("shape-mismatch", `attention: mask ${typeText(mask)} does not broadcast to the scores ${shapeText(scores)}`, {
      cause: "the mask may not be larger than the scores",
      hint: "slice or reshape the mask",
    });
  }
}

/** Each head of k or v for its group of query heads: [..., Hk, S, D] to [..., Hq, S, D]. */
function repeatHeads(b: GraphBuilder, x: Node, queryHeads: Dim): Node {
  const { shape } = x.type;
  const [heads, s, d] = shape.slice(-3) as [Dim, Dim, Dim];
  const [hq, hk] = [concreteDim(queryHeads), concreteDim(heads)];
  if (hq === hk) return x;
  const lead = shape.slice(0, -3);
  const all = shapeSize(lead);
  const grouped = b.add("reshape", [x], { shape: [all, hk, 1, s, d] });
  const repeated = b.add("expand", [grouped], { shape: [all, hk, hq / hk, s, d] });
  return b.add("reshape", [repeated], { shape: [...lead, hq, s, d] });
}

/** Softmax over the last axis in which a row of -inf gives zeros. */
function maskedSoftmax(b: GraphBuilder, x: Node): Node {
  const axes = [x.type.shape.length - 1];
  const zero = scalar(b, 0, x);
  const top = reduceOver(b, "reduceMax", x, axes, true);
  const none = b.add("equal", [top, scalar(b, Number.NEGATIVE_INFINITY, x)]);
  const exps = b.add("exp", [b.add("sub", [x, b.add("where", [none, zero, top])])]);
  const sum = reduceOver(b, "sum", exps, axes, true);
  return b.add("div", [exps, b.add("where", [none, scalar(b, 1, x), sum])]);
}

function attention(b: GraphBuilder, args: readonly Node[], a: Attrs): Node {
  const [q, k, v] = args.slice(0, 3).map((x) => cast(b, x, "f32")) as [Node, Node, Node];
  const mask = args[3];
  const { Hq, T, S, D } = sizesOf(q.type.shape, k.type.shape, v.type.shape);
  const rank = q.type.shape.length;
  const swap = [...range(rank - 2), rank - 1, rank - 2];
  const scale = (a.scale as number | null | undefined) ?? 1 / Math.sqrt(concreteDim(D));
  let scores = b.add("matmul", [q, transpose(b, repeatHeads(b, k, Hq), swap)]);
  if (scale !== 1) scores = b.add("mul", [scores, b.const(scale, "f32")]);
  if (mask) scores = b.add("add", [scores, cast(b, mask, "f32")]);
  if (a.causal) {
    const [t, s] = [concreteDim(T), concreteDim(S)];
    const row = b.add("iota", [], { axis: 0, dtype: "i32", shape: [t, 1] });
    const last = s === t ? row : b.add("add", [row, b.const(s - t, "i32")]);
    const seen = b.add("lessEqual", [b.add("iota", [], { axis: 1, dtype: "i32", shape: [1, s] }), last]);
    scores = b.add("where", [seen, scores, b.const(Number.NEGATIVE_INFINITY, "f32")]);
  }
  const out = b.add("matmul", [maskedSoftmax(b, scores), repeatHeads(b, v, Hq)]);
  return cast(b, out, (args[0] as Node).type.dtype);
}

function ropeType(x: TensorType, positions: TensorType): TensorType {
  requireFloat("rope", x);
  requireRank("rope", x, 2, 7);
  const d = x.shape[x.shape.length - 1] as Dim;
  if (isSym(d) || d % 2 === 1) {
    fail("shape-mismatch", `rope: the last axis of ${typeText(x)} has ${dimText(d)} elements`, {
      cause: "features are rotated in pairs, so their number must be known and even",
      hint: "use an even number of features a head",
    });
  }
  if (positions.dtype !== "i32" && positions.dtype !== "f32") {
    fail("dtype-mismatch", `rope: positions are ${typeText(positions)}`, {
      cause: "positions are i32 or f32",
      hint: 'cast(positions, "i32")',
    });
  }
  const lead = x.shape.slice(0, -1);
  const both = broadcastShapes(positions.shape, lead, "rope");
  if (both.length !== lead.length || both.some((n, i) => !mayEqual(n, lead[i] as Dim))) {
    fail("shape-mismatch", `rope: positions ${typeText(positions)} do not broadcast to ${shapeText(lead)}`, {
      cause: `x is ${typeText(x)}; there is one position for each entry of its second-last axis`,
      hint: "give positions [T]",
    });
  }
  return x;
}

/**
 * Rotates pairs of features by position times base^(-2i/D). The pair is brought to an axis of its own, so that partner and
 * sign are a reversed view and a comparison, and all of it is one elementwise expression over x.
 */
function rope(b: GraphBuilder, args: readonly Node[], a: Attrs): Node {
  const x = cast(b, args[0] as Node, "f32");
  const positions = args[1] as Node;
  const { shape } = x.type;
  const d = concreteDim(shape[shape.length - 1] as Dim);
  const base = (a.base as number | undefined) ?? 10000;
  const neighbours = a.pairing === "neighbours";
  const lead = shape.slice(0, -1);
  const pairs = b.add("reshape", [x], { shape: neighbours ? [...lead, d / 2, 2] : [...lead, 2, d / 2] });
  const pairAxis = neighbours ? lead.length + 1 : lead.length;
  const frequencies = b.add("literal", [], {
    data: Float32Array.from(range(d / 2), (i) => base ** ((-2 * i) / d)),
    dtype: "f32",
    shape: neighbours ? [d / 2, 1] : [1, d / 2],
  });
  const at = reshape(b, cast(b, positions, "f32"), [...positions.type.shape, 1, 1]);
  const angle = b.add("mul", [at, frequencies]);
  const side = b.add("iota", [], {
    axis: neighbours ? 1 : 0,
    dtype: "i32",
    shape: neighbours ? [1, 2] : [2, 1],
  });
  const first = b.add("equal", [side, b.const(0, "i32")]);
  const sin = b.add("sin", [angle]);
  const signed = b.add("where", [first, b.add("neg", [sin]), sin]);
  const partner = b.add("flip", [pairs], { axes: [pairAxis] });
  const turned = b.add("add", [b.add("mul", [pairs, b.add("cos", [angle])]), b.add("mul", [partner, signed])]);
  return cast(b, b.add("reshape", [turned], { shape }), (args[0] as Node).type.dtype);
}

export const attentionComposites: readonly OpRow[] = [
  {
    name: "attention",
    kind: "composite",
    params: ["q", "k", "v", "mask?"],
    attrs: {
      causal: {
        type: "bool",
        doc: "a query sees keys up to its own place, the last query the last key (S >= T)",
        default: false,
      },
      scale: { type: "float", doc: "factor of the scores; absent: 1/sqrt(D)", default: null },
    },
    doc:
      "softmax(q k^T * scale + mask) v: q [..., Hq, T, D], k [..., Hk, S, D], v [..., Hk, S, Dv] with Hq a multiple of Hk, mask additive and " +
      "broadcastable to [..., Hq, T, S], the result [..., Hq, T, Dv]. A row whose scores are all -inf gives 0. dtypes: f32, f16 (computed in f32; mask of q's dtype or f32).",
    infer: attentionType,
    decompose: attention,
    accuracy: { ulp: (n) => 4 * n + 64 },
  },
  {
    name: "rope",
    kind: "composite",
    params: ["x", "positions"],
    attrs: {
      base: { type: "float", doc: "base of the frequencies base^(-2i/D)", default: 10000 },
      pairing: {
        type: "string",
        doc: "features i and i + D/2 are a pair, or 2i and 2i + 1",
        default: "halves",
        oneOf: ["halves", "neighbours"],
      },
    },
    doc:
      "Rotary position embedding: pair i of the D features is turned by position * base^(-2i/D). x [..., T, D] (f32, f16), positions i32 or f32 [T] " +
      "or broadcastable to [..., T].",
    infer: ([x, positions]) => ropeType(x as TensorType, positions as TensorType),
    decompose: rope,
    accuracy: { atol: 2 ** -10 },
  },
];
