import type { Access, Window } from "../manifest/manifest.ts";
import type { Kernel, Pieces } from "./kernel.ts";
import { stride } from "./workgroup-memory.ts";

/** A kernel that is to share a dispatch, and what it is bound to. */
export interface BundlePart {
  readonly kernel: Kernel;
  readonly windows: readonly Window[];
}

/** Where a part's tensor is found: in which buffer of the bundle, and from which element of it on. */
export interface BoundAt {
  readonly name: string;
  readonly origin: number;
}

export interface BundleBindings {
  readonly windows: readonly Window[];
  readonly accesses: readonly Access[];
  readonly declarations: readonly string[];
  /** For each part, its bindings in order. */
  readonly at: readonly (readonly BoundAt[])[];
}

/**
 * The bindings of several kernels in one: a window that several of them bind by one type is bound once, and with `cover` all
 * windows of one buffer, type and access are one that spans them. Undefined where windows that are written would overlap
 * others, or where there are more than `limit`.
 */
export function bindTogether(parts: readonly BundlePart[], limit: number, cover?: number): BundleBindings | undefined {
  interface Found {
    window: Window;
    readonly access: Access;
    readonly type: string;
    readonly name: string;
  }
  const found = new Map<string, Found>();
  const keys = parts.map(({ kernel, windows }) =>
    windows.map((w, i) => {
      const [access, type] = [kernel.bindings[i] as Access, (kernel.pieces as Pieces).types[i] as string];
      const key = `${w.buffer} ${access} ${type}${cover === undefined ? ` ${w.offset} ${w.size}` : ""}`;
      const f = found.get(key) ?? { window: w, access, type, name: `buffer_${found.size}` };
      f.window = spanning(f.window, w);
      found.set(key, f);
      return key;
    }),
  );
  const list = [...found.values()];
  const clash = list.some((a, i) => list.slice(0, i).some((b) => clashes(a, b)));
  if (clash || list.length > limit || list.some((f) => f.window.size > (cover ?? f.window.size))) return undefined;
  return {
    windows: list.map((f) => f.window),
    accesses: list.map((f) => f.access),
    declarations: list.map(
      ({ access, name, type }, i) => `@group(0) @binding(${i}) var<storage, ${access}> ${name}: ${type};`,
    ),
    at: parts.map(({ windows }, p) =>
      windows.map((w, i) => {
        const { window, name, type } = found.get((keys[p] as string[])[i] as string) as Found;
        return { name, origin: (w.offset - window.offset) / stride(type.slice("array<".length, -1)) };
      }),
    ),
  };
}

function spanning(a: Window, b: Window): Window {
  const offset = Math.min(a.offset, b.offset);
  return { buffer: a.buffer, offset, size: Math.max(a.offset + a.size, b.offset + b.size) - offset };
}

/** WebGPU's rule: in one dispatch a buffer is only read or only written, and what is written never overlaps. */
function clashes(
  a: { readonly window: Window; readonly access: Access },
  b: { readonly window: Window; readonly access: Access },
): boolean {
  if (a.window.buffer !== b.window.buffer || (a.access === "read" && b.access === "read")) return false;
  const apart =
    a.window.offset >= b.window.offset + b.window.size || b.window.offset >= a.window.offset + a.window.size;
  return a.access !== b.access || !apart;
}
