import { constant, type Namespace, type Value } from "./value.ts";

const builtin = (op: string, name: string): Value => ({ kind: "builtin", op, name });

const mathConstants = ["E", "LN10", "LN2", "LOG10E", "LOG2E", "PI", "SQRT1_2", "SQRT2"] as const;

/** Functions of Math: each is an operation of the same name. */
const mathFunctions = [
  ...["abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clz32", "cos", "cosh"],
  ...["exp", "expm1", "floor", "fround", "hypot", "imul", "log", "log10", "log1p", "log2", "max", "min", "pow"],
  ...["round", "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trunc"],
];

const numberConstants = [
  ...["EPSILON", "MAX_SAFE_INTEGER", "MAX_VALUE", "MIN_SAFE_INTEGER", "MIN_VALUE"],
  ...["NEGATIVE_INFINITY", "NaN", "POSITIVE_INFINITY"],
] as const;
const numberFunctions = ["isFinite", "isInteger", "isNaN"];

function namespace(name: string, members: ReadonlyMap<string, Value>): Namespace {
  return { kind: "namespace", name, member: (key) => members.get(key), names: () => [...members.keys()] };
}

const constants = (of: object, names: readonly string[]): [string, Value][] =>
  names.map((name) => [name, constant((of as Readonly<Record<string, number>>)[name] as number)]);
const functions = (of: string, names: readonly string[]): [string, Value][] =>
  names.map((name) => [name, builtin(name, `${of}.${name}`)]);

/** Global names that bodies may use; what a file declares itself comes first. */
export const globals: ReadonlyMap<string, Value> = new Map<string, Value>([
  ["Math", namespace("Math", new Map([...constants(Math, mathConstants), ...functions("Math", mathFunctions)]))],
  ["NaN", constant(Number.NaN)],
  ["Infinity", constant(Number.POSITIVE_INFINITY)],
  ["isNaN", builtin("isNaN", "isNaN")],
  ["isFinite", builtin("isFinite", "isFinite")],
  ["Boolean", builtin("truth", "Boolean")],
]);

/** `Number`, which is a function with members. */
export const numberFunction: Value = builtin("number", "Number");
export const numberNamespace = namespace(
  "Number",
  new Map([...constants(Number, numberConstants), ...functions("Number", numberFunctions)]),
);
