import type { Capabilities, KernelSpec, Manifest } from "../../src/manifest/manifest.ts";

const scalarBytes: Readonly<Record<string, number>> = { f32: 4, i32: 4, u32: 4, bool: 4, f16: 2, "atomic<u32>": 4 };

/** Bytes of a scalar or vector type by its WGSL text, with the alignment it has in an array. */
function bytesOf(type: string): number {
  const vector = /^vec([234])<(\w+)>$/.exec(type);
  const one = scalarBytes[vector ? (vector[2] as string) : type];
  if (one === undefined) throw new Error(`the size of ${type} is unknown`);
  return vector ? one * (vector[1] === "3" ? 4 : Number(vector[1])) : one;
}

/** What a kernel's text itself says, read by patterns rather than taken from the manifest. */
function readText(wgsl: string) {
  const size = /@workgroup_size\(([^)]*)\)/.exec(wgsl)?.[1] ?? "";
  const shared = [...wgsl.matchAll(/^var<workgroup> \w+: (?:array<(.+), (\d+)u?>|(.+));$/gm)];
  const buffers = [...wgsl.matchAll(/^@group\(0\) @binding\((\d+)\) var<storage, (\w+)> \w+: array<(.+)>;$/gm)];
  const body = wgsl.slice(wgsl.indexOf("@compute"));
  const locals = [...body.matchAll(/\bvar \w+(?:: ([^=;]+?))? = (vec\d<\w+>)?/g)];
  let depth = 0;
  let nesting = 0;
  for (const c of body) if (c === "{" || c === "}") nesting = Math.max(nesting, (depth += c === "{" ? 1 : -1));
  return {
    workgroupSize: size.split(",").map(Number),
    workgroupVars: (wgsl.match(/var<workgroup>/g) ?? []).length,
    // Dawn counts every variable in whole 16 bytes.
    workgroupBytes: shared.map(([, type, n, plain]) => {
      const bytes = type ? bytesOf(type) * Number(n) : bytesOf(plain as string);
      return { bytes, counted: Math.ceil(bytes / 16) * 16 };
    }),
    bindings: buffers.map(([, n, access, type]) => ({ n: Number(n), access: access as string, type: type as string })),
    privateVars: (wgsl.match(/var<private>/g) ?? []).length,
    localBytes: locals.reduce((s, [, type, call]) => s + bytesOf((type ?? call ?? "f32").trim()), 0),
    nesting,
    f16: /^enable f16;$/m.test(wgsl),
    subgroups: /^enable subgroups;$/m.test(wgsl),
    overrides: /\boverride\b/.test(wgsl),
  };
}

const total = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

/** Everything about a kernel that a device's limits, its features or WGSL's own limits forbid, in words. */
export function kernelProblems(k: KernelSpec, { limits, features }: Capabilities): string[] {
  const t = readText(k.wgsl);
  const [x, y, z] = t.workgroupSize as [number, number, number];
  const shared = total(t.workgroupBytes.map((b) => b.bytes));
  const counted = total(t.workgroupBytes.map((b) => b.counted));
  const checks: readonly (readonly [ok: boolean, what: string])[] = [
    [String(t.workgroupSize) === String(k.workgroupSize), `workgroup size ${t.workgroupSize} but ${k.workgroupSize}`],
    [x * y * z <= limits.maxComputeInvocationsPerWorkgroup, `${x * y * z} invocations a workgroup`],
    [x <= limits.maxComputeWorkgroupSizeX, `${x} invocations along x`],
    [y <= limits.maxComputeWorkgroupSizeY, `${y} invocations along y`],
    [z <= limits.maxComputeWorkgroupSizeZ, `${z} invocations along z`],
    [t.workgroupVars === t.workgroupBytes.length, "a workgroup variable that the verifier cannot read"],
    [shared <= k.requires.workgroupBytes, `${shared} bytes of workgroup memory but ${k.requires.workgroupBytes}`],
    [counted <= limits.maxComputeWorkgroupStorageSize, `${counted} bytes of workgroup memory`],
    [k.requires.workgroupBytes <= limits.maxComputeWorkgroupStorageSize, "requires more workgroup memory"],
    [t.bindings.length <= limits.maxStorageBuffersPerShaderStage, `${t.bindings.length} storage buffers`],
    [t.bindings.map((b) => b.access).join() === k.bindings.join(), `bindings ${t.bindings.map((b) => b.access)}`],
    [t.bindings.every((b, i) => b.n === i), "bindings out of order"],
    [t.f16 === k.requires.f16, `f16 ${t.f16} but ${k.requires.f16}`],
    [t.subgroups === k.requires.subgroups, `subgroups ${t.subgroups} but ${k.requires.subgroups}`],
    [!t.f16 || features.f16, "needs shader-f16"],
    [!t.subgroups || features.subgroups, "needs subgroups"],
    [!t.overrides, "has override constants"],
    // WGSL, section 2.4: shader complexity.
    [t.privateVars === 0, "has private variables"],
    [t.localBytes <= 8192, `${t.localBytes} bytes of function variables`],
    [t.nesting <= 127, `${t.nesting} levels of braces`],
  ];
  return checks.flatMap(([ok, what]) => (ok ? [] : [what]));
}

/** The same of a manifest's buffers and dispatches: sizes, alignment, workgroup counts, and elements that bindings cut. */
export function dispatchProblems(m: Manifest, { limits }: Capabilities): string[] {
  const out: string[] = [];
  m.buffers.forEach((b, i) => {
    if (b.size > limits.maxBufferSize) out.push(`buffer ${i} has ${b.size} bytes`);
  });
  for (const d of [...m.setup, ...m.dispatches]) {
    const k = m.kernels[d.kernel] as KernelSpec;
    const { bindings } = readText(k.wgsl);
    if (d.workgroups.some((n) => n > limits.maxComputeWorkgroupsPerDimension)) out.push(`${d.workgroups} workgroups`);
    d.bindings.forEach((w, i) => {
      const stride = bytesOf(bindings[i]?.type ?? "f32");
      if (w.size > limits.maxStorageBufferBindingSize) out.push(`binding ${i} has ${w.size} bytes`);
      if (w.offset % limits.minStorageBufferOffsetAlignment !== 0) out.push(`binding ${i} at offset ${w.offset}`);
      if (w.size % stride !== 0) out.push(`binding ${i} has ${w.size} bytes for elements of ${stride}`);
    });
  }
  return out;
}
