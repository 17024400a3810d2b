import { dim } from "../ir/dim.ts";
import type { BodyInput, ValueTree } from "./body-data.ts";
import { notBuilt } from "./body-tensors.ts";
import { defineKernel, type FloatSpec, type KernelDefinition } from "./define-kernel.ts";
import { elementwiseBody, isElementwise } from "./elementwise.ts";
import { isReduction, reductionBody } from "./reduction.ts";
import { bool, type TensorSpec } from "./spec.ts";
import { isTensor, type Tensor } from "./tensor.ts";
import { flatten } from "./tree.ts";

/** A function of plain arithmetic, such as a kernel file may export. */
export type BodyFunction = (...args: never) => unknown;

export const isBodyFunction = (v: unknown): v is BodyFunction => isElementwise(v) || isReduction(v);

type Specs = Record<string, TensorSpec>;

/**
 * A function of plain arithmetic as a kernel of its own. An elementwise function takes tensors of one axis, `n`, named as its
 * parameters. A reduction takes tensors of `rows` and `cols` and reduces each row. A lone result is named `y`; those of an object
 * have its keys, those of an array are `out0`, `out1`, …; one named as an input is gets `Out` after its name.
 *
 * @throws SinterError `not-built` when no build has read the function's source
 */
export function kernelOf(name: string, fn: BodyFunction): KernelDefinition {
  const rows = isReduction(fn);
  const body = rows ? reductionBody(fn) : elementwiseBody(fn);
  if (!body) return notBuilt(rows ? "reduction" : "elementwise", name);
  const shape = rows ? [dim("rows", { hint: 1024 }), dim("cols", { hint: 1024 })] : [dim("n", { hint: 1 << 20 })];
  const inputs = (float: FloatSpec): Specs =>
    Object.fromEntries(body.inputs.map((i) => [i.name, i.bool ? bool(...shape) : float(...shape)]));
  const call = fn as unknown as (...args: readonly unknown[]) => unknown;
  return defineKernel<Specs>({ name, inputs }, (given) => {
    const args = body.params.map((p) => argument(p, body.inputs, given as Readonly<Record<string, Tensor>>));
    return named(rows ? call(...args, { axes: -1 }) : call(...args), new Set(Object.keys(given)));
  }) as unknown as KernelDefinition;
}

/** What a parameter gets: tensors in the form in which it takes them. */
function argument(tree: ValueTree, inputs: readonly BodyInput[], given: Readonly<Record<string, Tensor>>): unknown {
  if (typeof tree === "number") return given[(inputs[tree] as BodyInput).name];
  return Object.fromEntries(Object.entries(tree).map(([key, e]) => [key, argument(e, inputs, given)]));
}

function named(result: unknown, taken: ReadonlySet<string>): Record<string, Tensor> {
  const leaves = flatten(result, isTensor, "y", { tree: "the result", leaf: "a tensor", hint: "return numbers" });
  const out: Record<string, Tensor> = {};
  for (const { path, value } of leaves) {
    const own = /^\d/.test(path) ? `out${path}` : path;
    let name = own.replaceAll(".", "_");
    while (taken.has(name) || Object.hasOwn(out, name)) name += "Out";
    out[name] = value;
  }
  return out;
}
