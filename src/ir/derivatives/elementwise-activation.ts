import type { Node } from "../graph.ts";
import type { Derivative } from "../op.ts";
import { attr } from "../ops/elementwise-row.ts";
import { unary } from "./elementwise-math.ts";
import { type Formula, type Point, widened } from "./formula.ts";

/** GELU's tanh form is x σ(u) with u = 2 √(2/π) (x + 0.044715 x^3): the coefficients of u. */
const tanhSlope = 2 * Math.sqrt(2 / Math.PI);
const tanhCubic = tanhSlope * 0.044715;

/** Φ(x) + x φ(x); in the tanh form σ (1 + x (1 - σ) u'). */
function gelu(f: Formula, { ct, x, attrs }: Point): Node {
  const square = f("mul", x, x);
  if (attrs.approximate !== "tanh") {
    const half = f("mul", f("add", f("erf", f("mul", x, Math.SQRT1_2)), 1), 0.5);
    const density = f("mul", f("exp", f("mul", square, -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return f("mul", ct, f("add", half, f("mul", x, density)));
  }
  const s = f("sigmoid", f("mul", x, f("add", f("mul", square, tanhCubic), tanhSlope)));
  const inner = f("add", f("mul", square, 3 * tanhCubic), tanhSlope);
  const outer = f("mul", f("mul", x, f("sub", 1, s)), inner);
  return f("mul", ct, f("mul", s, f("add", outer, 1)));
}

function silu(f: Formula, { ct, x }: Point): Node {
  const s = f("sigmoid", x);
  return f("mul", ct, f("mul", s, f("add", f("mul", x, f("sub", 1, s)), 1)));
}

function softsign(f: Formula, { ct, x }: Point): Node {
  const d = f("add", f("abs", x), 1);
  return f("div", ct, f("mul", d, d));
}

/** Where the result is above 0 the argument is too, unless the negative side has a negative scale. */
const positive = (f: Formula, { x, y, attrs }: Point, scale: number): Node =>
  f("greater", attr(attrs, "alpha", scale) >= 0 ? y : x, 0);

/** Derivatives of activations. At a kink they are PyTorch's: those of the side below, and of the flat side of a clamp. */
export const activationDerivatives: Readonly<Record<string, Derivative>> = {
  sigmoid: unary((f, { ct, y }) => f("mul", ct, f("mul", y, f("sub", 1, y)))),
  logSigmoid: unary((f, { ct, x }) => f("mul", ct, f("sigmoid", f("neg", x)))),
  relu: unary((f, { ct, y }) => f("where", f("greater", y, 0), ct, 0)),
  silu: unary(silu),
  gelu: unary(gelu),
  softplus: unary((f, { ct, x }) => f("mul", ct, f("sigmoid", x))),
  softsign: unary(softsign),
  elu: unary((f, at) =>
    f("where", positive(f, at, 1), at.ct, f("mul", at.ct, f("add", at.y, attr(at.attrs, "alpha", 1)))),
  ),
  leakyRelu: unary((f, at) => f("where", positive(f, at, 0.01), at.ct, f("mul", at.ct, attr(at.attrs, "alpha", 0.01)))),
  hardSigmoid: unary((f, { ct, y, attrs }) =>
    f("where", f("and", f("greater", y, 0), f("less", y, 1)), f("mul", ct, attr(attrs, "alpha", 0.2)), 0),
  ),
  hardSwish: unary((f, { ct, x }) => {
    const middle = f("mul", ct, f("add", f("div", x, 3), 0.5));
    return f("where", f("lessEqual", x, -3), 0, f("where", f("less", x, 3), middle, ct));
  }),
  prelu: (a) => [
    a.needs(0)
      ? widened(a, 0, (f, { ct, args: [x, slope] }) =>
          f("where", f("greater", x as Node, 0), ct, f("mul", ct, slope as Node)),
        )
      : undefined,
    a.needs(1) ? widened(a, 1, (f, { ct, x }) => f("where", f("greater", x, 0), 0, f("mul", ct, x))) : undefined,
  ],
};
