import type { Node } from "../../ir/graph.ts";
import { constOf, isConst, isIntegerNode, toShape } from "../match.ts";
import type { Rule } from "../rewrite.ts";

const arg = (n: Node, i: number): Node => n.args[i] as Node;

/** The comparison that is true where the other is false, for values that are ordered (so not for floats, which may be NaN). */
const opposite: Readonly<Record<string, string>> = {
  less: "greaterEqual",
  lessEqual: "greater",
  greater: "lessEqual",
  greaterEqual: "less",
};
/** These are opposites for NaN too. */
const oppositeAlways: Readonly<Record<string, string>> = { equal: "notEqual", notEqual: "equal" };

/** Booleans, bits and selection. */
export const logicRules: readonly Rule[] = [
  {
    // where(true, a, b) = a, where(false, a, b) = b, where(c, a, a) = a
    name: "where-known",
    ops: ["where"],
    apply: (n, { b }) => {
      const [c, x, y] = [constOf(n.args[0]), arg(n, 1), arg(n, 2)];
      if (x === y) return toShape(b, x, n.type.shape);
      return c === undefined ? undefined : toShape(b, c ? x : y, n.type.shape);
    },
  },
  {
    // where(not c, a, b) = where(c, b, a)
    name: "where-not",
    ops: ["where"],
    apply: (n, { b }) =>
      arg(n, 0).op === "not" ? b.add("where", [arg(arg(n, 0), 0), arg(n, 2), arg(n, 1)]) : undefined,
  },
  {
    // where(c, true, false) = c, where(c, false, true) = not c
    name: "where-bool",
    ops: ["where"],
    apply: (n, { b }) => {
      const [x, y] = [constOf(n.args[1]), constOf(n.args[2])];
      if (n.type.dtype !== "bool" || x === undefined || y === undefined || x === y) return undefined;
      return toShape(b, x ? arg(n, 0) : b.add("not", [arg(n, 0)]), n.type.shape);
    },
  },
  {
    // not (a = b) = a != b, and for ordered values not (a < b) = a >= b
    name: "not-comparison",
    ops: ["not"],
    apply: (n, { b }) => {
      const x = arg(n, 0);
      const ordered = x.args[0] && isIntegerNode(x.args[0]);
      const op = oppositeAlways[x.op] ?? (ordered ? opposite[x.op] : undefined);
      return op ? b.add(op, x.args) : undefined;
    },
  },
  {
    // x and ones = x, x or zeros = x, x xor zeros = x, x << 0 = x, x >> 0 = x
    name: "bits-identity",
    ops: ["and", "or", "xor", "shiftLeft", "shiftRight"],
    apply: (n, { b }) =>
      isConst(n.args[1], n.op === "and" ? ones(n) : 0) ? toShape(b, arg(n, 0), n.type.shape) : undefined,
  },
  {
    // x and zeros = zeros, x or ones = ones
    name: "bits-absorb",
    ops: ["and", "or"],
    apply: (n, { b }) => {
      const value = n.op === "and" ? 0 : ones(n);
      return isConst(n.args[1], value) ? b.const(value, n.type.dtype, n.type.shape) : undefined;
    },
  },
  {
    // x and x = x, x or x = x, x xor x = 0
    name: "bits-self",
    ops: ["and", "or", "xor"],
    apply: (n, { b }) => {
      if (n.args[0] !== n.args[1]) return undefined;
      return n.op === "xor" ? b.const(0, n.type.dtype, n.type.shape) : arg(n, 0);
    },
  },
];

const allOnes: Readonly<Record<string, number>> = { bool: 1, i32: -1, u32: 2 ** 32 - 1 };
const ones = (n: Node): number => allOnes[n.type.dtype] as number;
