import { fail, type Place } from "../base/diagnostic.ts";
import type { Kernel } from "../manifest/kernel-module.ts";
import { enter } from "./enter.ts";
import { oneOf, readOptions } from "./options.ts";
import { f16, f32, type TensorSpec } from "./spec.ts";
import { describe } from "./tensor.ts";
import type { SpecTree, TensorTree, Traced } from "./trace.ts";

/** The dtypes that a kernel's floating-point tensors may have. */
export type KernelDType = "f32" | "f16";

/** `f32` or `f16`, whichever a kernel is being built for. */
export type FloatSpec = typeof f32 | typeof f16;

/** Sizes that a text of a kernel is written for. */
export interface KernelVariantOptions {
  /** For people and file names: letters, digits and -. */
  readonly name: string;
  /** Named dims that must be multiples of a number: `{ cols: 4 }`. */
  readonly multiples?: Readonly<Record<string, number>>;
  /** Named dims that must be at most, or at least, a number. */
  readonly max?: Readonly<Record<string, number>>;
  readonly min?: Readonly<Record<string, number>>;
  /** Sizes that the schedule suits, instead of the dims' hints. */
  readonly hints?: Readonly<Record<string, number>>;
}

/** What {@link defineKernel} builds, for which inputs and sizes. */
export interface KernelOptions<S> {
  /** An identifier; names the generated module and its export. */
  readonly name: string;
  /** The inputs' specs, or a function that gives them for a dtype of floating point. Scalars are passed as numbers. */
  readonly inputs: S | ((float: FloatSpec) => S);
  /** dtypes to build for, where `inputs` is a function. Default both. */
  readonly dtypes?: readonly KernelDType[];
  /** Inputs that are replaced by the output of the same name, in place. */
  readonly donate?: readonly string[];
  /**
   * Texts for particular sizes, tried in this order; one for all other sizes comes last by itself. Default: one where
   * every innermost dim is a multiple of 4.
   */
  readonly variants?: readonly KernelVariantOptions[];
}

/** A kernel to be built ahead: what a `*.kernel.ts` file exports. The build turns it into a module that runs. */
export class KernelDefinition<S = SpecTree> {
  readonly name: string;
  readonly dtypes: readonly KernelDType[];
  readonly donate: readonly string[];
  readonly variants: readonly KernelVariantOptions[] | undefined;
  readonly place: Place | undefined;
  // What the module has that a build makes of this: a bundler plugin puts it in the place of the source, whose types stay.
  declare readonly tensors: Kernel["tensors"];
  declare readonly sizes: Kernel["sizes"];
  declare readonly scalars: Kernel["scalars"];
  declare readonly count: Kernel["count"];
  declare readonly code: Kernel["code"];
  readonly #inputs: KernelOptions<S>["inputs"];
  readonly #fn: (inputs: Traced<S>) => TensorTree;

  /** @internal Use {@link defineKernel}. */
  constructor(o: KernelOptions<S>, fn: (inputs: Traced<S>) => TensorTree, place: Place | undefined) {
    this.name = o.name;
    this.dtypes = o.dtypes ?? (typeof o.inputs === "function" ? ["f32", "f16"] : ["f32"]);
    this.donate = o.donate ?? [];
    this.variants = o.variants;
    this.place = place;
    this.#inputs = o.inputs;
    this.#fn = fn;
  }

  /** The inputs' specs for a dtype. */
  inputs(dtype: KernelDType): S {
    const given = this.#inputs;
    return typeof given === "function" ? (given as (float: FloatSpec) => S)(dtype === "f16" ? f16 : f32) : given;
  }

  /** The function to trace. */
  get body(): (inputs: Traced<S>) => TensorTree {
    return this.#fn;
  }
}

const identifier = /^[A-Za-z_$][A-Za-z0-9_$]{0,99}$/;

/**
 * A kernel, or a few that run one after another, to be generated ahead by `sinter build` or a bundler plugin. Dims that are
 * named in the specs are given at each call: one pipeline serves all sizes.
 * @param fn gets tensors for the specs and returns a tensor or an object of tensors, the outputs
 */
export function defineKernel<const S extends Readonly<Record<string, TensorSpec>>>(
  options: KernelOptions<S>,
  fn: (inputs: Traced<S>) => TensorTree,
): KernelDefinition<S> {
  return enter((b) => {
    const o = readOptions("defineKernel", options, {
      name: undefined,
      inputs: undefined,
      dtypes: undefined,
      donate: undefined,
      variants: undefined,
    }) as unknown as KernelOptions<S>;
    if (typeof o.name !== "string" || !identifier.test(o.name)) {
      fail("bad-kernel-name", `defineKernel: ${nameText(o.name)} cannot name a kernel`, {
        cause: "the name becomes an exported identifier and the name of files",
        hint: "use up to 100 letters, digits, _ and $, and no digit first",
      });
    }
    if (typeof fn !== "function") {
      fail("bad-option", `defineKernel takes the function to trace second, not ${describe(fn)}`, {
        hint: 'write defineKernel({ name: "double", inputs: { x: f32(dim("n")) } }, ({ x }) => x.mul(2))',
      });
    }
    if (o.inputs === null || (typeof o.inputs !== "object" && typeof o.inputs !== "function")) {
      fail("bad-option", `defineKernel: inputs is ${describe(o.inputs)}`, { hint: 'write { x: f32(dim("n")) }' });
    }
    for (const d of o.dtypes ?? []) oneOf("defineKernel", "dtypes", d, ["f32", "f16"]);
    return new KernelDefinition<S>(o, fn, b.place);
  });
}

const nameText = (name: unknown): string => {
  if (typeof name !== "string") return describe(name);
  return JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name);
};
