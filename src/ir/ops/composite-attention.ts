import { fail } from "../../base/diagnostic.ts";
import { concreteDim, type Dim, dimText, isSym, shapeText } from "../dim.ts";
import type { Attrs, GraphBuilder, Node, TensorType } from "../graph.ts";
import type { OpRow } from "../op.ts";
import { maskedScores, repeatHeads } from "./attention-scores.ts";
import { attentionAttrs, attentionType } from "./attention-type.ts";
import { range } from "./axes.ts";
import { cast, reduceOver, reshape, scalar } from "./composite-helpers.ts";
import { precisionOf } from "./contraction.ts";
import { broadcastShapes, mayEqual, requireFloat, requireRank, typeText } from "./infer.ts";

/**
 * Softmax over the last axis in which a row of -inf gives zeros, and the log of the sum of exponentials of each row, [..., 1].
 * That of a row of -inf is the largest f32, so that the exponential of anything less it is 0.
 */
function maskedSoftmax(b: GraphBuilder, x: Node): { weights: Node; lse(): Node } {
  const axes = [x.type.shape.length - 1];
  const zero = scalar(b, 0, x);
  const top = reduceOver(b, "reduceMax", x, axes, true);
  const none = b.add("equal", [top, scalar(b, Number.NEGATIVE_INFINITY, x)]);
  const exps = b.add("exp", [b.add("sub", [x, b.add("where", [none, zero, top])])]);
  const sum = reduceOver(b, "sum", exps, axes, true);
  return {
    weights: b.add("div", [exps, b.add("where", [none, scalar(b, 1, x), sum])]),
    lse: () => b.add("where", [none, scalar(b, largest, x), b.add("add", [top, b.add("log", [sum])])]),
  };
}

const largest = 3.4028234663852886e38;

function attend(b: GraphBuilder, args: readonly Node[], a: Attrs) {
  const [q, k, v] = args.slice(0, 3).map((x) => cast(b, x, "f32")) as [Node, Node, Node];
  const softmax = maskedSoftmax(b, maskedScores(b, q, k, args[3], a));
  const values = repeatHeads(b, v, q.type.shape.at(-3) as Dim);
  const out = b.add("matmul", [softmax.weights, values], precisionOf(a));
  return { out: cast(b, out, (args[0] as Node).type.dtype), lse: softmax.lse };
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
    attrs: attentionAttrs,
    doc:
      "softmax(q k^T * scale + mask) v: q [..., Hq, T, D], k [..., Hk, S, D], v [..., Hk, S, Dv] with Hq a multiple of Hk, mask additive and " +
      "broadcastable to [..., Hq, T, S], the result [..., Hq, T, Dv]. A row whose scores are all -inf gives 0. dtypes: f32, f16 (computed in f32; mask of q's dtype or f32).",
    infer: ([q, k, v, mask], a) => attentionType("attention", q, k, v, mask, a),
    decompose: (b, args, a) => attend(b, args, a).out,
    accuracy: { ulp: (n) => 4 * n + 64 },
  },
  {
    name: "attentionStats",
    kind: "composite",
    params: ["q", "k", "v", "mask?"],
    attrs: attentionAttrs,
    doc:
      "Attention together with what its gradient needs to know of the scores: two results, that of `attention` and lse, f32 [..., Hq, T], the logarithm of the sum " +
      "of the exponentials of each row's scores; the largest f32 where all of them are -inf. The gradient computes the weights again as exp(score - lse): " +
      "of rows whose every score is beyond 10^7 an f32 lse does not hold the sum. dtypes as attention.",
    infer: ([q, k, v, mask], a) => {
      const out = attentionType("attentionStats", q, k, v, mask, a);
      return [out, { dtype: "f32", shape: out.shape.slice(0, -1) }];
    },
    decompose: (b, args, a) => {
      const { out, lse } = attend(b, args, a);
      return [out, b.add("reshape", [lse()], { shape: out.type.shape.slice(0, -1) })];
    },
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
