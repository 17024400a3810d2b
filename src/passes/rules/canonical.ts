import { isSym, shapeEqual } from "../../ir/dim.ts";
import type { Node } from "../../ir/graph.ts";
import { rowOf, rows } from "../../ir/ops.ts";
import type { Rule } from "../rewrite.ts";

const elementwise = rows.filter((r) => r.elementwise);
const several = elementwise.filter((r) => r.params.length > 1).map((r) => r.name);
const commutative = elementwise.filter((r) => r.flags?.commutative).map((r) => r.name);

const mirrored: Readonly<Record<string, string>> = {
  less: "greater",
  lessEqual: "greaterEqual",
  greater: "less",
  greaterEqual: "lessEqual",
};

const isData = (n: Node | undefined): boolean => n?.op === "const" || n?.op === "literal";

/** One way of writing what can be written in several. */
export const canonicalRules: readonly Rule[] = [
  {
    // f(c, x) = f(x, c)
    name: "constant-right",
    ops: commutative,
    apply: (n, { b }) => {
      const [x, y] = n.args as [Node, Node];
      const swap = (x.op === "const" && y.op !== "const") || (isData(x) && !isData(y));
      return swap ? b.add(n.op, [y, x], n.attrs) : undefined;
    },
  },
  {
    // c < x = x > c
    name: "compare-constant-right",
    ops: Object.keys(mirrored),
    apply: (n, { b }) => {
      const [x, y] = n.args as [Node, Node];
      return isData(x) && !isData(y) ? b.add(mirrored[n.op] as string, [y, x]) : undefined;
    },
  },
  {
    // f(x, expand y) = f(x, y) where f broadcasts y as far; the same for leading axes of size 1 and for constants
    name: "implied-broadcast",
    ops: several,
    apply: (n, { b }) => {
      for (let i = 0; i < n.args.length; i++) {
        const less = narrower(n.args[i] as Node, (shape, dtype, value) => b.const(value, dtype, shape));
        if (!less) continue;
        const args = n.args.map((a, k) => (k === i ? less : a));
        const { shape } = rowOf(n.op).infer(
          args.map((a) => a.type),
          n.attrs,
        ) as Node["type"];
        if (shapeEqual(shape, n.type.shape)) return b.add(n.op, args, n.attrs);
      }
      return undefined;
    },
  },
  {
    // an index along an axis of size 1 is 0
    name: "iota-one",
    ops: ["iota"],
    apply: (n, { b }) =>
      n.type.shape[n.attrs.axis as number] === 1 ? b.const(0, n.type.dtype, n.type.shape) : undefined,
  },
];

/** The smaller tensor that broadcasts to this one, or undefined. */
function narrower(
  x: Node,
  makeConst: (shape: readonly number[], dtype: Node["type"]["dtype"], value: number) => Node,
): Node | undefined {
  if (x.op === "const" && x.type.shape.length > 0) return makeConst([], x.type.dtype, x.attrs.value as number);
  if (x.op === "expand") return x.args[0];
  return x.op === "reshape" && addsLeadingOnes(x) ? x.args[0] : undefined;
}

/** Whether a reshape only puts axes of size 1 in front. */
export function addsLeadingOnes(reshape: Node): boolean {
  const from = (reshape.args[0] as Node).type.shape;
  const to = reshape.type.shape;
  const extra = to.length - from.length;
  return extra > 0 && to.slice(0, extra).every((d) => !isSym(d) && d === 1) && shapeEqual(to.slice(extra), from);
}
