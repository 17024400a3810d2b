import type { HostTensor } from "./frontend/host.ts";
import type { TensorSpec } from "./frontend/spec.ts";
import type { Tensor } from "./frontend/tensor.ts";
import type { MapTree } from "./frontend/tree.ts";
import type { InputValue } from "./runtime/inputs.ts";
import type { GpuTensor } from "./runtime/tensor.ts";

/** Names of an input tree: its top-level keys, or paths of keys joined by dots. */
export type InputName<S> = S extends TensorSpec ? "in" : (keyof S & string) | `${keyof S & string}.${string}`;

/** Donated inputs that a program returns under the same name. */
export type StateName<D extends string, R> = R extends Tensor
  ? never
  : Extract<D, (keyof R & string) | `${keyof R & string}.${string}`>;

/** What an input takes: host data, a CPU tensor with its shape, a tensor on the GPU or a GPUBuffer of the caller's. */
export type Value = InputValue | HostTensor;

/** A tree of values for a tree of specs. */
export type Values<S, V> = MapTree<S, TensorSpec, V>;

/** The first key of a dotted path. */
type Head<N extends string> = N extends `${infer H}.${string}` ? H : never;

type DeepPartial<S, V> = S extends TensorSpec ? V : { readonly [K in keyof S]?: DeepPartial<S[K], V> };

/** The inputs that are given each run: all but those named `N`. */
export type RunInputs<S, N extends string, V> = S extends TensorSpec
  ? V
  : S extends readonly unknown[]
    ? [N] extends [never]
      ? Values<S, V>
      : DeepPartial<S, V>
    : { readonly [K in keyof S as K extends N | Head<N> ? never : K]: Values<S[K], V> } & {
        readonly [K in keyof S as K extends Head<N> ? K : never]?: DeepPartial<S[K], V>;
      };

/** The inputs named `N`. */
export type NamedInputs<S, N extends string, V> = S extends TensorSpec
  ? V
  : S extends readonly unknown[]
    ? DeepPartial<S, V>
    : { readonly [K in keyof S as K extends N ? K : never]: Values<S[K], V> } & {
        readonly [K in keyof S as K extends Head<N> ? K : never]: DeepPartial<S[K], V>;
      };

/** The tree of a traced function's result with other leaves. */
export type Results<R, T = GpuTensor> = MapTree<R, Tensor, T>;
