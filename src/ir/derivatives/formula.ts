import type { Attrs, GraphBuilder, Node } from "../graph.ts";
import type { Adjoint } from "../op.ts";
import { cast } from "../ops/composite-helpers.ts";

/** An operand of a formula; a number stands for a scalar of the formula's dtype. */
export type Term = Node | number;

/** Adds a node of row `op`: `f("mul", x, 2)`. */
export type Formula = (op: string, ...terms: readonly Term[]) => Node;

/** Formulas over tensors of one dtype. */
export const formula =
  (b: GraphBuilder, dtype: "f32" | "f16"): Formula =>
  (op, ...terms) =>
    b.add(
      op,
      terms.map((t) => (typeof t === "number" ? b.const(t, dtype) : t)),
    );

/** What the derivative of a row with one result is a formula of. All tensors are f32. */
export interface Point {
  /** The cotangent. */
  readonly ct: Node;
  readonly args: readonly Node[];
  /** The first argument. */
  readonly x: Node;
  /** The result. Where a derivative can be had from it, the argument need not be kept in memory. */
  readonly y: Node;
  readonly attrs: Attrs;
}

/** A formula of several operations in f32, rounded once to the dtype of argument `i`: f16 would round, and overflow, in between. */
export function widened(a: Adjoint, i: number, fn: (f: Formula, at: Point) => Node): Node {
  const wide = (n: Node): Node => cast(a.b, n, "f32");
  const args = a.args.map((n) => (n.type.dtype === "f16" ? wide(n) : n));
  const at: Point = {
    ct: wide(a.ct),
    args,
    x: args[0] as Node,
    y: wide(a.results[0] as Node),
    attrs: a.node.attrs,
  };
  return cast(a.b, fn(formula(a.b, "f32"), at), (a.args[i] as Node).type.dtype as "f32" | "f16");
}
