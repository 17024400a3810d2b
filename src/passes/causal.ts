import type { Node } from "../ir/graph.ts";
import { affineOf, combine } from "./affine.ts";
import { constOf } from "./match.ts";

/** Scores at most this low weigh nothing next to any other: their exponentials are 0 in f32. */
export const excluded = -1e4;

/** `sign` * (left - right) + `slack` <= 0 is what the comparison says of integers. */
const comparisons: Readonly<Record<string, { sign: number; slack: number }>> = {
  lessEqual: { sign: 1, slack: 0 },
  less: { sign: 1, slack: 1 },
  greaterEqual: { sign: -1, slack: 0 },
  greater: { sign: -1, slack: 1 },
};

/**
 * Whether a condition over [..., T, S] is true (or, with `wanted` false, false) exactly where key s <= query t + S - T:
 * the last query sees the last key.
 */
export function isCausal(cond: Node, wanted: boolean, queries: number, keys: number): boolean {
  if (cond.op === "not") return isCausal(cond.args[0] as Node, !wanted, queries, keys);
  // Broadcasting may come around it, as long as the last two axes are those of the scores.
  if (cond.type.shape.at(-1) !== keys || cond.type.shape.at(-2) !== queries) return false;
  if (cond.op === "reshape" || cond.op === "expand") return isCausal(cond.args[0] as Node, wanted, queries, keys);
  if (cond.op === "literal") return isTriangle(cond, queries, keys, (x) => (x !== 0) === wanted);
  const c = comparisons[cond.op];
  const difference = c && combine(affineOf(cond.args[0] as Node), affineOf(cond.args[1] as Node), -1);
  if (!c || !difference) return false;
  // Falsehood of e + slack <= 0 is 1 - (e + slack) <= 0.
  const sign = wanted ? c.sign : -c.sign;
  const constant = sign * difference.constant + (wanted ? c.slack : 1 - c.slack);
  const [s = 0, t = 0, ...others] = difference.slopes.map((x) => sign * x);
  return s === 1 && t === -1 && constant === queries - keys && others.every((x) => x === 0);
}

/** Whether a tensor that is added to the scores only hides the keys that a causal attention does not see. */
export function isCausalMask(mask: Node, queries: number, keys: number): boolean {
  if (mask.type.shape.at(-1) !== keys || mask.type.shape.at(-2) !== queries) return false;
  if (mask.op === "reshape" || mask.op === "expand") return isCausalMask(mask.args[0] as Node, queries, keys);
  if (mask.op === "literal")
    return isTriangle(
      mask,
      queries,
      keys,
      (x) => x === 0,
      (x) => x <= excluded,
    );
  if (mask.op !== "where") return false;
  const [yes, no] = [constOf(mask.args[1]), constOf(mask.args[2])];
  if (yes === undefined || no === undefined) return false;
  if (yes === 0 && no <= excluded) return isCausal(mask.args[0] as Node, true, queries, keys);
  return no === 0 && yes <= excluded && isCausal(mask.args[0] as Node, false, queries, keys);
}

function isTriangle(
  literal: Node,
  queries: number,
  keys: number,
  seen: (x: number) => boolean,
  hidden: (x: number) => boolean = (x) => !seen(x),
): boolean {
  const data = literal.attrs.data as ArrayLike<number>;
  if (data.length !== queries * keys) return false;
  for (let t = 0, i = 0; t < queries; t++) {
    for (let s = 0; s < keys; s++, i++) {
      if (!(s <= t + keys - queries ? seen : hidden)(data[i] as number)) return false;
    }
  }
  return true;
}
