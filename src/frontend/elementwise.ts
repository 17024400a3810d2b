import { fail } from "../base/diagnostic.ts";
import type { Kernel } from "../manifest/kernel-module.ts";
import type { ElementwiseBody } from "./body-data.ts";
import { anyTensor, notBuilt, readArguments, results } from "./body-tensors.ts";
import { enter } from "./enter.ts";
import { describe, type Tensor, type TensorLike } from "./tensor.ts";

/** Numbers as their type rather than as literals: what `0` in a body gives is a number. */
export type Plain<T> = T extends number
  ? number
  : T extends boolean
    ? boolean
    : { -readonly [K in keyof T]: Plain<T[K]> };

/** The same form with a tensor for each number. */
export type TensorsOf<T> = T extends number | boolean ? Tensor : { -readonly [K in keyof T]: TensorsOf<T[K]> };

/** The same form with a tensor, or a number, for each number. */
export type TensorsFor<T> = T extends number | boolean ? TensorLike : { readonly [K in keyof T]: TensorsFor<T[K]> };

/** Numbers and truth values in objects and arrays; an array that a function gives is one of known length. */
export type Numbers = number | boolean | [] | readonly Numbers[] | { readonly [key: string]: Numbers };

/**
 * A function of numbers that is one of tensors too, element by element. Exported from a kernel file it is a kernel as well: a
 * bundler plugin puts the generated one in its place.
 */
export interface Elementwise<A extends readonly unknown[], R> extends Omit<Kernel, "name"> {
  /** On numbers: the function itself. */
  (...args: A): Plain<R>;
  /** On tensors: each result has the shape that the arguments broadcast to. */
  (...args: { [K in keyof A]: TensorsFor<A[K]> }): TensorsOf<R>;
}

const made = new WeakMap<object, ElementwiseBody | undefined>();

/** What a build read of an elementwise function; undefined where it read nothing. */
export const elementwiseBody = (fn: object): ElementwiseBody | undefined => made.get(fn);
export const isElementwise = (v: unknown): v is Elementwise<readonly unknown[], unknown> =>
  typeof v === "function" && made.has(v);

/**
 * A function of plain TypeScript arithmetic on numbers that works on tensors too, element by element, as one kernel or part of one.
 * A build reads it from the source; it runs as it is on numbers.
 *
 * On tensors the arguments broadcast, and numbers may stand among them. Numbers are f32: a result is f16 where every
 * tensor of floating point is, rounded once at the end. `x | 0` makes an i32 and `x >>> 0` a u32, and an i32 or u32 tensor is
 * such an integer; what is computed from integers of one such dtype is one and wraps, but for `/`. A comparison gives a bool.
 * Where JavaScript goes by 64 bits, dtypes show: an f32 beyond 2^31 saturates by `| 0`, products below `| 0` are exact.
 *
 * @param fn arithmetic, comparisons, `?:`, `&&`, `||`, `!`, `Math`, `const` and `let`, `if`, loops over constants, calls of such
 * functions; gives a number, a boolean, or an object or array of these
 * @param body what the build read: leave it out
 * @throws SinterError `not-built` when called on tensors in a program that was not built by `sinter build` or a plugin
 */
export function elementwise<A extends readonly unknown[], R extends Numbers | object>(
  fn: (...args: A) => R,
  body?: ElementwiseBody,
): Elementwise<A, R> {
  if (typeof fn !== "function") {
    enter(() =>
      fail("bad-option", `elementwise takes a function, not ${describe(fn)}`, {
        hint: "write elementwise((x: number) => x * x)",
      }),
    );
  }
  const call = (...args: readonly unknown[]): unknown => {
    if (!anyTensor(args)) return fn(...(args as unknown as A));
    return enter((b) => {
      if (!body) return notBuilt("elementwise", fn.name);
      return results(body, readArguments(b, fn.name || "the elementwise function", args, body.params, body.inputs));
    });
  };
  Object.defineProperties(call, { name: { value: fn.name }, length: { value: fn.length } });
  made.set(call, body);
  return call as Elementwise<A, R>;
}
