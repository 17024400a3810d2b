import { fail } from "../base/diagnostic.ts";
import { isFloat } from "../base/dtype.ts";
import { pullback } from "../ir/autodiff.ts";
import { shapeText } from "../ir/dim.ts";
import type { GraphBuilder } from "../ir/graph.ts";
import { enter, leave } from "./enter.ts";
import { readOptions } from "./options.ts";
import { describe, isTensor, type Tensor, wrap } from "./tensor.ts";
import { flatten, mapTree } from "./tree.ts";

/** Options of {@link grad} and {@link valueAndGrad}. */
export interface GradOptions {
  /** The function returns `[loss, aux]`; `aux` is any value, handed through without a derivative. */
  readonly aux?: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: parameters without an annotation take the type of what the result is called with
type Loose = any;

/** Gives the loss and its gradient, a tree of the type of the first argument. */
export type ValueAndGrad<P, A extends readonly unknown[]> = <Q extends P>(
  params: Q,
  ...rest: A
) => { readonly value: Tensor; readonly grad: Q };
/** As {@link ValueAndGrad}, with what the function hands through. */
export type ValueAndGradAux<P, A extends readonly unknown[], X> = <Q extends P>(
  params: Q,
  ...rest: A
) => { readonly value: Tensor; readonly grad: Q; readonly aux: X };
/** The gradient of a function by its first argument, a tree shaped like it. */
export type Grad<P, A extends readonly unknown[]> = <Q extends P>(params: Q, ...rest: A) => Q;
/** As {@link Grad}, with what the function hands through. */
export type GradAux<P, A extends readonly unknown[], X> = <Q extends P>(
  params: Q,
  ...rest: A
) => { readonly grad: Q; readonly aux: X };

/**
 * The function that computes `fn` and its gradient: `valueAndGrad((p, x) => loss)(params, x)` gives `{ value, grad }`. `fn`
 * returns a scalar of a floating-point dtype. The gradient is by the first argument, a tree of floating-point tensors, as
 * it was passed: tensors that `fn` sees in another way, through further arguments or its closure, are constants. What
 * the loss does not depend on has a gradient of zeros. Gradients are tensors like any other: `valueAndGrad` can be nested.
 *
 * @throws SinterError `bad-loss`, `bad-parameter`, `not-differentiable`
 */
export function valueAndGrad<P = Loose, A extends readonly unknown[] = readonly Loose[]>(
  fn: (params: P, ...rest: A) => Tensor,
  options?: { readonly aux?: false },
): ValueAndGrad<P, A>;
/** With `aux: true` the function returns `[loss, aux]`, and the result has `aux`, whatever it is, besides. */
export function valueAndGrad<P = Loose, A extends readonly unknown[] = readonly Loose[], X = unknown>(
  fn: (params: P, ...rest: A) => readonly [Tensor, X],
  options: { readonly aux: true },
): ValueAndGradAux<P, A, X>;
/** Both signatures at once. */
export function valueAndGrad(
  fn: (params: unknown, ...rest: unknown[]) => unknown,
  options?: GradOptions,
): (params: unknown, ...rest: unknown[]) => object {
  return (params, ...rest) => differentiate("valueAndGrad", fn, options, params, rest);
}

/** As {@link valueAndGrad}, but the function gives the gradient alone. */
export function grad<P = Loose, A extends readonly unknown[] = readonly Loose[]>(
  fn: (params: P, ...rest: A) => Tensor,
  options?: { readonly aux?: false },
): Grad<P, A>;
/** With `aux: true` the function returns `[loss, aux]`, and the result is `{ grad, aux }`. */
export function grad<P = Loose, A extends readonly unknown[] = readonly Loose[], X = unknown>(
  fn: (params: P, ...rest: A) => readonly [Tensor, X],
  options: { readonly aux: true },
): GradAux<P, A, X>;
/** Both signatures at once. */
export function grad(
  fn: (params: unknown, ...rest: unknown[]) => unknown,
  options?: GradOptions,
): (params: unknown, ...rest: unknown[]) => unknown {
  return (params, ...rest) => {
    const made = differentiate("grad", fn, options, params, rest);
    return "aux" in made ? { grad: made.grad, aux: made.aux } : made.grad;
  };
}

function differentiate(
  op: string,
  fn: (params: unknown, ...rest: unknown[]) => unknown,
  options: GradOptions | undefined,
  params: unknown,
  rest: readonly unknown[],
): { value: Tensor; grad: unknown; aux?: unknown } {
  return enter((b) => {
    if (typeof fn !== "function") {
      fail("bad-option", `${op} takes the function to differentiate, not ${describe(fn)}`, {
        hint: `write ${op}((params) => loss)(params)`,
      });
    }
    const { aux } = readOptions(op, options, { aux: false });
    const leaves = parameters(op, b, params);
    // Nodes of their own for the parameters: another use of the same tensors is a constant.
    const inside = mapTree(params, isTensor, root, (path) => leaves.get(path)?.inside);
    const made = leave(() => fn(inside, ...rest));
    const value = lossOf(op, made, aux);
    const wrt = [...leaves.values()].map((l) => l.inside.node);
    const cts = pullback(b, [value.node], [b.const(1, value.dtype)], wrt);
    const grads = new Map([...leaves.keys()].map((path, i) => [path, cts[i]]));
    const grad = mapTree(params, isTensor, root, (path, p) => wrap(grads.get(path) ?? b.const(0, p.dtype, p.shape)));
    return aux ? { value, grad, aux: (made as readonly unknown[])[1] } : { value, grad };
  });
}

const root = "params";

/** By path: the tensor that stands for a parameter inside the function. */
function parameters(op: string, b: GraphBuilder, params: unknown): Map<string, { readonly inside: Tensor }> {
  const what = {
    tree: `the first argument of ${op}'s function`,
    leaf: "a tensor",
    hint: "give a tree of tensors; pass what is none as a further argument",
  };
  return new Map(
    flatten(params, isTensor, root, what).map(({ path, value }) => {
      if (!isFloat(value.dtype)) {
        fail("bad-parameter", `${op}: the parameter ${JSON.stringify(path)} is ${value}`, {
          cause: "only f32 and f16 tensors have a gradient",
          hint: "pass it as a further argument of the function, which is not differentiated",
        });
      }
      return [path, { inside: wrap(b.add("reshape", [value.node], { shape: value.shape })) }];
    }),
  );
}

function lossOf(op: string, made: unknown, aux: boolean): Tensor {
  const refuse = (message: string, cause: string, hint: string): never =>
    fail("bad-loss", `${op}: ${message}`, { cause, hint });
  if (made instanceof Promise)
    refuse(
      "the function returned a promise",
      "it is called once and its result is read at once",
      "make it synchronous",
    );
  if (aux && !(Array.isArray(made) && made.length === 2))
    refuse(`the function returned ${describe(made)}`, "with aux: true it returns a pair", "return [loss, aux]");
  const loss = aux ? (made as readonly unknown[])[0] : made;
  if (!isTensor(loss))
    return refuse(`the loss is ${describe(loss)}`, "it must be a tensor", "return [loss, aux] only with { aux: true }");
  if (loss.rank > 0)
    refuse(`the loss has shape ${shapeText(loss.shape)}`, "a gradient is that of a scalar", "sum it or take its mean");
  if (!isFloat(loss.dtype))
    refuse(`the loss is ${loss}`, "only f32 and f16 have a derivative", 'compute it in floating point: cast(x, "f32")');
  return loss;
}
