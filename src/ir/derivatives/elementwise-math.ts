import type { Node } from "../graph.ts";
import type { Derivative } from "../op.ts";
import { type Formula, type Point, widened } from "./formula.ts";

type Slope = (f: Formula, at: Point) => Node;

/** The derivative of a row of one argument, `fn` giving the argument's cotangent. */
export const unary =
  (fn: Slope): Derivative =>
  (a) => [widened(a, 0, fn)];

const square = (f: Formula, x: Node): Node => f("mul", x, x);

/** 1 / sqrt(1 - x^2), the difference as a product: near ±1 the square's rounding would be most of it. */
const arc = (f: Formula, x: Node): Node => f("rsqrt", f("mul", f("sub", 1, x), f("add", x, 1)));

/** Derivatives of functions of one number, from the result y where that is cheaper than from x. */
const slopes: Readonly<Record<string, Slope>> = {
  exp: (f, { ct, y }) => f("mul", ct, y),
  exp2: (f, { ct, y }) => f("mul", ct, f("mul", y, Math.LN2)),
  expm1: (f, { ct, y }) => f("mul", ct, f("add", y, 1)),
  log: (f, { ct, x }) => f("div", ct, x),
  log2: (f, { ct, x }) => f("div", f("mul", ct, Math.LOG2E), x),
  log1p: (f, { ct, x }) => f("div", ct, f("add", x, 1)),
  sqrt: (f, { ct, y }) => f("div", f("mul", ct, 0.5), y),
  rsqrt: (f, { ct, y }) => f("mul", f("mul", ct, -0.5), f("mul", square(f, y), y)),
  reciprocal: (f, { ct, y }) => f("neg", f("mul", ct, square(f, y))),
  sin: (f, { ct, x }) => f("mul", ct, f("cos", x)),
  cos: (f, { ct, x }) => f("neg", f("mul", ct, f("sin", x))),
  tan: (f, { ct, y }) => f("mul", ct, f("add", square(f, y), 1)),
  asin: (f, { ct, x }) => f("mul", ct, arc(f, x)),
  acos: (f, { ct, x }) => f("neg", f("mul", ct, arc(f, x))),
  atan: (f, { ct, x }) => f("div", ct, f("add", square(f, x), 1)),
  sinh: (f, { ct, x }) => f("mul", ct, f("cosh", x)),
  cosh: (f, { ct, x }) => f("mul", ct, f("sinh", x)),
  tanh: (f, { ct, y }) => f("mul", ct, f("sub", 1, square(f, y))),
  erf: (f, { ct, x }) => f("mul", f("mul", ct, 2 / Math.sqrt(Math.PI)), f("exp", f("neg", square(f, x)))),
  neg: (f, { ct }) => f("neg", ct),
  abs: (f, { ct, x }) => f("mul", ct, f("sign", x)),
};

export const mathDerivatives: Readonly<Record<string, Derivative>> = {
  ...Object.fromEntries(Object.entries(slopes).map(([name, slope]) => [name, unary(slope)])),
  // The angle of (y, x): the cotangents are those of a turn, divided by the squared radius.
  atan2: (a) => {
    const turn = (i: 0 | 1): Node =>
      widened(a, i, (f, { ct, args: [y, x] }) => {
        const radius = f("add", square(f, y as Node), square(f, x as Node));
        const along = f("div", f("mul", ct, (i === 0 ? x : y) as Node), radius);
        return i === 0 ? along : f("neg", along);
      });
    return [a.needs(0) ? turn(0) : undefined, a.needs(1) ? turn(1) : undefined];
  },
};
