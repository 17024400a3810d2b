import type { DType } from "../../base/dtype.ts";
import type { Node } from "../../ir/graph.ts";
import { constOf, isConst, isFloatNode, isIntegerNode, toShape } from "../match.ts";
import type { Rule } from "../rewrite.ts";

/**
 * Rings and fields. Everything here holds for every bit pattern: NaN, infinities and the sign of zero included. So there
 * is no x * 0 = 0 and no x - x = 0 for floats, and x + 0 = x only for -0.
 */
export const arithmeticRules: readonly Rule[] = [
  {
    // x + (-0) = x for floats, x + 0 = x for integers
    name: "add-zero",
    ops: ["add"],
    apply: (n, { b }) =>
      isConst(n.args[1], isFloatNode(n) ? -0 : 0) ? toShape(b, arg(n, 0), n.type.shape) : undefined,
  },
  {
    // x - 0 = x
    name: "sub-zero",
    ops: ["sub"],
    apply: (n, { b }) => (isConst(n.args[1], 0) ? toShape(b, arg(n, 0), n.type.shape) : undefined),
  },
  {
    // x * 1 = x, x / 1 = x
    name: "mul-one",
    ops: ["mul", "div"],
    apply: (n, { b }) => (isConst(n.args[1], 1) ? toShape(b, arg(n, 0), n.type.shape) : undefined),
  },
  {
    // 1 / x = reciprocal x
    name: "one-over",
    ops: ["div"],
    apply: (n, { b }) =>
      isFloatNode(n) && isConst(n.args[0], 1) ? toShape(b, b.add("reciprocal", [arg(n, 1)]), n.type.shape) : undefined,
  },
  {
    // x * 0 = 0 for integers
    name: "mul-zero",
    ops: ["mul"],
    apply: (n, { b }) =>
      isIntegerNode(n) && isConst(n.args[1], 0) ? b.const(0, n.type.dtype, n.type.shape) : undefined,
  },
  {
    // x - x = 0 for integers
    name: "sub-self",
    ops: ["sub"],
    apply: (n, { b }) =>
      isIntegerNode(n) && n.args[0] === n.args[1] ? b.const(0, n.type.dtype, n.type.shape) : undefined,
  },
  {
    // x - c = x + (-c)
    name: "sub-const",
    ops: ["sub"],
    apply: (n, { b }) => {
      const c = constOf(n.args[1]);
      if (c === undefined || n.type.dtype === "u32") return undefined;
      return b.add("add", [arg(n, 0), b.const(negative(c, n.type.dtype), n.type.dtype, arg(n, 1).type.shape)]);
    },
  },
  {
    // (x + c) + d = x + (c + d), (x * c) * d = x * (c * d) for integers
    name: "gather-constants",
    ops: ["add", "mul"],
    apply: (n, { b }) => {
      const [inner, d] = [arg(n, 0), constOf(n.args[1])];
      const c = inner.op === n.op ? constOf(inner.args[1]) : undefined;
      if (!isIntegerNode(n) || c === undefined || d === undefined) return undefined;
      const joined = wrap(n.op === "add" ? c + d : Math.imul(c, d), n.type.dtype);
      return toShape(b, b.add(n.op, [arg(inner, 0), b.const(joined, n.type.dtype)]), n.type.shape);
    },
  },
  {
    // x / c = x * (1 / c) when c is a power of two whose inverse is a normal number
    name: "div-power-of-two",
    ops: ["div"],
    apply: (n, { b }) => {
      const c = constOf(n.args[1]);
      if (c === undefined || !isFloatNode(n) || !hasExactInverse(c, n.type.dtype)) return undefined;
      return b.add("mul", [arg(n, 0), b.const(1 / c, n.type.dtype, arg(n, 1).type.shape)]);
    },
  },
  {
    // x * -1 = -x
    name: "mul-minus-one",
    ops: ["mul"],
    apply: (n, { b }) =>
      n.type.dtype !== "u32" && isConst(n.args[1], -1)
        ? toShape(b, b.add("neg", [arg(n, 0)]), n.type.shape)
        : undefined,
  },
  {
    // x + (-y) = x - y, (-x) + y = y - x
    name: "add-neg",
    ops: ["add"],
    apply: (n, { b }) => {
      const [x, y] = [arg(n, 0), arg(n, 1)];
      if (y.op === "neg") return b.add("sub", [x, arg(y, 0)]);
      return x.op === "neg" && y.op !== "const" ? b.add("sub", [y, arg(x, 0)]) : undefined;
    },
  },
  {
    // x - (-y) = x + y
    name: "sub-neg",
    ops: ["sub"],
    apply: (n, { b }) => (arg(n, 1).op === "neg" ? b.add("add", [arg(n, 0), arg(arg(n, 1), 0)]) : undefined),
  },
  {
    // (-x) * (-y) = x * y, (-x) / (-y) = x / y, (-x) * c = x * (-c)
    name: "mul-neg-neg",
    ops: ["mul", "div"],
    apply: (n, { b }) => {
      const [x, y] = [arg(n, 0), arg(n, 1)];
      if (x.op !== "neg" || !isFloatNode(n)) return undefined;
      if (y.op === "neg") return b.add(n.op, [arg(x, 0), arg(y, 0)]);
      const c = constOf(y);
      return c === undefined ? undefined : b.add(n.op, [arg(x, 0), b.const(-c, y.type.dtype, y.type.shape)]);
    },
  },
  {
    // |-x| = |x|
    name: "abs-neg",
    ops: ["abs"],
    apply: (n, { b }) => (arg(n, 0).op === "neg" ? b.add("abs", [arg(arg(n, 0), 0)]) : undefined),
  },
];

const arg = (n: Node, i: number): Node => n.args[i] as Node;

const wrap = (x: number, dtype: DType): number => (dtype === "i32" ? x | 0 : dtype === "u32" ? x >>> 0 : x);

/** -c in the arithmetic of the dtype; integers have no -0. */
const negative = (c: number, dtype: DType): number => (dtype === "i32" ? -c | 0 : -c);

function hasExactInverse(c: number, dtype: DType): boolean {
  const size = Math.abs(c);
  const exponent = Math.round(Math.log2(size));
  return Number.isFinite(exponent) && 2 ** exponent === size && Math.abs(exponent) <= (dtype === "f16" ? 14 : 126);
}
