import type { Node } from "../../ir/graph.ts";
import type { Rule } from "../rewrite.ts";

const reductions = ["sum", "prod", "reduceMin", "reduceMax", "any", "all"];
const axesOf = (n: Node): readonly number[] => n.attrs.axes as readonly number[];

/** Reductions. Sums and products hold in exact arithmetic; they may round in another order. */
export const sumRules: readonly Rule[] = [
  {
    // reducing over axes of size 1 only moves no element
    name: "reduce-one",
    ops: reductions,
    apply: (n, { b }) => {
      const x = n.args[0] as Node;
      return axesOf(n).every((a) => x.type.shape[a] === 1) ? b.add("reshape", [x], { shape: n.type.shape }) : undefined;
    },
  },
  {
    // sum over B of sum over A of x = sum over A and B of x
    name: "reduce-reduce",
    ops: reductions,
    apply: (n, { b, usedOnce }) => {
      const inner = n.args[0] as Node;
      if (inner.op !== n.op || !usedOnce(inner) || roundsBetween(n)) return undefined;
      const x = inner.args[0] as Node;
      const [first, keepFirst, keep] = [axesOf(inner), inner.attrs.keepDims === true, n.attrs.keepDims === true];
      // Where the outer axes lie in x: axes that the inner reduction removed do not count.
      const left = x.type.shape.map((_, i) => i).filter((i) => keepFirst || !first.includes(i));
      const second = axesOf(n).map((a) => left[a] as number);
      const axes = [...new Set([...first, ...second])].sort((p, q) => p - q);
      const joined = b.add(n.op, [x], { axes, keepDims: false });
      return keep || keepFirst ? b.add("reshape", [joined], { shape: n.type.shape }) : joined;
    },
  },
];

/** The inner result of an f16 sum is rounded to f16, which one sum would not do. */
const roundsBetween = (n: Node): boolean => n.type.dtype === "f16" && (n.op === "sum" || n.op === "prod");
