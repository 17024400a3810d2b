import { fail } from "../base/diagnostic.ts";
import type { Kernel } from "../manifest/kernel-module.ts";
import { resolveAxes } from "./axes.ts";
import { literalNumber, type ReductionBody } from "./body-data.ts";
import { combined, inType, stateTypes } from "./body-states.ts";
import { anyTensor, expanded, notBuilt, readArguments, results } from "./body-tensors.ts";
import { Evaluation } from "./body-values.ts";
import type { Numbers, Plain, TensorsFor, TensorsOf } from "./elementwise.ts";
import { enter } from "./enter.ts";
import { readOptions } from "./options.ts";
import type { ReduceOptions } from "./reductions.ts";
import { describe, exactly } from "./tensor.ts";

/**
 * A reduction in plain TypeScript arithmetic. A state is a number, or an object or array of numbers. (`[]` stands beside a
 * state so that an array written out is taken for one of known length.)
 */
export interface ReductionSpec<A extends readonly unknown[], S, R> {
  /** The state of no elements: combined with another it leaves it as it is. */
  readonly init: () => S;
  /** The state of one element. */
  readonly map: (...x: A) => Plain<S> | [];
  /** Two states as one. Must be associative and commutative: the order in which elements meet is free. */
  readonly combine: (a: Plain<S>, b: Plain<S>) => Plain<S> | [];
  /** What is wanted of the last state; by default the state itself. */
  readonly result?: (state: Plain<S>) => R;
}

/** A reduction of arrays of numbers that is one of tensors too. */
export interface Reduction<A extends readonly unknown[], R> extends Omit<Kernel, "name"> {
  /** Over all elements of plain arrays of one length. */
  (...x: { [K in keyof A]: ArrayLike<A[K]> }): Plain<R>;
  /** Over axes of tensors, which broadcast. */
  (...x: [...x: { [K in keyof A]: TensorsFor<A[K]> }, options?: ReduceOptions]): TensorsOf<R>;
}

interface Made {
  readonly body: ReductionBody | undefined;
  /** Parameters of `map`. */
  readonly params: number;
}
const made = new WeakMap<object, Made>();

/** What a build read of a reduction; undefined where it read nothing. */
export const reductionBody = (fn: object): ReductionBody | undefined => made.get(fn)?.body;
export const isReduction = (v: unknown): v is Reduction<readonly unknown[], unknown> =>
  typeof v === "function" && made.has(v);

/**
 * A reduction in plain TypeScript arithmetic: `map` makes a state of each element, `combine` joins states two by two, `result`
 * reads the last one. On plain arrays it runs as it is. On tensors, `f(x, { axes, keepDims })`, it becomes one kernel or part of
 * one: a build reads it from the source. What bodies may hold, and dtypes, are as for {@link elementwise}; states of
 * floating point are f32.
 *
 * @param spec functions of plain arithmetic; `init` gives constants
 * @param body what the build read: leave it out
 * @throws SinterError `not-built` when called on tensors in a program that was not built by `sinter build` or a plugin
 */
export function reduction<
  A extends readonly unknown[],
  S extends number | boolean | object | [],
  R extends Numbers | object = never,
>(spec: ReductionSpec<A, S, R>, body?: ReductionBody): Reduction<A, [R] extends [never] ? Plain<S> : R> {
  if (
    typeof spec !== "object" ||
    spec === null ||
    !(["init", "map", "combine"] as const).every((f) => typeof spec[f] === "function")
  ) {
    enter(() =>
      fail("bad-option", `reduction takes { init, map, combine, result }, not ${describe(spec)}`, {
        hint: "write reduction({ init: () => 0, map: (x: number) => x, combine: (a, b) => a + b })",
      }),
    );
  }
  const params = spec.map.length;
  const call = (...args: readonly unknown[]): unknown => {
    const over = args.slice(0, params);
    if (!anyTensor(over)) return onArrays(spec, over as readonly ArrayLike<unknown>[]);
    return enter(() => {
      if (!body) return notBuilt("reduction", "");
      return onTensors(body, args.slice(0, params), args.slice(params));
    });
  };
  made.set(call, { body, params });
  return call as Reduction<A, [R] extends [never] ? Plain<S> : R>;
}

function onArrays<A extends readonly unknown[], S, R>(
  { init, map, combine, result }: ReductionSpec<A, S, R>,
  arrays: readonly ArrayLike<unknown>[],
): unknown {
  const { length } = arrays[0] ?? [];
  const other = arrays.find((x) => typeof x !== "object" || x === null || x.length !== length);
  if (other !== undefined || arrays.length === 0) {
    enter(() =>
      fail("bad-arguments", `the reduction takes arrays of one length, or tensors; an argument is ${describe(other)}`, {
        hint: "give arrays of numbers, or call it on tensors inside a traced function",
      }),
    );
  }
  let state = init() as Plain<S>;
  for (let i = 0; i < length; i++)
    state = combine(state, map(...(arrays.map((x) => x[i]) as unknown as A)) as Plain<S>) as Plain<S>;
  return result ? result(state) : state;
}

function onTensors(body: ReductionBody, args: readonly unknown[], rest: readonly unknown[]): unknown {
  return enter((b) => {
    if (rest.length > 1) {
      fail("bad-arguments", `the reduction takes ${args.length} tensors and its options`, {
        hint: "write f(x, { axes: -1 })",
      });
    }
    const o = readOptions("reduction", rest[0] as ReduceOptions | undefined, { axes: undefined, keepDims: false });
    const call = readArguments(b, "the reduction", args, body.params, body.inputs);
    const e = new Evaluation(b, body.map, call.values);
    const types = stateTypes(
      body,
      body.map.result.map((id) => e.value(id)),
    );
    const states = body.map.result.map((id, i) => expanded(b, inType(e, id, types[i] as never), call.shape));
    const reduced = b.add("reduce", states, {
      axes: resolveAxes("reduction", o.axes, call.shape.length),
      keepDims: o.keepDims,
      combine: combined(body, types).graph,
      identity: body.identity.map(([x], i) =>
        exactly("reduction", boolOr(literalNumber(x), types[i] as string), types[i] as never),
      ),
    });
    const last = b.results(reduced);
    return results(body.result, { ...call, values: last, shape: (last[0] as (typeof last)[0]).type.shape });
  });
}

const boolOr = (x: number, dtype: string): number | boolean => (dtype === "bool" ? x !== 0 : x);
