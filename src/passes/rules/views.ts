import { type Dim, dimAdd, type Shape, shapeEqual } from "../../ir/dim.ts";
import type { Node } from "../../ir/graph.ts";
import { count } from "../../ir/ndarray.ts";
import { numbersOf, toShape } from "../match.ts";
import type { Rule } from "../rewrite.ts";
import { addsLeadingOnes } from "./canonical.ts";

const arg = (n: Node): Node => n.args[0] as Node;
const shapeOf = (n: Node): Shape => n.type.shape;
const ints = (n: Node, name: string): readonly number[] => n.attrs[name] as readonly number[];

/** Views that move nothing, and chains of two views of one kind. */
export const viewRules: readonly Rule[] = [
  {
    // a view that gives every element its own place
    name: "view-identity",
    ops: ["reshape", "expand", "transpose", "slice", "tile", "pad", "concat"],
    apply: (n) => (n.args.length === 1 && isIdentity(n) ? n.args[0] : undefined),
  },
  {
    // a view of a constant tensor is a constant tensor
    name: "view-const",
    ops: ["reshape", "expand", "transpose", "slice", "tile"],
    apply: (n, { b }) =>
      arg(n).op === "const" ? b.const(arg(n).attrs.value as number, n.type.dtype, shapeOf(n)) : undefined,
  },
  {
    // reshape(reshape x) = reshape x
    name: "reshape-reshape",
    ops: ["reshape"],
    apply: (n, { b }) => (arg(n).op === "reshape" ? b.add("reshape", arg(n).args, n.attrs) : undefined),
  },
  {
    // transpose_p(transpose_q x) = transpose_(q after p) x
    name: "transpose-transpose",
    ops: ["transpose"],
    apply: (n, { b }) => {
      const inner = arg(n);
      if (inner.op !== "transpose") return undefined;
      return b.add("transpose", inner.args, { perm: ints(n, "perm").map((p) => ints(inner, "perm")[p]) });
    },
  },
  {
    // a transpose that keeps the order of all axes longer than 1 is a reshape
    name: "transpose-is-reshape",
    ops: ["transpose"],
    apply: (n, { b }) => {
      const moved = ints(n, "perm").filter((p) => shapeOf(arg(n))[p] !== 1);
      const ordered = moved.every((p, i) => i === 0 || p > (moved[i - 1] as number));
      return ordered ? b.add("reshape", n.args, { shape: shapeOf(n) }) : undefined;
    },
  },
  {
    // expand(expand x) = expand x, also past leading axes of size 1
    name: "expand-expand",
    ops: ["expand"],
    apply: (n, { b }) => {
      const inner = arg(n);
      const dropped = inner.op === "expand" || (inner.op === "reshape" && addsLeadingOnes(inner));
      return dropped ? toShape(b, arg(inner), shapeOf(n)) : undefined;
    },
  },
  {
    // an expand that repeats nothing, or a tile that repeats only axes of size 1
    name: "expand-is-reshape",
    ops: ["expand", "tile"],
    apply: (n, { b }) => {
      const [from, to] = [numbersOf(shapeOf(arg(n))), numbersOf(shapeOf(n))];
      if (!from || !to) return undefined;
      if (n.op === "expand") {
        return count(from) === count(to) && count(to) > 0 ? b.add("reshape", n.args, { shape: to }) : undefined;
      }
      return from.every((d, i) => d === 1 || d === to[i]) ? b.add("expand", n.args, { shape: to }) : undefined;
    },
  },
  {
    // slices of one element have no step
    name: "slice-step",
    ops: ["slice"],
    apply: (n, { b }) => {
      const steps = ints(n, "steps");
      const plain = steps.map((s, i) => (shapeOf(n)[i] === 1 || shapeOf(n)[i] === 0 ? 1 : s));
      return steps.some((s, i) => s !== plain[i]) ? b.add("slice", n.args, { ...n.attrs, steps: plain }) : undefined;
    },
  },
  {
    // slice(slice x): start = inner start + inner step * start, step = inner step * step
    name: "slice-slice",
    ops: ["slice"],
    apply: (n, { b }) => {
      const inner = arg(n);
      const starts = numbersOf(n.attrs.starts as Shape);
      const before = inner.op === "slice" ? numbersOf(inner.attrs.starts as Shape) : undefined;
      if (!starts || !before) return undefined;
      const steps = ints(inner, "steps");
      return b.add("slice", inner.args, {
        starts: starts.map((s, i) => (before[i] as number) + (steps[i] as number) * s),
        steps: ints(n, "steps").map((s, i) => s * (steps[i] as number)),
        sizes: n.attrs.sizes,
      });
    },
  },
  {
    // pad(pad x) with one value
    name: "pad-pad",
    ops: ["pad"],
    apply: (n, { b }) => {
      const inner = arg(n);
      const both = [n, inner].every((p) => p.op === "pad" && p.attrs.mode === "constant");
      if (!both || !Object.is(n.attrs.value, inner.attrs.value)) return undefined;
      const sum = (name: string): Dim[] =>
        (n.attrs[name] as Shape).map((v, i) => dimAdd(v, (inner.attrs[name] as Shape)[i] as Dim));
      return b.add("pad", inner.args, { ...n.attrs, low: sum("low"), high: sum("high") });
    },
  },
];

function isIdentity(n: Node): boolean {
  if (n.op === "concat" || n.op === "transpose") {
    return n.op === "concat" || ints(n, "perm").every((p, i) => p === i);
  }
  if (!shapeEqual(shapeOf(arg(n)), shapeOf(n))) return false;
  if (n.op === "slice") {
    const still = (name: string, value: Dim): boolean => (n.attrs[name] as Shape).every((v) => v === value);
    return still("starts", 0) && still("steps", 1);
  }
  // A pad may cut one end and grow the other.
  return n.op !== "pad" || (ints(n, "low").every((v) => v === 0) && ints(n, "high").every((v) => v === 0));
}
