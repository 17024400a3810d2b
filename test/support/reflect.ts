import type * as Types from "wgsl_reflect";
// @ts-expect-error The module that works in Node has no types of its own.
import * as untyped from "wgsl_reflect/wgsl_reflect.module.js";
import type { Access, KernelSpec } from "../../src/manifest/manifest.ts";

const lib = untyped as typeof Types;

export interface ReflectedBinding {
  readonly group: number;
  readonly binding: number;
  readonly access: Access;
  /** Element type of the runtime-sized array: `f32`, `vec4<u32>`, … */
  readonly element: string;
  /** Bytes from one element to the next. */
  readonly stride: number;
}

/** What an independent reader makes of a kernel's text. */
export interface Reflected {
  readonly entryPoint: string;
  readonly workgroupSize: readonly number[];
  /** In the order of declaration. */
  readonly bindings: readonly ReflectedBinding[];
  /** Resources that are no storage buffers, overrides and further entry points: a kernel has none. */
  readonly others: number;
}

/** wgsl_reflect's reading of a kernel: bindings and workgroup size. It validates nothing. */
export function reflect(wgsl: string): Reflected {
  const r = new lib.WgslReflect(wgsl);
  const [main, ...more] = r.entry.compute;
  if (!main) throw new Error("no entry point found");
  return {
    entryPoint: main.name,
    workgroupSize: main.workgroupSize ?? [],
    bindings: r.storage.map((v) => ({
      group: v.group,
      binding: v.binding,
      access: v.access as Access,
      element: v.format?.getTypeName() ?? v.type.getTypeName(),
      stride: v.stride,
    })),
    others:
      more.length +
      r.uniforms.length +
      r.textures.length +
      r.samplers.length +
      r.overrides.length +
      r.entry.vertex.length,
  };
}

// The detector keeps the value of a call it has stepped into on the call itself, where every other invocation finds it.
// Stepping over calls evaluates them in place; they touch no memory that invocations share.
const { stepStack } = lib.WgslDebug.prototype;
lib.WgslDebug.prototype.stepStack = function (stack) {
  return stepStack.call(this, stack, false);
};

/** Parameters get names of their own: the library binds one argument before it evaluates the next. */
const ownParameters = (wgsl: string): string =>
  wgsl.replace(/^fn (\w+)\(([^)]*)\)( -> \w[^{]*\{[\s\S]*?^\})/gm, (_, name: string, params: string, rest: string) => {
    let text = `(${params})${rest}`;
    for (const [p] of params.matchAll(/\w+(?=:)/g)) text = text.replace(new RegExp(`\\b${p}\\b`, "g"), `${name}_${p}`);
    return `fn ${name}${text}`;
  });

/**
 * Runs a kernel on the CPU, the invocations of a workgroup in lockstep from barrier to barrier, and reports what two
 * of them touch without a barrier between. `buffers` in the order of the bindings; results are written into them.
 */
export function detectRaces(
  kernel: Pick<KernelSpec, "wgsl" | "entryPoint">,
  workgroups: readonly number[],
  buffers: readonly ArrayBuffer[],
): { readonly races: readonly string[]; readonly errors: readonly string[] } {
  const bound = Object.fromEntries(buffers.map((b, i) => [i, b]));
  const { races, errors } = lib.detectRaces(ownParameters(kernel.wgsl), kernel.entryPoint, [...workgroups], {
    0: bound,
  });
  return { races: races.map((r) => r.message), errors };
}
