import { describe, expect, test } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import type { Capabilities, KernelSpec, Manifest, Window } from "../../src/manifest/manifest.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { type Reflected, reflect } from "../support/reflect.ts";
import { compiledFor } from "./kernels.ts";

const short: Readonly<Record<string, string>> = { f: "f32", h: "f16", i: "i32", u: "u32" };
/** `f32` of `f32`, `vec4<f32>` and `vec4f`. */
function scalarOf(element: string): string {
  const [, long, letter] = /^vec[234](?:<(\w+)>|([fhiu]))$/.exec(element) ?? [];
  return long ?? (letter ? (short[letter] as string) : element);
}

/** What differs between a kernel's entry in the manifest and an independent reading of its text. */
function disagreements(k: KernelSpec, r: Reflected): string[] {
  const inOrder = r.bindings.every((b, i) => b.group === 0 && b.binding === i);
  const checks: readonly (readonly [ok: boolean, what: string])[] = [
    [r.entryPoint === k.entryPoint, `entry point ${r.entryPoint}`],
    [String(r.workgroupSize) === String(k.workgroupSize), `workgroup size ${r.workgroupSize}, not ${k.workgroupSize}`],
    [r.bindings.length === k.bindings.length, `${r.bindings.length} bindings, not ${k.bindings.length}`],
    [inOrder, `bindings ${r.bindings.map((b) => `${b.group}.${b.binding}`)}`],
    [
      r.bindings.every((b, i) => b.access === k.bindings[i]),
      `access ${r.bindings.map((b) => b.access)}, not ${k.bindings}`,
    ],
    [r.others === 0, "resources that are no storage buffers"],
  ];
  return checks.flatMap(([ok, what]) => (ok ? [] : [what]));
}

/** Element types that a tensor of a dtype may have in memory. */
const stored: Readonly<Record<DType, readonly string[]>> = {
  f32: ["f32"],
  // Two to a word without shader-f16.
  f16: ["f16", "u32"],
  i32: ["i32"],
  u32: ["u32"],
  bool: ["u32"],
};

/** Where a kernel takes the elements of a buffer for another type than the one they were given or written in. */
function typeClashes(m: Manifest, read: (k: KernelSpec) => Reflected): string[] {
  const out: string[] = [];
  const held = new Map<string, readonly string[]>();
  const place = (w: Window): string => `${w.buffer} at ${w.offset}`;
  for (const p of [...m.inputs, ...m.weights, ...m.state]) held.set(place(p.window), stored[p.dtype]);
  for (const d of [...m.setup, ...m.dispatches]) {
    const k = m.kernels[d.kernel] as KernelSpec;
    const types = read(k).bindings.map((b) => scalarOf(b.element));
    d.bindings.forEach((w, i) => {
      const type = types[i] as string;
      if (k.bindings[i] === "read_write") held.set(place(w), [type]);
      else if (held.has(place(w)) && !held.get(place(w))?.includes(type)) {
        out.push(`${k.label} reads ${type} from buffer ${place(w)}, which holds ${held.get(place(w))}`);
      } else held.set(place(w), [type]);
    });
  }
  for (const o of m.outputs) {
    const type = held.get(place(o.window))?.[0];
    if (type && !stored[o.dtype].includes(type))
      out.push(`output ${o.name} is ${o.dtype}, and its kernel wrote ${type}`);
  }
  return out;
}

describe("wgsl_reflect reads the bindings and workgroup sizes that the manifest says", () => {
  const devices: readonly Capabilities[] = [
    profiles.base,
    profiles.lavapipe,
    { ...profiles.h200, name: "h200 without subgroups", features: { f16: true, subgroups: false } },
  ];
  for (const c of devices) {
    test(c.name, () => {
      const readings = new Map<string, Reflected>();
      const problems: string[] = [];
      const read = (k: KernelSpec): Reflected => {
        const known = readings.get(k.key) ?? reflect(k.wgsl);
        readings.set(k.key, known);
        return known;
      };
      const failed = (p: string): void => void problems.push(p);
      for (const { name, manifest } of compiledFor(c, { failed })) {
        for (const k of manifest.kernels) {
          if (readings.has(k.key)) continue;
          for (const p of disagreements(k, read(k))) problems.push(`${name}: ${k.label}: ${p}\n${k.wgsl}`);
        }
        for (const p of typeClashes(manifest, read)) problems.push(`${name}: ${p}`);
      }
      expect(problems).toEqual([]);
      expect(readings.size).toBeGreaterThan(300);
    });
  }
});

test("a manifest that says something else than the text is found", () => {
  const [first] = compiledFor(profiles.base);
  const k = first?.manifest.kernels[0] as KernelSpec;
  const against = (wgsl: string): string[] => disagreements(k, reflect(wgsl));
  expect(against(k.wgsl)).toEqual([]);
  expect(against(k.wgsl.replace("@workgroup_size(64", "@workgroup_size(32"))).toEqual([
    "workgroup size 32,1,1, not 64,1,1",
  ]);
  expect(against(k.wgsl.replace("@binding(1)", "@binding(7)")).join()).toMatch(/^bindings /);
  expect(against(k.wgsl.replace("storage, read>", "storage, read_write>")).join()).toMatch(/^access read_write/);
  expect(
    against(
      k.wgsl.replace(
        "@group(0) @binding(0)",
        "@group(0) @binding(0) var<uniform> u: vec4<f32>;\n@group(0) @binding(9)",
      ),
    ),
  ).not.toEqual([]);
});
