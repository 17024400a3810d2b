import type { Node } from "../ir/graph.ts";
import { acosh, asinh, atanh, cbrt, hypot, log10, remainder, roundHalfUp } from "./body-math.ts";
import type { Evaluation, IntType, Value } from "./body-values.ts";

/** An operation of a program. */
export interface Form {
  /** How many values it takes; absent: any number. */
  readonly arity?: number;
  /** Its meaning on numbers, truth values being 0 and 1: constants are computed by it. */
  readonly js: (...x: number[]) => number;
  /** What the result is: a truth value, an integer, a number that no longer counts as an integer, or as the operands are. */
  readonly gives: "bool" | "i32" | "u32" | "number" | "same";
  /** The graph of it on values, by their numbers. */
  readonly build: (e: Evaluation, args: readonly number[]) => Value;
}

const bit = (b: unknown): number => (b ? 1 : 0);
type Args = readonly number[];
const first = (args: Args): number => args[0] as number;
const floats = (e: Evaluation, args: Args): Node[] => args.map((a) => e.float(a));

/** A row of the op table on f32. */
const float = (op: string, js: Form["js"], arity = 1): Form => ({
  arity,
  js,
  gives: "number",
  build: (e, args) => e.add(op, floats(e, args)),
});

/** A composition of rows on f32. */
const composed = (js: Form["js"], build: (e: Evaluation, x: readonly Node[]) => Node, arity?: number): Form => ({
  ...(arity === undefined ? {} : { arity }),
  js,
  gives: "number",
  build: (e, args) => build(e, floats(e, args)),
});

/** A row that integers have too. */
const arithmetic = (op: string, js: Form["js"], arity = 2): Form => ({
  arity,
  js,
  gives: "same",
  build: (e, args) => onCommon(e, op, args),
});

function onCommon(e: Evaluation, op: string, args: Args): Node {
  const t = e.common(args);
  return e.add(
    op,
    args.map((a) => e.as(a, t)),
  );
}

/** The least or greatest of any number of values. */
const extreme = (op: "min" | "max", js: Form["js"]): Form => ({
  js,
  gives: "same",
  build: (e, args) => {
    const t = e.common(args);
    return args.map((a) => e.as(a, t)).reduce((x, y) => e.add(op, [x, y]));
  },
});

const allBool = (e: Evaluation, args: Args): boolean => args.every((a) => e.node(a).type.dtype === "bool");

const comparison = (op: string, js: (x: number, y: number) => boolean): Form => ({
  arity: 2,
  js: (x, y) => bit(js(x as number, y as number)),
  gives: "bool",
  build: (e, args) => {
    const same = (op === "equal" || op === "notEqual") && allBool(e, args);
    return same
      ? e.add(
          op,
          args.map((a) => e.truth(a)),
        )
      : onCommon(e, op, args);
  },
});

/** An operation on the 32 bits of integers. */
const bits = (op: string, js: Form["js"], arity = 2): Form => ({
  arity,
  js,
  gives: "i32",
  build: (e, args) =>
    e.add(
      op,
      args.map((a) => e.int(a)),
    ),
});

/** Rounding to a whole number: integers are whole already, a quotient of integers is one of integers. */
const rounding = (
  op: string,
  js: Form["js"],
  quotient?: (e: Evaluation, args: Args, t: IntType) => Node,
  build?: Form["build"],
): Form => ({
  arity: 1,
  js,
  gives: "same",
  build: (e, args) => {
    const x = first(args);
    const t = e.common(args);
    if (t !== "f32") return e.as(x, t);
    const step = quotient && e.step(x);
    if (quotient && step?.[0] === "div") {
      const parts = step.slice(1) as number[];
      const common = e.common(parts);
      if (common !== "f32") return quotient(e, parts, common);
    }
    return build ? build(e, args) : e.add(op, [e.float(x)]);
  },
});

/** floor(x / y) of integers. */
function floorQuotient(e: Evaluation, args: Args, t: IntType): Node {
  const q = e.quotient(args, t);
  if (t === "u32") return q;
  const [x, y] = args.map((a) => e.as(a, t)) as [Node, Node];
  const zero = e.constant(0, t);
  const rest = e.add("sub", [x, e.add("mul", [q, y])]);
  const apart = e.add("less", [e.add("xor", [rest, y]), zero]);
  // Where y is 0, so is the quotient, and no fraction is to be dropped.
  const below = e.add("and", [e.add("and", [e.add("notEqual", [rest, zero]), e.add("notEqual", [y, zero])]), apart]);
  return e.add("where", [below, e.add("sub", [q, e.constant(1, t)]), q]);
}

/** x % y, with the sign of x. Of integers it is 0 where y is 0. */
function rest(e: Evaluation, args: Args): Node {
  const t = e.common(args);
  const [x, y] = args.map((a) => e.as(a, t)) as [Node, Node];
  if (t === "f32") return remainder(e, x, y);
  if (t === "u32") return e.add("mod", [x, y]);
  const made = e.add("sub", [x, e.add("mul", [e.quotient(args, t), y])]);
  const divisor = e.value(args[1] as number);
  if ("constant" in divisor && divisor.constant !== 0) return made;
  const zero = e.constant(0, t);
  return e.add("where", [e.add("equal", [y, zero]), zero, made]);
}

function select(e: Evaluation, args: Args): Node {
  const [c, x, y] = args as [number, number, number];
  const t = e.common([x, y]);
  const [a, b] = allBool(e, [x, y]) ? [e.truth(x), e.truth(y)] : [e.as(x, t), e.as(y, t)];
  return e.add("where", [e.truth(c), a, b]);
}

/** Leading zeros by halving: 16, 8, 4, 2 and 1 of them at a time. */
function leadingZeros(e: Evaluation, args: Args): Node {
  const word = e.word(first(args));
  let rest = word;
  let count = e.constant(0, "i32");
  for (const n of [16, 8, 4, 2, 1]) {
    const high = e.add("less", [rest, e.constant(2 ** (32 - n), "u32")]);
    count = e.add("where", [high, e.add("add", [count, e.constant(n, "i32")]), count]);
    rest = e.add("where", [high, e.add("shiftLeft", [rest, e.constant(n, "u32")]), rest]);
  }
  return e.add("where", [e.add("equal", [word, e.constant(0, "u32")]), e.constant(32, "i32"), count]);
}

const truths = (e: Evaluation, args: Args): Node[] => args.map((a) => e.truth(a));
/** `x && y` is y or x itself, not only whether both hold. */
const either = (op: "and" | "or"): Form["build"] => {
  const order = op === "and" ? [0, 1, 0] : [0, 0, 1];
  return (e, args) =>
    allBool(e, args)
      ? e.add(op, truths(e, args))
      : select(
          e,
          order.map((i) => args[i] as number),
        );
};

/** A test of floats that integers pass or fail at once. */
const test = (js: (x: number) => boolean, ofIntegers: number, build: (e: Evaluation, x: Node) => Node): Form => ({
  arity: 1,
  js: (x) => bit(js(x as number)),
  gives: "bool",
  build: (e, args) => {
    const x = first(args);
    return e.node(x).type.dtype === "f32" ? build(e, e.float(x)) : e.constant(ofIntegers, "bool");
  },
});

const finite = (e: Evaluation, x: Node): Node =>
  e.add("less", [e.add("abs", [x]), e.constant(Number.POSITIVE_INFINITY, "f32")]);

/** Every operation by name: what operators mean, and the functions of `Math`, under their own names. */
export const forms: Readonly<Record<string, Form | undefined>> = {
  __proto__: null as never,
  add: arithmetic("add", (x, y) => (x as number) + (y as number)),
  sub: arithmetic("sub", (x, y) => (x as number) - (y as number)),
  mul: arithmetic("mul", (x, y) => (x as number) * (y as number)),
  div: float("div", (x, y) => (x as number) / (y as number), 2),
  rem: { arity: 2, js: (x, y) => (x as number) % (y as number), gives: "same", build: rest },
  pow: float("pow", (x, y) => (x as number) ** (y as number), 2),
  neg: {
    arity: 1,
    js: (x) => -(x as number),
    gives: "same",
    build: (e, args) => {
      const t = e.common(args);
      return e.add("neg", [t === "i32" ? e.as(first(args), t) : e.float(first(args))]);
    },
  },

  lt: comparison("less", (x, y) => x < y),
  le: comparison("lessEqual", (x, y) => x <= y),
  gt: comparison("greater", (x, y) => x > y),
  ge: comparison("greaterEqual", (x, y) => x >= y),
  eq: comparison("equal", (x, y) => x === y),
  ne: comparison("notEqual", (x, y) => x !== y),
  not: { arity: 1, js: (x) => bit(!x), gives: "bool", build: (e, args) => e.add("not", truths(e, args)) },
  and: { arity: 2, js: (x, y) => (x && y) as number, gives: "same", build: either("and") },
  or: { arity: 2, js: (x, y) => (x || y) as number, gives: "same", build: either("or") },
  select: { arity: 3, js: (c, x, y) => (c ? x : y) as number, gives: "same", build: select },
  number: {
    arity: 1,
    js: (x) => x as number,
    gives: "same",
    build: (e, args) => {
      const v = e.value(first(args));
      return "constant" in v || v.type.dtype !== "bool" ? v : e.float(first(args));
    },
  },
  truth: { arity: 1, js: bit, gives: "bool", build: (e, args) => e.truth(first(args)) },

  toI32: { arity: 1, js: (x) => (x as number) | 0, gives: "i32", build: (e, args) => e.int(first(args)) },
  toU32: { arity: 1, js: (x) => (x as number) >>> 0, gives: "u32", build: (e, args) => e.word(first(args)) },
  bitAnd: bits("and", (x, y) => (x as number) & (y as number)),
  bitOr: bits("or", (x, y) => (x as number) | (y as number)),
  bitXor: bits("xor", (x, y) => (x as number) ^ (y as number)),
  bitNot: bits("not", (x) => ~(x as number), 1),
  shl: bits("shiftLeft", (x, y) => (x as number) << (y as number)),
  shr: bits("shiftRight", (x, y) => (x as number) >> (y as number)),
  ushr: {
    arity: 2,
    js: (x, y) => (x as number) >>> (y as number),
    gives: "u32",
    build: (e, args) =>
      e.add(
        "shiftRight",
        args.map((a) => e.word(a)),
      ),
  },
  imul: bits("mul", Math.imul),
  clz32: { arity: 1, js: Math.clz32, gives: "i32", build: leadingZeros },

  abs: {
    arity: 1,
    js: Math.abs,
    gives: "same",
    build: (e, args) => onCommon(e, "abs", args),
  },
  sign: { arity: 1, js: Math.sign, gives: "same", build: (e, args) => onCommon(e, "sign", args) },
  min: extreme("min", Math.min),
  max: extreme("max", Math.max),
  floor: rounding("floor", Math.floor, floorQuotient),
  ceil: rounding("ceil", Math.ceil),
  trunc: rounding("trunc", Math.trunc, (e, args, t) => e.quotient(args, t)),
  round: rounding("round", Math.round, undefined, (e, args) => roundHalfUp(e, e.float(first(args)))),
  fround: { arity: 1, js: Math.fround, gives: "number", build: (e, args) => e.float(first(args)) },

  acos: float("acos", Math.acos),
  acosh: composed(Math.acosh, acosh, 1),
  asin: float("asin", Math.asin),
  asinh: composed(Math.asinh, asinh, 1),
  atan: float("atan", Math.atan),
  atan2: float("atan2", Math.atan2, 2),
  atanh: composed(Math.atanh, atanh, 1),
  cbrt: composed(Math.cbrt, cbrt, 1),
  cos: float("cos", Math.cos),
  cosh: float("cosh", Math.cosh),
  exp: float("exp", Math.exp),
  expm1: float("expm1", Math.expm1),
  hypot: composed(Math.hypot, hypot),
  log: float("log", Math.log),
  log10: composed(Math.log10, log10, 1),
  log1p: float("log1p", Math.log1p),
  log2: float("log2", Math.log2),
  sin: float("sin", Math.sin),
  sinh: float("sinh", Math.sinh),
  sqrt: float("sqrt", Math.sqrt),
  tan: float("tan", Math.tan),
  tanh: float("tanh", Math.tanh),

  isNaN: test(Number.isNaN, 0, (e, x) => e.add("isNaN", [x])),
  isFinite: test(Number.isFinite, 1, finite),
  isInteger: test(Number.isInteger, 1, (e, x) =>
    e.add("and", [finite(e, x), e.add("equal", [x, e.add("trunc", [x])])]),
  ),
};
