import * as s from "../../../src/index.ts";
import type { Value } from "./cases.ts";

export type Tensor = s.Tensor;
export type Arg = Value<Tensor>;
export type Kwargs = Readonly<Record<string, Arg>>;

/** An operator of PyTorch in our DSL: `x` is the first argument, then the positional and the named ones. */
export type TorchOperator = (x: Tensor, args: readonly Arg[], kw: Kwargs) => Tensor | readonly Tensor[];

const isTensor = (v: Arg): v is Tensor =>
  typeof v === "object" && v !== null && !Array.isArray(v) && "dtype" in (v as object);

export function tensor(v: Arg): Tensor {
  if (!isTensor(v)) throw new Error(`expected a tensor, not ${String(v)}`);
  return v;
}
export const optional = (v: Arg): Tensor | undefined => (isTensor(v) ? v : undefined);
export const operand = (v: Arg): Tensor | number => (isTensor(v) ? v : number(v));

export function number(v: Arg, otherwise?: number): number {
  if (typeof v === "boolean") return Number(v);
  if (typeof v === "number") return v;
  if ((v === undefined || v === null) && otherwise !== undefined) return otherwise;
  throw new Error(`expected a number, not ${String(v)}`);
}
export const numbers = (v: Arg): number[] => (Array.isArray(v) ? (v as number[]) : [number(v)]);
export const shape = (x: Tensor): number[] => [...(x.shape as readonly number[])];
export const count = (x: Tensor): number => shape(x).reduce((n, d) => n * d, 1);

/** Axes from the front. A scalar has none, though PyTorch lets it be reduced along axis 0 or -1. */
export const axesOf = (x: Tensor, dims: Arg): number[] => {
  if (dims === undefined || dims === null) return shape(x).map((_, i) => i);
  const list = x.rank === 0 ? [] : numbers(dims).map((d) => (d < 0 ? d + x.rank : d));
  return list.length === 0 ? shape(x).map((_, i) => i) : list;
};
export const axisOf = (x: Tensor, dim: Arg, otherwise = 0): number => {
  const d = number(dim, otherwise);
  return d < 0 ? d + x.rank : d;
};
export const flat = (x: Tensor): Tensor => s.reshape(x, [count(x)]);
