import { leave } from "../../frontend/enter.ts";
import type { Tensor } from "../../frontend/tensor.ts";
import type { Scalar } from "../scalar.ts";
import type { ScalarTree } from "../tree/each.ts";
import { mapTensors } from "../tree/leaves.ts";

/**
 * How much of the weight decay each parameter gets: a tree like the parameters of booleans and numbers, which are part of
 * the program, and 0-d tensors, which are data; one tensor with an element for each parameter in the order of the tree, data
 * too; or a function of a parameter's path (keys joined by dots) and tensor.
 */
export type Mask = ScalarTree | ((path: string, param: Tensor) => Scalar | boolean);

/** The usual mask: decay for matrices and what has more axes, none for biases and the gains of norms. */
export const decayMatrices = (_path: string, param: { readonly shape: readonly unknown[] }): boolean =>
  param.shape.length >= 2;

export const maskTree = (params: unknown, mask: Mask): ScalarTree =>
  typeof mask === "function" ? leave(() => mapTensors(params, (path, x) => mask(path, x)) as ScalarTree) : mask;
