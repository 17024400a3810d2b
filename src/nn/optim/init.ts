import { fail } from "../../base/diagnostic.ts";
import { enter } from "../../frontend/enter.ts";
import type { HostTensor, TypedArray } from "../../frontend/host.ts";
import { TensorSpec } from "../../frontend/spec.ts";
import { describe } from "../../frontend/tensor.ts";
import { isSpec, type SpecTree } from "../../frontend/trace.ts";
import { flatten, mapTree } from "../../frontend/tree.ts";
import { type Shape, sizeOf } from "../../ir/dim.ts";

/** The scalars of a state: specs beside specs, else values. */
export type ScalarOf<S, D extends "i32" | "f32" = "i32"> = S extends SpecTree ? TensorSpec<D> : HostTensor;

/** A tree of f32 tensors like another tree: specs for specs, CPU tensors for anything with a dtype and a shape, else arrays. */
export type Filled<S> = S extends TensorSpec
  ? TensorSpec<"f32">
  : S extends { readonly dtype: unknown; readonly shape: unknown }
    ? HostTensor
    : S extends TypedArray
      ? Float32Array
      : { [K in keyof S]: Filled<S[K]> };

/** What a parameter may be when its optimiser's state is made: a spec, a tensor on the CPU or the GPU, or an f32 array. */
type Parameter = TensorSpec | { readonly dtype: string; readonly shape: Shape } | Float32Array;

const isParameter = (v: unknown): v is Parameter =>
  v instanceof Float32Array || (typeof v === "object" && v !== null && "dtype" in v && "shape" in v);

const expected = {
  leaf: "a parameter",
  hint: "give a tree of specs, for compile, or of f32 arrays or tensors, for load",
};

/** Makes the parts of an optimiser's state for a tree of parameters. */
export interface StateMaker<S> {
  /** A tensor like each parameter, filled with one value. */
  like(value?: number): Filled<S>;
  /** A 0-d tensor. */
  scalar<D extends "i32" | "f32">(dtype: D, value: number): ScalarOf<S, D>;
}

/** @throws SinterError `bad-tree`, `dtype-mismatch` for parameters that are not f32 */
export function stateFor<S, T>(op: string, params: S, make: (of: StateMaker<S>) => T): T {
  return enter(() => {
    const leaves = flatten(params, isParameter, "it", { tree: `${op}: params`, ...expected });
    for (const { path, value } of leaves) {
      if (!("dtype" in value) || value.dtype === "f32") continue;
      fail("dtype-mismatch", `${op}: ${JSON.stringify(path)} is ${value.dtype}, not f32`, {
        cause: "optimisers keep and change parameters in f32",
        hint: 'keep f32 parameters and cast them where they are used: castTree(params, "f16")',
      });
    }
    const specs = leaves.some((l) => isSpec(l.value));
    const hostly = leaves.find((l) => specs && !isSpec(l.value));
    if (hostly) {
      fail("bad-tree", `${op}: ${JSON.stringify(hostly.path)} is ${describe(hostly.value)} among specs`, {
        cause: "the state is made either for compile or for load",
        hint: "give specs alone, or values alone",
      });
    }
    return make({
      like: (value = 0) => mapTree(params, isParameter, "it", (_, p) => filled(p, value)) as Filled<S>,
      scalar: (dtype, value) => (specs ? new TensorSpec(dtype, []) : single(dtype, value)) as ScalarOf<S, typeof dtype>,
    });
  });
}

function filled(p: Parameter, value: number): unknown {
  if (isSpec(p)) return new TensorSpec("f32", p.shape);
  if (p instanceof Float32Array) return new Float32Array(p.length).fill(value);
  return { dtype: "f32", shape: [...p.shape], data: new Float32Array(sizeOf(p.shape) as number).fill(value) };
}

const single = (dtype: "i32" | "f32", value: number): HostTensor => ({
  dtype,
  shape: [],
  data: dtype === "i32" ? Int32Array.of(value) : Float32Array.of(value),
});
