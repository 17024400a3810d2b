import type { Dim } from "../../ir/dim.ts";
import type { Node } from "../../ir/graph.ts";
import { constOf, numbersOf, toShape } from "../match.ts";
import type { Rule } from "../rewrite.ts";

const arg = (n: Node): Node => n.args[0] as Node;

/** Slices of what was put together: the part they come from is used directly. */
export const joinRules: readonly Rule[] = [
  {
    // slice(expand x) = expand(slice x): axes that repeat need no slice
    name: "slice-expand",
    ops: ["slice"],
    apply: (n, { b }) => {
      const inner = arg(n);
      const from = inner.op === "expand" ? numbersOf(arg(inner).type.shape) : undefined;
      const to = numbersOf(inner.type.shape);
      if (!from || !to || (n.type.shape as readonly number[]).includes(0)) return undefined;
      const lead = to.length - from.length;
      const own = (name: string, repeated: number): unknown[] =>
        from.map((d, i) => (d !== to[i + lead] ? repeated : (n.attrs[name] as unknown[])[i + lead]));
      const part = b.add("slice", inner.args, {
        starts: own("starts", 0),
        steps: own("steps", 1),
        sizes: own("sizes", 1),
      });
      return toShape(b, part, n.type.shape);
    },
  },
  {
    // slice(pad x) = slice x where no added element is read
    name: "slice-pad",
    ops: ["slice"],
    apply: (n, { b }) => {
      const inner = arg(n);
      if (inner.op !== "pad") return undefined;
      const low = numbersOf(inner.attrs.low as Dim[]);
      return low && within(n, low, arg(inner).type.shape) ? b.add("slice", inner.args, shifted(n, low)) : undefined;
    },
  },
  {
    // slice(concat(…, x, …)) = slice x where only x is read
    name: "slice-concat",
    ops: ["slice"],
    apply: (n, { b }) => {
      const inner = arg(n);
      if (inner.op !== "concat") return undefined;
      const axis = inner.attrs.axis as number;
      const low = inner.type.shape.map(() => 0);
      for (const x of inner.args) {
        if (within(n, low, x.type.shape)) return b.add("slice", [x], shifted(n, low));
        const size = x.type.shape[axis];
        if (typeof size !== "number") return undefined;
        low[axis] = (low[axis] as number) + size;
      }
      return undefined;
    },
  },
  {
    // parts without elements add nothing to a concat
    name: "concat-empty",
    ops: ["concat"],
    apply: (n, { b }) => {
      const axis = n.attrs.axis as number;
      const parts = n.args.filter((x) => x.type.shape[axis] !== 0);
      return parts.length > 0 && parts.length < n.args.length ? b.add("concat", parts, n.attrs) : undefined;
    },
  },
  {
    // a concat of one constant is a constant
    name: "concat-const",
    ops: ["concat"],
    apply: (n, { b }) => {
      const value = constOf(n.args[0]);
      if (value === undefined || !n.args.every((x) => Object.is(constOf(x), value))) return undefined;
      return b.const(value, n.type.dtype, n.type.shape);
    },
  },
  {
    // concat(x, x, …) along an axis of size 1 = expand x
    name: "concat-same",
    ops: ["concat"],
    apply: (n, { b }) => {
      const [first] = n.args as [Node];
      const axis = n.attrs.axis as number;
      if (n.args.length < 2 || !n.args.every((x) => x === first) || first.type.shape[axis] !== 1) return undefined;
      return toShape(b, first, n.type.shape);
    },
  },
];

/** Whether every element a slice reads lies in the block that starts at `low` and has this shape. */
function within(slice: Node, low: readonly number[], shape: readonly Dim[]): boolean {
  const starts = numbersOf(slice.attrs.starts as Dim[]);
  const sizes = numbersOf(slice.attrs.sizes as Dim[]);
  const block = numbersOf(shape);
  if (!starts || !sizes || !block || sizes.includes(0)) return false;
  const steps = slice.attrs.steps as readonly number[];
  return starts.every((start, i) => {
    const end = start + (steps[i] as number) * ((sizes[i] as number) - 1);
    const from = low[i] as number;
    return Math.min(start, end) >= from && Math.max(start, end) < from + (block[i] as number);
  });
}

const shifted = (slice: Node, low: readonly number[]): Node["attrs"] => ({
  ...slice.attrs,
  starts: (slice.attrs.starts as readonly number[]).map((s, i) => s - (low[i] as number)),
});
