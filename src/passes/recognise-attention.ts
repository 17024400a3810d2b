import { shapeEqual } from "../ir/dim.ts";
import type { Attrs, Graph, GraphBuilder, Node } from "../ir/graph.ts";
import { precisionOf } from "../ir/ops/contraction.ts";
import { excluded, isCausal, isCausalMask } from "./causal.ts";
import { constOf, numbersOf } from "./match.ts";
import { countReaders, replaceNodes } from "./rewrite.ts";
import { softmaxScores } from "./softmax-pattern.ts";

/**
 * Finds matmul(softmax(q k^T * scale + mask), v) written in simpler rows and makes it one `attention`, which has a kernel
 * that never stores the scores. Taken are a scale on scores, q or k (a product or a quotient), one additive mask, a
 * condition with -inf, a causal triangle, and heads of k and v repeated for groups. Left alone is everything whose
 * probabilities or scores have other readers, and f16, where the scores of the original are rounded in between. A row whose
 * every score is -inf becomes 0, as `attention` says, where softmax alone would give NaN.
 */
export function recogniseAttention(graph: Graph): Graph {
  const readers = countReaders(graph);
  return replaceNodes(graph, (n, _args, b, now) => {
    if (n.op !== "matmul" || n.type.dtype !== "f32") return undefined;
    const [p, v] = n.args as [Node, Node];
    const scores = readers.get(p) === 1 ? softmaxScores(p, readers) : undefined;
    const inside = scores && ((x: Node) => readers.get(x) === 1 || (x === scores && p.op !== "softmax"));
    const found = scores && inside && readScores(scores, inside);
    const made = found && build(b, found, v, now, commonPrecision(n.attrs, found.attrs));
    return made && shapeEqual(made.type.shape, n.type.shape) ? [made] : undefined;
  });
}

interface Scores {
  readonly q: Node;
  /** [..., D, S] */
  readonly keys: Node;
  readonly scale: number;
  readonly causal: boolean;
  readonly mask?: Mask;
  /** Of the product. */
  readonly attrs: Attrs;
}

/** Added to the scores, or with `cond` what is -inf where the condition is not `seen`. */
type Mask = { readonly add: Node } | { readonly cond: Node; readonly seen: boolean };

/** Peels scale, mask and triangle off the scores, from the outside in, down to the product of q and k. */
function readScores(outer: Node, inside: (n: Node) => boolean): Scores | undefined {
  const shape = numbersOf(outer.type.shape);
  if (!shape || shape.length < 2) return undefined;
  const [queries, keys] = shape.slice(-2) as [number, number];
  let found: Omit<Scores, "q" | "keys" | "attrs"> = { scale: 1, causal: false };
  let s = outer;
  while (inside(s) && shapeEqual(s.type.shape, shape)) {
    if (s.op === "matmul") return { ...found, q: s.args[0] as Node, keys: s.args[1] as Node, attrs: s.attrs };
    const scaled = peelScale(s);
    const hidden = scaled ? undefined : peelMask(s, queries, keys);
    // A scale outside of a mask would scale the mask too.
    if (!scaled && (!hidden || found.scale !== 1 || (hidden.mask && found.mask))) return undefined;
    found = { ...found, scale: found.scale * (scaled?.factor ?? 1), causal: found.causal || hidden?.causal === true };
    if (hidden?.mask) found = { ...found, mask: hidden.mask };
    s = (scaled ?? hidden)?.rest as Node;
  }
  return undefined;
}

/** x * c or x / c; constants stand on the right. */
function peelScale(n: Node): { rest: Node; factor: number } | undefined {
  const c = constOf(n.args[1]);
  if ((n.op !== "mul" && n.op !== "div") || c === undefined || !Number.isFinite(c) || c === 0) return undefined;
  return { rest: n.args[0] as Node, factor: n.op === "mul" ? c : 1 / c };
}

function peelMask(n: Node, queries: number, keys: number): { rest: Node; causal?: boolean; mask?: Mask } | undefined {
  if (n.op === "add") {
    const [x, y] = n.args as [Node, Node];
    const [rest, mask] = leadsToProduct(x) ? [x, y] : [y, x];
    return isCausalMask(mask, queries, keys) ? { rest, causal: true } : { rest, mask: { add: mask } };
  }
  if (n.op !== "where") return undefined;
  const [cond, x, y] = n.args as [Node, Node, Node];
  const seen = constOf(y) !== undefined;
  const value = constOf(seen ? y : x);
  const rest = seen ? x : y;
  if (value === undefined) return undefined;
  if (value <= excluded && isCausal(cond, seen, queries, keys)) return { rest, causal: true };
  // A finite value would give a row without keys equal weights, where the sum of mask and scores does not.
  return value === Number.NEGATIVE_INFINITY ? { rest, mask: { cond, seen } } : undefined;
}

/** Whether a product is reached through what may stand between it and a softmax; never more than a few steps. */
const leadsToProduct = (n: Node, steps = 4): boolean =>
  n.op === "matmul" ||
  (steps > 0 && ["mul", "div", "add", "where"].includes(n.op) && n.args.some((a) => leadsToProduct(a, steps - 1)));

/** The precision that both products have. */
const commonPrecision = (a: Attrs, b: Attrs): Attrs => (a.precision === b.precision ? precisionOf(a) : {});

function build(
  b: GraphBuilder,
  found: Scores,
  values: Node,
  now: (n: Node) => Node,
  precision: Attrs,
): Node | undefined {
  const query = peelScale(found.q);
  const swapped = peelScale(found.keys);
  const turned = swap(b, now(swapped?.rest ?? found.keys));
  const key = peelScale(turned);
  const q = now(query?.rest ?? found.q);
  const k = key?.rest ?? turned;
  const v = now(values);
  const scale = [query, swapped, key].reduce((s, x) => s * (x?.factor ?? 1), found.scale);
  const rank = q.type.shape.length;
  if (k.type.shape.length !== rank || v.type.shape.length !== rank) return undefined;
  const [fewK, fewV] = [ungroup(b, k), ungroup(b, v)];
  const grouped = fewK && fewV && fewK.type.shape.at(-3) === fewV.type.shape.at(-3);
  const parts = grouped ? [q, fewK, fewV] : [q, k, v];
  const lifted = rank === 2 ? parts.map((x) => b.add("reshape", [x], { shape: [1, ...x.type.shape] })) : parts;
  if (!fits(lifted)) return undefined;
  const mask = found.mask ? [maskOf(b, found.mask, now)] : [];
  const out = b.add("attention", [...lifted, ...mask], { causal: found.causal, scale, ...precision });
  return rank === 2 ? b.add("reshape", [out], { shape: out.type.shape.slice(1) }) : out;
}

function maskOf(b: GraphBuilder, mask: Mask, now: (n: Node) => Node): Node {
  if ("add" in mask) return now(mask.add);
  const [zero, hide] = [b.const(0, "f32"), b.const(Number.NEGATIVE_INFINITY, "f32")];
  return b.add("where", [now(mask.cond), ...(mask.seen ? [zero, hide] : [hide, zero])]);
}

/** The last two axes exchanged. */
function swap(b: GraphBuilder, x: Node): Node {
  const axes = x.type.shape.map((_, i) => i);
  const perm = [...axes.slice(0, -2), axes.length - 1, axes.length - 2];
  const undone = x.op === "transpose" && perm.join() === (x.attrs.perm as readonly number[]).join();
  return undone ? (x.args[0] as Node) : b.add("transpose", [x], { perm });
}

/** [..., Hk, S, D] of which x [..., Hq, S, D] repeats each head for its group of queries, by an expand or with a reshape after it. */
function ungroup(b: GraphBuilder, x: Node): Node | undefined {
  const repeated = x.op === "reshape" ? (x.args[0] as Node) : x;
  const one = repeated.op === "expand" ? (repeated.args[0] as Node) : undefined;
  const to = numbersOf(repeated.type.shape);
  const narrow = one && numbersOf(one.type.shape);
  if (!one || !to || !narrow) return undefined;
  const group = to.length - 3;
  const from = [...new Array<number>(to.length - narrow.length).fill(1), ...narrow];
  if (!from.every((d, i) => (i === group ? d === 1 : d === to[i]))) return undefined;
  // A reshape has joined the heads with their groups; without one there is a single head for all.
  const heads = repeated === x ? 1 : (to[group - 1] ?? 0);
  const [last, before] = [to.slice(-2), x.type.shape.slice(0, -3)];
  if (!shapeEqual(x.type.shape.slice(-3), [heads * (to[group] as number), ...last])) return undefined;
  return b.add("reshape", [one], { shape: [...before, heads, ...last] });
}

/** q [..., Hq, T, D], k [..., Hk, S, D], v [..., Hk, S, Dv] with the same leading axes. */
function fits([q, k, v]: readonly Node[]): boolean {
  const [a, c, d] = [q, k, v].map((x) => (x ? numbersOf(x.type.shape) : undefined));
  if (!a || !c || !d || a.includes(0) || c.includes(0) || d.includes(0)) return false;
  const lead = a.slice(0, -3);
  const sameLead = shapeEqual(lead, c.slice(0, -3)) && shapeEqual(lead, d.slice(0, -3));
  return sameLead && c.at(-3) === d.at(-3) && (a.at(-3) as number) % (c.at(-3) as number) === 0;
}
