import { isFloat } from "../../base/dtype.ts";
import type { Node } from "../graph.ts";
import type { Adjoint, Derivative } from "../op.ts";
import { cast, scalar } from "../ops/composite-helpers.ts";
import { type Formula, formula, type Point, widened } from "./formula.ts";

/** A row of several arguments; `fns[i]` gives the cotangent of argument `i` by a formula in f32. */
const each =
  (...fns: readonly ((f: Formula, at: Point) => Node)[]): Derivative =>
  (a) =>
    fns.map((fn, i) => (a.needs(i) ? widened(a, i, fn) : undefined));

/** As `each`, in the dtype of the tensors: for formulas that round once. */
const plain =
  (...fns: readonly ((f: Formula, a: Adjoint) => Node)[]): Derivative =>
  (a) => {
    const f = formula(a.b, a.ct.type.dtype as "f32" | "f16");
    return fns.map((fn, i) => (a.needs(i) ? fn(f, a) : undefined));
  };

const arg = (a: Adjoint | Point, i: number): Node => a.args[i] as Node;

/** The product's derivative by one factor is the other one; of a square it is 2x, as one term. */
function product(a: Adjoint): readonly (Node | undefined)[] {
  const [x, y] = a.args as [Node, Node];
  if (x === y) return [widened(a, 0, (f, at) => f("mul", f("mul", at.ct, 2), at.x)), undefined];
  return plain(
    (f) => f("mul", a.ct, y),
    (f) => f("mul", a.ct, x),
  )(a);
}

/** Each gets the cotangent where it is the result, half of it where both are. NaN passes it on. */
const extreme = (loses: "less" | "greater"): Derivative => {
  const share = (f: Formula, a: Adjoint, own: Node, other: Node): Node => {
    const tie = f("where", f("equal", own, other), f("mul", a.ct, 0.5), a.ct);
    return f("where", f(loses, own, other), 0, tie);
  };
  return plain(
    (f, a) => share(f, a, arg(a, 0), arg(a, 1)),
    (f, a) => share(f, a, arg(a, 1), arg(a, 0)),
  );
};

/** Derivatives of arithmetic and selection, with PyTorch's choices where there is none or more than one. */
export const arithmeticDerivatives: Readonly<Record<string, Derivative>> = {
  add: ({ ct }) => [ct, ct],
  sub: plain(
    (_, { ct }) => ct,
    (f, { ct }) => f("neg", ct),
  ),
  mul: product,
  div: each(
    (f, at) => f("div", at.ct, arg(at, 1)),
    (f, at) => f("neg", f("mul", f("div", at.ct, arg(at, 1)), at.y)),
  ),
  // x^0 is constant, also at 0 where its formula is 0 · ∞; so is 0^y in y.
  pow: each(
    (f, { ct, args: [x, y] }) => {
      const [base, power] = [x as Node, y as Node];
      const slope = f("mul", power, f("pow", base, f("sub", power, 1)));
      return f("where", f("equal", power, 0), 0, f("mul", ct, slope));
    },
    (f, { ct, args: [x, power], y }) => {
      const base = x as Node;
      const flat = f("and", f("equal", base, 0), f("greaterEqual", power as Node, 0));
      return f("mul", ct, f("where", flat, 0, f("mul", y, f("log", base))));
    },
  ),
  // x - y · floor(x / y): the quotient is a whole number but for rounding.
  mod: each(
    (_, { ct }) => ct,
    (f, at) => f("neg", f("mul", at.ct, f("round", f("div", f("sub", at.x, at.y), arg(at, 1))))),
  ),
  min: extreme("greater"),
  max: extreme("less"),
  clamp: plain(
    (f, a) => f("where", f("or", f("less", arg(a, 0), arg(a, 1)), f("greater", arg(a, 0), arg(a, 2))), 0, a.ct),
    (f, a) => f("where", f("and", f("less", arg(a, 0), arg(a, 1)), f("less", arg(a, 1), arg(a, 2))), a.ct, 0),
    (f, a) => f("where", f("or", f("greater", arg(a, 0), arg(a, 2)), f("less", arg(a, 2), arg(a, 1))), a.ct, 0),
  ),
  where: ({ b, ct, args: [cond], needs }) => {
    const zero = scalar(b, 0, ct);
    return [
      undefined,
      needs(1) ? b.add("where", [cond as Node, ct, zero]) : undefined,
      needs(2) ? b.add("where", [cond as Node, zero, ct]) : undefined,
    ];
  },
  // Rounding to f16 counts as the identity.
  cast: ({ b, ct, args: [x] }) => {
    const { dtype } = (x as Node).type;
    return [isFloat(dtype) && isFloat(ct.type.dtype) ? cast(b, ct, dtype) : undefined];
  },
};
