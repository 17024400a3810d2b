import type { Node } from "../../ir/graph.ts";
import { constOf, isFloatNode, toShape } from "../match.ts";
import type { Rule } from "../rewrite.ts";

const arg = (n: Node, i: number): Node => n.args[i] as Node;

/**
 * Powers with a constant exponent. x^0.5 is not sqrt x: they differ at -0 and at -infinity. Products of more than two
 * factors would round to f16 in between, so they are for f32 only.
 */
export const powerRules: readonly Rule[] = [
  {
    // x^0 = 1 (also of NaN), x^1 = x, x^2 = x * x, x^3 = x * x * x, x^4 = (x * x) * (x * x), x^-1 = 1 / x
    name: "pow-const",
    ops: ["pow"],
    apply: (n, { b }) => {
      const [x, power] = [arg(n, 0), constOf(n.args[1])];
      if (power === undefined || !isFloatNode(n)) return undefined;
      const square = (v: Node): Node => b.add("mul", [v, v]);
      const several = n.type.dtype === "f32";
      if (power === 0) return b.const(1, n.type.dtype, n.type.shape);
      if (power === 1) return toShape(b, x, n.type.shape);
      if (power === 2) return toShape(b, square(x), n.type.shape);
      if (power === 3 && several) return toShape(b, b.add("mul", [square(x), x]), n.type.shape);
      if (power === 4 && several) return toShape(b, square(square(x)), n.type.shape);
      return power === -1 ? toShape(b, b.add("reciprocal", [x]), n.type.shape) : undefined;
    },
  },
  {
    // 1 / sqrt x = rsqrt x; in f16 the square root would have been rounded in between
    name: "reciprocal-sqrt",
    ops: ["reciprocal"],
    apply: (n, { b }) =>
      n.type.dtype === "f32" && arg(n, 0).op === "sqrt" ? b.add("rsqrt", [arg(arg(n, 0), 0)]) : undefined,
  },
];
