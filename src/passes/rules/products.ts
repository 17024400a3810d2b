import type { Node } from "../../ir/graph.ts";
import { count } from "../../ir/ndarray.ts";
import { numbersOf } from "../match.ts";
import type { Rule } from "../rewrite.ts";

const arg = (n: Node, i = 0): Node => n.args[i] as Node;

/** Matrix products in the plainest form: as few batch axes as there are, no transpose of a result. */
export const productRules: readonly Rule[] = [
  {
    // a [B, M, K] times b [K, N] is one product of B·M rows
    name: "product-rows",
    ops: ["matmul"],
    apply: (n, { b }) => {
      const [left, right] = n.args.map((x) => numbersOf(x.type.shape)) as [readonly number[], readonly number[]];
      const shape = numbersOf(n.type.shape);
      if (!left || !right || !shape || shape.length === 2 || count(right.slice(0, -2)) !== 1) return undefined;
      if (count(left.slice(0, -2)) !== count(shape.slice(0, -2))) return undefined;
      const [k, columns] = right.slice(-2) as [number, number];
      const rows = count(left.slice(0, -1));
      const flat = (x: Node, to: readonly number[]): Node =>
        x.type.shape.length === 2 ? x : b.add("reshape", [x], { shape: to });
      const product = b.add("matmul", [flat(arg(n), [rows, k]), flat(arg(n, 1), [k, columns])], n.attrs);
      return b.add("reshape", [product], { shape });
    },
  },
  {
    // (a b)' = b' a'
    name: "product-transpose",
    ops: ["transpose"],
    apply: (n, { b, usedOnce }) => {
      const product = arg(n);
      if (product.op !== "matmul" || product.type.shape.length !== 2 || !usedOnce(product)) return undefined;
      const swapped = product.args.map((x) => b.add("transpose", [x], { perm: [1, 0] }));
      return (n.attrs.perm as number[])[0] === 1 ? b.add("matmul", swapped.reverse(), product.attrs) : undefined;
    },
  },
  {
    // axes of size 1 stay out of the transpose of a matrix
    name: "transpose-unit-axes",
    ops: ["transpose"],
    apply: (n, { b }) => {
      const from = numbersOf(arg(n).type.shape);
      if (!from?.includes(1)) return undefined;
      const long = from.flatMap((d, i) => (d === 1 ? [] : [i]));
      if (long.length !== 2) return undefined;
      const squeezed = b.add("reshape", n.args, { shape: long.map((i) => from[i]) });
      const perm = (n.attrs.perm as number[]).filter((i) => from[i] !== 1).map((i) => long.indexOf(i));
      return b.add("reshape", [b.add("transpose", [squeezed], { perm })], { shape: n.type.shape });
    },
  },
  {
    // y + scatter-add of updates into zeros = scatter-add into y
    name: "scatter-into",
    ops: ["add"],
    apply: (n, { b, usedOnce }) => {
      for (const [scatter, other] of [
        [arg(n), arg(n, 1)],
        [arg(n, 1), arg(n)],
      ] as const) {
        const adds = scatter.op.startsWith("scatter") && scatter.attrs.reduction === "add" && usedOnce(scatter);
        if (!adds || arg(scatter).attrs.value !== 0 || arg(scatter).op !== "const") continue;
        const [to, from] = [numbersOf(n.type.shape), numbersOf(other.type.shape)];
        if (to && from && to.join() === from.join())
          return b.add(scatter.op, [other, ...scatter.args.slice(1)], scatter.attrs);
      }
      return undefined;
    },
  },
  {
    // tensors of one shape that are views of others, side by side = the same view of the others one after the other
    name: "concat-pack",
    ops: ["concat"],
    apply: (n, { b, usedOnce }) => {
      const to = numbersOf(n.type.shape);
      const [first] = n.args as [Node];
      const chain = viewsBelow(first, usedOnce);
      const base = (x: Node): Node => viewsBelow(x, usedOnce).reduce((at, v) => (at === v ? arg(v) : at), x);
      const bases = n.args.map(base);
      const size = count(first.type.shape as number[]);
      if (!to || n.args.length < 2 || size === 0 || size % 128 !== 0 || new Set(bases).size < bases.length)
        return undefined;
      const alike = (x: Node): boolean => keyOf(viewsBelow(x, usedOnce)) === keyOf(chain) && base(x).op === "result";
      if (!n.args.every(alike)) return undefined;
      const parts = n.args.length;
      let all = b.add("pack", bases);
      all = b.add("reshape", [all], { shape: [parts, ...(bases[0] as Node).type.shape] });
      for (const v of chain.toReversed()) {
        all =
          v.op === "transpose"
            ? b.add("transpose", [all], { perm: [0, ...(v.attrs.perm as number[]).map((p) => p + 1)] })
            : b.add("reshape", [all], { shape: [parts, ...v.type.shape] });
      }
      const axis = n.attrs.axis as number;
      const order = to.map((_, i) => i + 1);
      order.splice(axis, 0, 0);
      return b.add("reshape", [b.add("transpose", [all], { perm: order })], { shape: to });
    },
  },
];

/** The reshapes and transposes that a node is, from the last one down, as far as nothing else reads what is between. */
function viewsBelow(n: Node, usedOnce: (n: Node) => boolean): readonly Node[] {
  const chain: Node[] = [];
  for (let at = n; (at.op === "reshape" || at.op === "transpose") && usedOnce(at); at = arg(at)) chain.push(at);
  return chain;
}

const keyOf = (chain: readonly Node[]): string =>
  chain.map((v) => `${v.op} ${v.attrs.perm ?? ""} ${v.type.shape} from ${arg(v).type.shape}`).join("; ");
