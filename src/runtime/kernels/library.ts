import { fail } from "../../base/diagnostic.ts";
import type { Kernel, KernelProfile, KernelVariant } from "../../manifest/kernel-module.ts";
import { describe } from "../describe.ts";

/** What a kernel's floating-point tensors hold. */
export type FloatDType = "f32" | "f16";

/** The texts of a profile. */
export interface Ready {
  readonly profile: KernelProfile;
  readonly variants: readonly KernelVariant[];
}

/** A kernel that this runtime was given. */
export interface Entry {
  readonly kernel: Kernel;
  /** What is meant where a call says nothing: f32, or f16 where there is nothing else. */
  readonly dtype: FloatDType;
  /** Warmed texts. */
  readonly warm: Partial<Record<FloatDType, Ready>>;
  /** Texts at hand, used where none was warmed. */
  readonly base: Partial<Record<FloatDType, Ready>>;
}

/** What each profile needs of the device, richest first. */
const needs: Readonly<Record<KernelProfile, readonly string[]>> = {
  "f16-subgroups": ["shader-f16", "subgroups"],
  f16: ["shader-f16"],
  "f32-subgroups": ["subgroups"],
  f32: [],
};

/** The profiles of a kernel that a device has, richest first. Fails with `wrong-dtype` or `feature-missing`. */
export function profilesOf({ name, code }: Kernel, dtype: FloatDType, features: ReadonlySet<string>): KernelProfile[] {
  const all = (Object.keys(needs) as KernelProfile[]).filter((p) => code[p]);
  const written = all.filter((p) => p.split("-")[0] === dtype);
  if (written.length === 0) {
    fail("wrong-dtype", `kernel ${name} has no text for dtype ${describe(dtype)}`, {
      hint: `it has texts for ${all.join(", ")}`,
    });
  }
  const missing = (p: KernelProfile): string | undefined => needs[p].find((f) => !features.has(f));
  const usable = written.filter((p) => !missing(p));
  if (usable.length === 0) {
    const feature = missing(written.at(-1)!);
    fail("feature-missing", `kernel ${name} in ${dtype} needs ${feature}, which this device lacks`, {
      hint: `where adapter.features has it: adapter.requestDevice({ requiredFeatures: ["${feature}"] })`,
    });
  }
  return usable;
}

/** The texts that are at hand without a warm-up. Fails with `not-warmed` where none are. */
export function baseOf({ kernel, base }: Entry, dtype: FloatDType, features: ReadonlySet<string>): Ready {
  let ready = base[dtype];
  if (!ready) {
    const profile = profilesOf(kernel, dtype, features).at(-1)!;
    const code = kernel.code[profile]!;
    if (typeof code === "function") {
      return notWarmed("not-warmed", kernel, dtype, "its text is a module of its own, which only a warm-up loads");
    }
    base[dtype] = ready = { profile, variants: code.variants };
  }
  return ready;
}

export const notWarmed = (code: string, { name }: Kernel, dtype: string, cause: string): never =>
  fail(code, `kernel ${name} was not warmed up for ${dtype}`, {
    cause,
    hint: `await runtime.warmup([{ kernel: ${name}, dtype: "${dtype}" }]) first`,
  });

/** Fails with `not-built` unless it is a generated kernel. */
export function entryOf(entries: WeakMap<Kernel, Entry>, kernel: Kernel): Entry {
  let entry = entries.get(kernel);
  if (!entry) {
    checkKernel(kernel);
    const { code } = kernel;
    entry = { kernel, dtype: code.f32 || code["f32-subgroups"] ? "f32" : "f16", warm: {}, base: {} };
    entries.set(kernel, entry);
  }
  return entry;
}

function checkKernel(value: unknown): void {
  const k = value as Partial<Kernel> | null | undefined;
  if (typeof k === "object" && typeof k?.count === "function" && k.tensors && k.code) return;
  fail("not-built", `${describe(value)} is not a kernel that runs`, {
    cause: "what defineKernel and the like give only describes one",
    hint: "import from the module that `npx sinter build` writes, or bundle with sinter/esbuild or sinter/vite",
  });
}
