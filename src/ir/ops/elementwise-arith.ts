import type { OpRow, WgslContext } from "../op.ts";
import { floorMod, power, roundEven } from "./elementwise-number.ts";
import { builtin, elementwiseRow, helper, infix, type Meaning, one, two } from "./elementwise-row.ts";

const same = ([x]: readonly string[]): string => x as string;
const signed = (f: (x: number, y: number) => number): Meaning["cpu"] => two((x, y) => f(x, y) | 0);
const unsigned = (f: (x: number, y: number) => number): Meaning["cpu"] => two((x, y) => f(x, y) >>> 0);

/** Integer division and remainder as WGSL defines them where mathematics does not. */
const quotient = (x: number, y: number): number => (y === 0 ? x : Math.trunc(x / y));
const remainder = (x: number, y: number): number => (y === 0 ? 0 : floorMod(x, y));

function subtract(x: readonly string[], c: WgslContext): string {
  return x[0] === x[1] ? c.call("subSelf", x[0] as string) : infix("-")(x);
}

function multiply(x: readonly string[], c: WgslContext): string {
  const zeros = [c.lit(0, "f32"), c.lit(-0, "f32")];
  const at = x.findIndex((t) => zeros.includes(t));
  return at < 0 ? infix("*")(x) : c.call("timesZero", x[1 - at] as string, x[at] as string);
}

/** As NumPy: NaN when either is. */
const least = two((x, y) => Math.min(x, y));
const greatest = two((x, y) => Math.max(x, y));
const unary = ["x"] as const;
const binary = ["x", "y"] as const;

export const arithmeticRows: readonly OpRow[] = [
  elementwiseRow({
    name: "add",
    params: binary,
    doc: "x + y. Integers wrap.",
    on: {
      float: { cpu: two((x, y) => x + y), wgsl: infix("+") },
      i32: { cpu: signed((x, y) => x + y), wgsl: infix("+") },
      u32: { cpu: unsigned((x, y) => x + y), wgsl: infix("+") },
    },
    flags: { commutative: true, associative: true, identity: 0 },
    accuracy: { ulp: 1 },
  }),
  elementwiseRow({
    name: "sub",
    params: binary,
    doc: "x - y. Integers wrap.",
    on: {
      float: { cpu: two((x, y) => x - y), wgsl: subtract },
      i32: { cpu: signed((x, y) => x - y), wgsl: infix("-") },
      u32: { cpu: unsigned((x, y) => x - y), wgsl: infix("-") },
    },
    flags: { identity: 0 },
    accuracy: { ulp: 1 },
  }),
  elementwiseRow({
    name: "mul",
    params: binary,
    doc: "x · y. Integers wrap.",
    on: {
      float: { cpu: two((x, y) => x * y), wgsl: multiply },
      i32: { cpu: two(Math.imul), wgsl: infix("*") },
      u32: { cpu: two((x, y) => Math.imul(x, y) >>> 0), wgsl: infix("*") },
    },
    flags: { commutative: true, associative: true, identity: 1 },
    accuracy: { ulp: 1 },
  }),
  elementwiseRow({
    name: "div",
    params: binary,
    doc: "x / y. Integers truncate towards zero; x / 0 = x and the least i32 divided by -1 is itself.",
    on: {
      float: { cpu: two((x, y) => x / y), wgsl: helper("divF") },
      i32: { cpu: signed(quotient), wgsl: infix("/") },
      u32: { cpu: unsigned(quotient), wgsl: infix("/") },
    },
    flags: { identity: 1 },
    accuracy: { ulp: 3 },
  }),
  elementwiseRow({
    name: "pow",
    params: binary,
    doc: "x^y as IEEE 754 has it: x^0 = 1 and 1^y = 1 even for NaN; a negative base takes whole exponents and gives NaN with others.",
    on: { float: { cpu: two(power), wgsl: helper("pow") } },
    flags: { identity: 1 },
    accuracy: { ulp: 16 },
  }),
  elementwiseRow({
    name: "mod",
    params: binary,
    doc: "The floored remainder x - y · floor(x / y), exact, with the sign of y. Integers: x mod 0 = 0; floats: NaN.",
    on: {
      float: { cpu: two(floorMod), wgsl: helper("modF") },
      i32: { cpu: signed(remainder), wgsl: helper("modI") },
      u32: { cpu: unsigned(remainder), wgsl: infix("%") },
    },
    accuracy: { ulp: 1 },
  }),
  elementwiseRow({
    name: "min",
    params: binary,
    doc: "The smaller of x and y; NaN when either is NaN.",
    on: {
      float: { cpu: least, wgsl: helper("minF") },
      i32: { cpu: least, wgsl: builtin("min") },
      u32: { cpu: least, wgsl: builtin("min") },
    },
    flags: { commutative: true, associative: true, idempotent: true },
  }),
  elementwiseRow({
    name: "max",
    params: binary,
    doc: "The larger of x and y; NaN when either is NaN.",
    on: {
      float: { cpu: greatest, wgsl: helper("maxF") },
      i32: { cpu: greatest, wgsl: builtin("max") },
      u32: { cpu: greatest, wgsl: builtin("max") },
    },
    flags: { commutative: true, associative: true, idempotent: true },
  }),
  elementwiseRow({
    name: "neg",
    params: unary,
    doc: "-x. The least i32 is its own negative.",
    on: {
      float: { cpu: one((x) => -x), wgsl: helper("negate") },
      i32: { cpu: one((x) => -x | 0), wgsl: ([x]) => `(-${x})` },
    },
    flags: { involution: true },
  }),
  elementwiseRow({
    name: "abs",
    params: unary,
    doc: "|x|. The least i32 is its own absolute value.",
    on: {
      float: { cpu: one(Math.abs), wgsl: builtin("abs") },
      i32: { cpu: one((x) => Math.abs(x) | 0), wgsl: builtin("abs") },
      u32: { cpu: one((x) => x), wgsl: same },
    },
    flags: { idempotent: true },
  }),
  elementwiseRow({
    name: "sign",
    params: unary,
    doc: "-1, 0 or 1 by the sign of x; NaN for NaN, 0 for -0.",
    on: {
      float: { cpu: one((x) => (x === 0 ? 0 : Math.sign(x))), wgsl: helper("signF") },
      i32: { cpu: one((x) => Math.sign(x)), wgsl: builtin("sign") },
      u32: { cpu: one((x) => Math.sign(x)), wgsl: ([x], c) => `min(${x}, ${c.lit(1)})` },
    },
    flags: { idempotent: true },
  }),
  ...(
    [
      ["floor", "The largest whole number ≤ x.", Math.floor],
      ["ceil", "The smallest whole number ≥ x.", Math.ceil],
      ["round", "The nearest whole number; halves go to the even one.", roundEven],
      ["trunc", "x without its fraction.", Math.trunc],
    ] as const
  ).map(([name, doc, f]) =>
    elementwiseRow({
      name,
      params: unary,
      doc,
      on: { float: { cpu: one(f), wgsl: builtin(name) } },
      flags: { idempotent: true },
    }),
  ),
];
