import type { Node } from "../../ir/graph.ts";
import { greatestOf, leastOf } from "../../ir/ops/combine.ts";
import { rowOf } from "../../ir/ops.ts";
import { constOf, isConst, toShape } from "../match.ts";
import type { Rule } from "../rewrite.ts";

const arg = (n: Node, i: number): Node => n.args[i] as Node;

/** Lattices: minimum, maximum and everything that is the same when done twice. */
export const orderRules: readonly Rule[] = [
  {
    // max(x, least) = x, min(x, greatest) = x (of NaN both are NaN)
    name: "extreme-identity",
    ops: ["max", "min"],
    apply: (n, { b }) => {
      const value = n.op === "max" ? leastOf(n.type.dtype) : greatestOf(n.type.dtype);
      return isConst(n.args[1], value) ? toShape(b, arg(n, 0), n.type.shape) : undefined;
    },
  },
  {
    // clamp(x, least, high) = min(x, high), clamp(x, low, greatest) = max(x, low)
    name: "clamp-open",
    ops: ["clamp"],
    apply: (n, { b }) => {
      const { dtype, shape } = n.type;
      const bounded = (op: string, i: number): Node => toShape(b, b.add(op, [arg(n, 0), arg(n, i)]), shape);
      if (isConst(n.args[1], leastOf(dtype))) return bounded("min", 2);
      return isConst(n.args[2], greatestOf(dtype)) ? bounded("max", 1) : undefined;
    },
  },
  {
    // max(max(x, c), d) = max(x, max(c, d)), the same for min
    name: "extreme-constants",
    ops: ["max", "min"],
    apply: (n, { b }) => {
      const inner = arg(n, 0);
      const [c, d] = [inner.op === n.op ? constOf(inner.args[1]) : undefined, constOf(n.args[1])];
      if (c === undefined || d === undefined) return undefined;
      const joined = b.const(n.op === "max" ? Math.max(c, d) : Math.min(c, d), n.type.dtype);
      return toShape(b, b.add(n.op, [arg(inner, 0), joined]), n.type.shape);
    },
  },
  {
    // max(x, x) = x, min(x, x) = x
    name: "extreme-self",
    ops: ["max", "min"],
    apply: (n) => (n.args[0] === n.args[1] ? n.args[0] : undefined),
  },
  {
    // f(f(x)) = x
    name: "involution",
    ops: ["neg", "not"],
    apply: (n) => (arg(n, 0).op === n.op && rowOf(n.op).flags?.involution ? arg(n, 0).args[0] : undefined),
  },
  {
    // f(f(x)) = f(x)
    name: "idempotent",
    ops: ["abs", "sign", "floor", "ceil", "round", "trunc", "relu"],
    apply: (n) => (arg(n, 0).op === n.op ? arg(n, 0) : undefined),
  },
];
