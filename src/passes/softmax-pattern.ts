import type { Node } from "../ir/graph.ts";
import { isConst } from "./match.ts";

export type Readers = ReadonlyMap<Node, number>;

const arg = (n: Node, i = 0): Node => n.args[i] as Node;

/**
 * The scores of a softmax over the last axis, given its result: the composite, or exp(x - max) / sum spelled out, also
 * in the form that gives 0 for a row of -inf. Undefined when there is none, or when anything else reads a value inside.
 */
export function softmaxScores(p: Node, readers: Readers): Node | undefined {
  const last = p.type.shape.length - 1;
  if (p.op === "softmax") return p.attrs.axis === last ? arg(p) : undefined;
  const [exps, sum] = quotient(p);
  if (!exps || !sum || exps.op !== "exp") return undefined;
  const centred = arg(exps);
  if (centred.op !== "sub") return undefined;
  const [x, shift] = [arg(centred), arg(centred, 1)];
  const [safeSum, safeTop] = [guarded(sum, 1), guarded(shift, 0)];
  if (safeSum?.none !== safeTop?.none) return undefined;
  const [total, top, none] = [safeSum?.value ?? sum, safeTop?.value ?? shift, safeTop?.none];
  if (!reduces(total, "sum", last) || arg(total) !== exps) return undefined;
  if (!reduces(top, "reduceMax", last) || arg(top) !== x || (none && !isNone(none, top))) return undefined;
  // Exponentials are read by sum and quotient, scores by maximum and difference, the rest once.
  const twice = none ? [exps, x, none, top] : [exps, x];
  const once = [sum, total, centred, shift, top].filter((n) => !twice.includes(n));
  const inside = twice.every((n) => readers.get(n) === 2) && once.every((n) => readers.get(n) === 1);
  return inside ? x : undefined;
}

/** a and b of a / b or a * (1 / b). */
function quotient(p: Node): [Node?, Node?] {
  if (p.op === "div") return [arg(p), arg(p, 1)];
  if (p.op !== "mul") return [];
  const [x, y] = [arg(p), arg(p, 1)];
  return y.op === "reciprocal" ? [x, arg(y)] : x.op === "reciprocal" ? [y, arg(x)] : [];
}

const reduces = (n: Node, op: string, axis: number): boolean =>
  n.op === op && n.attrs.keepDims === true && String(n.attrs.axes) === String(axis);

/** where(none, fallback, value) */
function guarded(n: Node, fallback: number): { none: Node; value: Node } | undefined {
  return n.op === "where" && isConst(arg(n, 1), fallback) ? { none: arg(n), value: arg(n, 2) } : undefined;
}

const isNone = (n: Node, top: Node): boolean =>
  n.op === "equal" && arg(n) === top && isConst(arg(n, 1), Number.NEGATIVE_INFINITY);
