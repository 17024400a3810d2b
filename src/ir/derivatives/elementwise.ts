import type { Derivative } from "../op.ts";
import { activationDerivatives } from "./elementwise-activation.ts";
import { arithmeticDerivatives } from "./elementwise-arith.ts";
import { mathDerivatives } from "./elementwise-math.ts";

/** Rows whose result is whole numbers, truth values or bits: a small change of an argument changes nothing. */
const constant = [
  ...["sign", "floor", "ceil", "round", "trunc"],
  ...["equal", "notEqual", "less", "lessEqual", "greater", "greaterEqual", "isNaN", "isInf"],
  ...["and", "or", "xor", "not", "shiftLeft", "shiftRight", "bitcast"],
];

/** Derivatives of elementwise rows. */
export const elementwiseDerivatives: Readonly<Record<string, Derivative | null>> = {
  ...arithmeticDerivatives,
  ...mathDerivatives,
  ...activationDerivatives,
  ...Object.fromEntries(constant.map((name) => [name, null])),
};
