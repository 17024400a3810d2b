import type { SizeExpr } from "../../src/manifest/uniform.ts";
import { property } from "./js-text.ts";

/** How tightly an operand must bind: a sum may stand anywhere, a factor not beside `*`. */
const sum = 1;
const product = 2;
const operand = 3;

type Op = Exclude<SizeExpr, number | string>[0];
type Write = (a: SizeExpr, b: SizeExpr) => readonly [text: string, binds: number];

const call =
  (name: string): Write =>
  (a, b) => [`Math.${name}(${sizeJs(a)}, ${sizeJs(b)})`, operand];
const quotient =
  (name: string): Write =>
  (a, b) => [`Math.${name}(${sizeJs(a, product)} / ${sizeJs(b, operand)})`, operand];

const writers: Readonly<Record<Op, Write>> = {
  add: (a, b) => [`${sizeJs(a, sum)} + ${sizeJs(b, product)}`, sum],
  sub: (a, b) => [`${sizeJs(a, sum)} - ${sizeJs(b, product)}`, sum],
  mul: (a, b) => [`${sizeJs(a, product)} * ${sizeJs(b, operand)}`, product],
  mod: (a, b) => [`${sizeJs(a, product)} % ${sizeJs(b, operand)}`, product],
  ceil: quotient("ceil"),
  floor: quotient("floor"),
  max: call("max"),
  min: call("min"),
};

/**
 * A size as JavaScript over `d`, the call's sizes. Sizes are integers below 2^53, where doubles are exact and so are the
 * quotients that are rounded here.
 */
export function sizeJs(e: SizeExpr, binds = 0): string {
  if (typeof e === "number") return e < 0 && binds > sum ? `(${e})` : String(e);
  if (typeof e === "string") return `d${property(e)}`;
  const [op, a, b] = e;
  const [text, own] = writers[op](a, b);
  return own < binds ? `(${text})` : text;
}

/** JavaScript over sizes as people write it: `rows`, `cols / 4`, `ceil(n / 256)`. */
export const forPeople = (js: string): string => js.replace(/\bd\.(?=[A-Za-z_$])/g, "").replace(/\bMath\./g, "");

export const sizeText = (e: SizeExpr): string => forPeople(sizeJs(e));
