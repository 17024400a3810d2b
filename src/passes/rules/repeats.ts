import { type Dim, isConcrete } from "../../ir/dim.ts";
import type { Node } from "../../ir/graph.ts";
import { count } from "../../ir/ndarray.ts";
import { constOf, toShape } from "../match.ts";
import type { Rule } from "../rewrite.ts";

const axesOf = (n: Node): readonly number[] => n.attrs.axes as readonly number[];

/** How many elements each result of a reduction is made of; undefined while a size is symbolic. */
function reduced(n: Node): number | undefined {
  const sizes = axesOf(n).map((a) => (n.args[0] as Node).type.shape[a] as Dim);
  return isConcrete(sizes) ? count(sizes) : undefined;
}

/** Sums of what repeats, which derivatives of broadcasts make. They hold in exact arithmetic, and round less than the sum. */
export const repeatRules: readonly Rule[] = [
  {
    // the sum of n times c = c n
    name: "sum-const",
    ops: ["sum"],
    apply: (n, { b }) => {
      const [value, times] = [constOf(n.args[0]), reduced(n)];
      if (value === undefined || times === undefined || n.type.dtype !== "f32") return undefined;
      return b.const(times === 0 ? 0 : Math.fround(value * times), "f32", n.type.shape);
    },
  },
  {
    // the sum over axes along which x was repeated n times = x n
    name: "sum-expand",
    ops: ["sum"],
    apply: (n, { b }) => {
      const [wide, times] = [n.args[0] as Node, reduced(n)];
      if (wide.op !== "expand" || !times || n.type.dtype !== "f32") return undefined;
      const x = wide.args[0] as Node;
      const lead = new Array<Dim>(wide.type.shape.length - x.type.shape.length).fill(1);
      const own = [...lead, ...x.type.shape];
      if (axesOf(n).some((a) => own[a] !== 1)) return undefined;
      const kept = n.attrs.keepDims === true ? own : own.filter((_, i) => !axesOf(n).includes(i));
      const once = toShape(b, b.add("reshape", [x], { shape: kept }), n.type.shape);
      return b.add("mul", [once, b.const(times, "f32")]);
    },
  },
];
