import { fail } from "../base/diagnostic.ts";
import { shapeEqual } from "../ir/dim.ts";
import type { Graph, GraphBuilder, GraphOutput, Node } from "../ir/graph.ts";
import { enter, leave } from "./enter.ts";
import { bodyGraph, inputsLike, mark, tensorsIn, withTensors } from "./grad-body.ts";
import { describe, isTensor, type Tensor, wrap } from "./tensor.ts";
import { nextKey } from "./trace.ts";
import { isBranch } from "./tree.ts";

/**
 * The same function, computed again in a backward pass: only its arguments are kept until then, and what it takes from its
 * closure, not what it makes on the way. It takes and returns anything; the tensors in it may be in trees.
 */
export function checkpoint<A extends readonly unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
  return (...args) =>
    enter((b) => {
      const call = traced(b, "checkpoint", fn, args);
      const captured: Node[] = [];
      const body = bodyGraph(call, captured);
      return call.finish({ body, recompute: true, key: nextKey() }, captured);
    });
}

/** What a function with a gradient of its own was called with and gave. */
export interface GradientContext<A, R> {
  readonly args: A;
  readonly result: R;
}

/**
 * `fn` with a gradient of its own. `backward` gets the cotangent of the result, a tree like it, with the arguments and the
 * result; it returns an array with, for each argument, its cotangent: a tree of tensors like the argument, or undefined or
 * null where it is zero. Tensors from a closure are constants to it: a loss that depends on a parameter through one is refused.
 *
 * @throws SinterError `bad-gradient` when what `backward` returns does not fit the arguments
 */
export function customGradient<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  backward: (cotangent: R, context: GradientContext<A, R>) => readonly unknown[],
): (...args: A) => R {
  return (...args) =>
    enter((b) => {
      if (typeof backward !== "function") {
        fail("bad-option", `customGradient takes the gradient as a second function, not ${describe(backward)}`, {
          hint: "write customGradient(fn, (cotangent, { args }) => [cotangents of the arguments])",
        });
      }
      const call = traced(b, "customGradient", fn, args);
      const results = inputsLike(b, "r", tensorsIn(call.result));
      const cotangents = inputsLike(b, "c", results);
      const context = {
        args: withTensors(args, call.inputs) as unknown as A,
        result: withTensors(call.result, results) as R,
      };
      const given = leave(() => backward(withTensors(call.result, cotangents) as R, context));
      const captured: Node[] = [];
      bodyGraph(call, captured);
      const others = [...results, ...cotangents].map((t) => t.node);
      const derivative = bodyGraph({ ...call, others, results: gradients(b, args, given) }, captured);
      // The derivative may have captured more, and both take the same.
      return call.finish({ body: bodyGraph(call, captured), derivative }, captured);
    });
}

/** A call of a user's function on inputs that stand for the tensors in its arguments. */
function traced<A extends readonly unknown[], R>(b: GraphBuilder, op: string, fn: (...args: A) => R, given: A) {
  if (typeof fn !== "function") {
    fail("bad-option", `${op} takes a function, not ${describe(fn)}`, { hint: `write ${op}((x) => …)(x)` });
  }
  const tensors = tensorsIn(given);
  const start = mark(b);
  const inputs = inputsLike(b, "a", tensors);
  const result = leave(() => fn(...(withTensors(given, inputs) as unknown as A)));
  if (result instanceof Promise) {
    fail("bad-option", `${op}: the function returned a promise`, {
      cause: "it is called once and its result is read at once",
      hint: "make it synchronous",
    });
  }
  const made = tensorsIn(result);
  if (made.length === 0) {
    fail("bad-option", `${op}: the function returned no tensor but ${describe(result)}`, {
      hint: "return a tensor, or an object or array of tensors",
    });
  }
  return {
    mark: start,
    args: inputs.map((t) => t.node),
    inputs,
    result,
    results: made.map((t, i): GraphOutput => ({ name: `r${i}`, node: t.node })),
    finish(attrs: { readonly body: Graph } & Readonly<Record<string, unknown>>, captured: readonly Node[]): R {
      const node = b.add("call", [...tensors.map((t) => t.node), ...captured], attrs);
      return withTensors(result, b.results(node).map(wrap)) as R;
    },
  };
}

/** `g<i>` for each tensor of the arguments; zeros where none was given. */
function gradients(b: GraphBuilder, args: readonly unknown[], given: unknown): GraphOutput[] {
  if (!Array.isArray(given) || given.length > args.length) {
    fail(
      "bad-gradient",
      `customGradient: backward returned ${Array.isArray(given) ? `${given.length} values` : describe(given)}`,
      {
        cause: `the function was called with ${args.length} argument${args.length === 1 ? "" : "s"}`,
        hint: "return an array with the cotangent of each argument, undefined for zero",
      },
    );
  }
  const out: GraphOutput[] = [];
  const visit = (arg: unknown, ct: unknown, path: string): void => {
    if (isTensor(arg)) out.push({ name: `g${out.length}`, node: gradientOf(b, arg, ct, path) });
    else if (isBranch(arg)) {
      const none = ct === undefined || ct === null;
      if (!none && !isBranch(ct)) refuse(path, arg, ct);
      for (const [key, e] of Object.entries(arg)) {
        visit(e, none ? ct : (ct as Readonly<Record<string, unknown>>)[key], `${path}.${key}`);
      }
    }
  };
  args.forEach((arg, i) => {
    visit(arg, (given as unknown[])[i], String(i));
  });
  return out;
}

function gradientOf(b: GraphBuilder, arg: Tensor, ct: unknown, path: string): Node {
  if (ct === undefined || ct === null) return b.const(0, arg.dtype, arg.shape);
  if (!isTensor(ct) || ct.dtype !== arg.dtype || !shapeEqual(ct.shape, arg.shape)) return refuse(path, arg, ct);
  return ct.node;
}

const refuse = (path: string, arg: unknown, ct: unknown): never =>
  fail("bad-gradient", `customGradient: the cotangent of argument ${path} is ${describe(ct)}`, {
    cause: `the argument is ${describe(arg)}, and its cotangent has its shape and dtype`,
    hint: "sum over what was broadcast, cast, or return undefined for zero",
  });
