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

/**
 * Runs a kernel on the CPU, the invocations of a workgroup in lockstep from barrier to barrier, and reports what two
 * of them touch without a barrier between. `buffers` in the order of the bindings; results are written into them.
 */
export function detectRaces(
  kernel: Pick<KernelSpec, "wgsl" | "entryPoint">,
  workgroups: readonly number[],
  buffers: readonly ArrayBuffer[],
): { readonly races: readonly string[]; readonly errors: readonly string[] } {
  const bound = Object.fromEntries(buffers.map((b, i) => [i, new Uint32Array(b)]));
  const { races, errors } = lib.detectRaces(kernel.wgsl, kernel.entryPoint, [...workgroups], { 0: bound });
  return { races: races.map((r) => r.message), errors };
}
