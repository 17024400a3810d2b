import { halfRound } from "../../src/base/half.ts";
import { compile, type DType, type KernelDefinition, type KernelDType, type Program } from "../../src/index.ts";
import { ulpOf } from "../support/ulp.ts";
import { randomOf } from "../support/values.ts";
import type { Draw, KernelCase, Sizes, Values } from "./cases/case.ts";

/** The definition's body as an ordinary program. */
export function programOf(kernel: KernelDefinition, dtype: KernelDType): Program {
  return compile(kernel.inputs(dtype) as never, kernel.body as never, {
    donate: kernel.donate as never,
  }) as unknown as Program;
}

/** Rounds to what a tensor of the dtype can hold; integers are drawn as floats. */
const held: Readonly<Record<DType, (x: number) => number>> = {
  f32: Math.fround,
  f16: halfRound,
  i32: Math.floor,
  u32: Math.floor,
  bool: Math.floor,
};

const usual: Draw = [-2, 2];

/** Elements of an input tensor as a case draws them. */
export function drawn(draw: Draw | undefined, dtype: DType, n: number, d: Sizes, random: () => number): Float64Array {
  const given = draw ?? usual;
  const next =
    typeof given === "function"
      ? (i: number) => given(i, random, d)
      : () => given[0] + random() * (given[1] - given[0]);
  return Float64Array.from({ length: n }, (_, i) => held[dtype](next(i)));
}

/** A generator of its own for each kernel and call. */
export const randomFor = (name: string, call: number): (() => number) =>
  randomOf([...name].reduce((h, c) => (h * 31 + c.charCodeAt(0)) | 0, call + 1));

/** The first element that is not the expected one within the case's tolerance and the rounding of the dtype, as text. */
function mismatch(
  c: KernelCase,
  dtype: DType,
  actual: ArrayLike<number>,
  expected: Float64Array,
  d: Sizes,
  least = 2e-6,
): string | undefined {
  if (actual.length !== expected.length) return `${actual.length} elements instead of ${expected.length}`;
  const tolerance = Math.max(least, c.tolerance?.(d) ?? 0);
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i] as number, expected[i] as number];
    const exact = dtype === "i32" || dtype === "u32";
    const rounding = dtype === "f16" ? ulpOf("f16", e) : 0;
    const allowed = exact ? 0 : tolerance * (1 + Math.abs(e)) + rounding;
    if (Math.abs(a - e) <= allowed || (Number.isNaN(a) && Number.isNaN(e))) continue;
    return `element ${i} of ${expected.length} is ${a} instead of ${e} (off by ${Math.abs(a - e).toExponential(1)})`;
  }
  return undefined;
}

/** Every expected output against what was computed; the first difference as text. */
export function firstMismatch(
  c: KernelCase,
  outputs: readonly { readonly name: string; readonly dtype: DType; readonly data: ArrayLike<number> }[],
  expected: Values,
  d: Sizes,
): string | undefined {
  const names = outputs.map((o) => o.name).sort();
  const wanted = Object.keys(expected).sort();
  if (String(names) !== String(wanted)) return `outputs are ${names}, the reference gives ${wanted}`;
  for (const { name, dtype, data } of outputs) {
    const wrong = mismatch(c, dtype, data, expected[name] as Float64Array, d);
    if (wrong) return `${name}: ${wrong}`;
  }
  return undefined;
}
