import { fail } from "../base/diagnostic.ts";
import { type GraphBuilder, makeGraph, type Node } from "../ir/graph.ts";
import { resolveAxes } from "./axes.ts";
import { enter, leave } from "./enter.ts";
import { readOptions } from "./options.ts";
import type { ReduceOptions } from "./reductions.ts";
import { describe, exactly, isTensor, lift, node, type Tensor, type TensorLike, wrap } from "./tensor.ts";

type Each<S, T> = { readonly [K in keyof S]: T };

/** What {@link reduce} combines, and how. */
export interface CombineOptions<S extends readonly Tensor[]> extends ReduceOptions {
  /** For each state the value that leaves any other unchanged when combined with it. */
  readonly identity: Each<S, number | boolean>;
  /**
   * Joins two states, given and returned as arrays of scalars. Must be associative and commutative: the order in which
   * elements meet is free.
   */
  readonly combine: (a: Each<S, Tensor>, b: Each<S, Tensor>) => Each<S, TensorLike>;
}

/**
 * Reduces tensors of one shape together over axes by a combine function of your own. The tensors are the parts of a state:
 * Welford's mean and variance take three, an argmax two. One result for each.
 */
export function reduce<const S extends readonly Tensor[]>(
  states: S,
  options: CombineOptions<S>,
): { -readonly [K in keyof S]: Tensor } {
  return enter((b) => {
    if (!Array.isArray(states) || states.length === 0) {
      fail(
        "not-a-tensor",
        `reduce takes an array of tensors, not ${Array.isArray(states) ? "an empty one" : describe(states)}`,
        {
          hint: "write reduce([x], { combine: ([a], [b]) => [a.add(b)], identity: [0] })",
        },
      );
    }
    const args = (states as readonly Tensor[]).map((x, i) => node("reduce", x, `element ${i}`));
    const o = readOptions<
      CombineOptions<readonly Tensor[]>,
      Record<"axes" | "identity" | "combine", undefined> & { keepDims: boolean }
    >("reduce", options as unknown as CombineOptions<readonly Tensor[]>, {
      axes: undefined,
      keepDims: false,
      identity: undefined,
      combine: undefined,
    });
    const { combine, identity } = o;
    if (typeof combine !== "function" || !Array.isArray(identity) || identity.length !== args.length) {
      fail("bad-option", `reduce needs combine, a function, and identity, ${args.length} numbers`, {
        hint: `write { combine: (a, b) => […], identity: [${args.map(() => 0).join(", ")}] }`,
      });
    }
    const made = b.add("reduce", args, {
      axes: resolveAxes("reduce", o.axes, args[0]?.type.shape.length as number),
      keepDims: o.keepDims,
      combine: combineGraph(b, args, combine),
      identity: identity.map((v: number | boolean, i) => exactly("reduce", v, (args[i] as Node).type.dtype)),
    });
    return b.results(made).map(wrap) as { -readonly [K in keyof S]: Tensor };
  });
}

/** The scalar graph that `combine` traces to: a0…, b0… to r0…. */
function combineGraph(
  b: GraphBuilder,
  states: readonly Node[],
  combine: (a: readonly Tensor[], b: readonly Tensor[]) => readonly TensorLike[],
) {
  const inputs = (prefix: string): Node[] =>
    states.map((s, i) => b.input(`${prefix}${i}`, { dtype: s.type.dtype, shape: [] }));
  const [left, right] = [inputs("a"), inputs("b")];
  const made = leave(() => combine(left.map(wrap), right.map(wrap)));
  if (!Array.isArray(made) || made.length !== states.length) {
    fail("bad-combine", `reduce: combine returned ${Array.isArray(made) ? `${made.length} values` : describe(made)}`, {
      cause: `the combination of two states is a state of ${states.length}`,
      hint: `return an array of ${states.length}`,
    });
  }
  const results = made.map((r: TensorLike, i) =>
    isTensor(r) || (typeof r !== "number" && typeof r !== "boolean")
      ? node("reduce", r as Tensor, `result ${i} of combine`)
      : lift("reduce", b, r, (states[i] as Node).type.dtype),
  );
  const graph = makeGraph(
    [...left, ...right],
    results.map((r, i) => ({ name: `r${i}`, node: r })),
  );
  const stranger = graph.nodes.find((n) => n.op === "input" && !graph.inputs.includes(n));
  if (stranger) {
    fail("foreign-tensor", `reduce: combine uses the tensor ${JSON.stringify(stranger.attrs.name)} from outside`, {
      cause: "a combine function sees the two states only",
      hint: "pass the tensor as one more state, or use a plain number",
    });
  }
  return graph;
}
