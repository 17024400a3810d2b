/** Functions of JavaScript's Math that no row of the op table has, of rows that it has. All on f32. */
import type { Node } from "../ir/graph.ts";
import type { Evaluation } from "./body-values.ts";

type Term = Node | number;

/** Adds a node; numbers are constants of f32. */
const ops =
  (e: Evaluation) =>
  (op: string, ...x: readonly Term[]): Node =>
    e.add(
      op,
      x.map((t) => (typeof t === "number" ? e.constant(t, "f32") : t)),
    );
type Ops = ReturnType<typeof ops>;

/**
 * |x|, and a function that gives a result the sign of x. Not `abs` and `sign`, whose derivatives are 0 at 0 where an odd function's
 * is not.
 */
function odd(f: Ops, x: Node): { readonly size: Node; readonly signed: (y: Node) => Node } {
  const negative = f("less", x, 0);
  return {
    size: f("where", negative, f("neg", x), x),
    signed: (y) => f("where", negative, f("neg", y), y),
  };
}

/** x % y: exact, with the sign of x. */
export function remainder(e: Evaluation, x: Node, y: Node): Node {
  const f = ops(e);
  const { size, signed } = odd(f, x);
  return signed(f("mod", size, f("abs", y)));
}

/** The nearest whole number, halves upwards. The fraction is exact, x + 0.5 would not be. */
export function roundHalfUp(e: Evaluation, x: Node): Node {
  const f = ops(e);
  const whole = f("floor", x);
  return f("where", f("greaterEqual", f("sub", x, whole), 0.5), f("add", whole, 1), whole);
}

/** The logarithm to base 10. */
export function log10(e: Evaluation, [x]: readonly Node[]): Node {
  return ops(e)("mul", ops(e)("log", x as Node), Math.LOG10E);
}

/** By a power and one step of Newton's, since the exponent 1/3 is rounded. */
export function cbrt(e: Evaluation, [given]: readonly Node[]): Node {
  const f = ops(e);
  const x = given as Node;
  const size = f("abs", x);
  const plain = f("and", f("greater", size, 0), f("less", size, Number.POSITIVE_INFINITY));
  const safe = f("where", plain, x, 1);
  const y = f("mul", f("pow", f("abs", safe), 1 / 3), f("sign", safe));
  const better = f("add", f("mul", y, 2 / 3), f("div", safe, f("mul", f("mul", y, y), 3)));
  return f("where", plain, better, x);
}

/** √(x² + y² + …) in units of the largest, whose square might overflow or vanish. */
export function hypot(e: Evaluation, x: readonly Node[]): Node {
  const f = ops(e);
  if (x.length === 0) return e.constant(0, "f32");
  const sizes = x.map((v) => f("abs", v));
  if (sizes.length === 1) return sizes[0] as Node;
  const most = sizes.reduce((a, b) => f("max", a, b));
  const plain = f("and", f("greater", most, 0), f("less", most, Number.POSITIVE_INFINITY));
  const unit = f("where", plain, most, 1);
  const squares = x.map((v) => {
    const part = f("div", v, unit);
    return f("mul", part, part);
  });
  return f(
    "mul",
    unit,
    f(
      "sqrt",
      squares.reduce((a, b) => f("add", a, b)),
    ),
  );
}

/** Beyond this a square overflows, or adding 1 to it changes nothing. */
const large = 2 ** 40;

/** asinh and acosh are ln x + ln 2 for large x; `near` is the formula below. */
function logarithmic(f: Ops, x: Node, near: (x: Node) => Node): Node {
  const far = f("greater", x, large);
  // Each formula sees only arguments that it is meant for: a derivative of the other is not to be infinite.
  const below = near(f("where", far, 1, x));
  return f("where", far, f("add", f("log", f("where", far, x, 1)), Math.LN2), below);
}

/** ln(x + √(x² + 1)). */
export function asinh(e: Evaluation, [x]: readonly Node[]): Node {
  const f = ops(e);
  const { size, signed } = odd(f, x as Node);
  return signed(
    logarithmic(f, size, (a) => {
      const square = f("mul", a, a);
      const root = f("sqrt", f("add", square, 1));
      return f("log1p", f("add", a, f("div", square, f("add", root, 1))));
    }),
  );
}

/** ln(x + √(x² - 1)). */
export function acosh(e: Evaluation, [x]: readonly Node[]): Node {
  const f = ops(e);
  return logarithmic(f, x as Node, (a) => {
    const t = f("sub", a, 1);
    return f("log1p", f("add", t, f("sqrt", f("mul", t, f("add", t, 2)))));
  });
}

/** (ln(1 + x) - ln(1 - x)) / 2. */
export function atanh(e: Evaluation, [x]: readonly Node[]): Node {
  const f = ops(e);
  return f("mul", f("sub", f("log1p", x as Node), f("log1p", f("neg", x as Node))), 0.5);
}
