import type { Kernel } from "../../src/wgsl/kernel.ts";

/**
 * A kernel with subgroup matrices as one that any adapter runs: every group of 32 invocations computes the same matrices by
 * loops. A loaded matrix is the place that it is loaded from, which the kernel leaves as it is until after the product, but for
 * those named `own`, which may lie in a storage buffer too, of which invocation n has row n / 2; of a result it has eight neighbours of that row. The ends of loops are hidden from Mesa's compiler, which unrolls
 * what it can see through.
 */
export function emulated(kernel: Kernel): Kernel {
  const wgsl = kernel.wgsl
    .replace(/^enable chromium_experimental_subgroup_matrix;\n/m, "")
    .replace(/^diagnostic\(.*\n/m, "")
    .replace(/^enable f16;\n/m, (line) => (/\bf16\b/.test(withoutMatrices(kernel.wgsl)) ? line : ""))
    .replace(/subgroup_matrix_result<f32, 16, 16>\(\)/g, "Result()")
    .replace(/subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>\(&sh, /g, "loaded(lid % 32u, ")
    .replace(
      /let (own\d+) = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, (row|col)_major>\(&(sh|b\d+), (.*), (\d+)u\);/g,
      (_, name, major, from, offset, stride) =>
        `let ${name} = held_${from}(lid % 32u, vec3<u32>(${offset}, ${stride}u, ${major === "row" ? 0 : 1}u));`,
    )
    .replace(/subgroupMatrixMultiplyAccumulate\(own/g, "multipliedHeld(lid % 32u, own")
    .replace(
      /subgroupMatrixLoad<subgroup_matrix_(?:left|right)<f16, 16, 16>, (row|col)_major>\(&sh, (.*), (\d+)u\);/g,
      (_, major, offset, stride) => `vec3<u32>(${offset}, ${stride}u, ${major === "row" ? 0 : 1}u);`,
    )
    .replace(/subgroupMatrixMultiplyAccumulate\(/g, "multiplied(lid % 32u, ")
    .replace(/subgroupMatrixStore<row_major>\(&sh, /g, "stored(lid % 32u, ")
    .replace(/subgroupMatrixScalarMultiply\(/g, "scaled(")
    .replace(/subgroupMax\(peaks/g, "largestPair(lid, peaks")
    .replace(/subgroupMax\(/g, "largest(lid, ")
    .replace(/subgroupShuffleXor\(/g, "exchanged(lid, ")
    .replace(/^enable subgroups;\n/m, "")
    .replace(/, @builtin\(subgroup_\w+\) \w+: u32/g, "");
  if (/subgroup_?[mM]atrix/.test(wgsl)) throw new Error(`a matrix that the emulation does not know:\n${wgsl}`);
  const { subgroupMatrix: _, ...rest } = kernel.requires;
  const requires = { ...rest, subgroups: false };
  const memory = [...new Set([...wgsl.matchAll(/= held_(\w+)\(/g)].map((m) => m[1] as string))];
  const functions = [matrixFunctions(kernel.workgroupSize[0]), ...memory.map(held)].join("\n");
  const f16 = /^enable f16;$/m.test(wgsl);
  return { ...kernel, wgsl: wgsl.replace("@compute", `${functions}\n@compute`), requires: { ...requires, f16 } };
}

const withoutMatrices = (wgsl: string): string =>
  wgsl.replace(/^enable f16;$/m, "").replace(/subgroup_matrix_\w+<f16/g, "");

/** The half at a place of a matrix in an array of vec4<u32>. */
const halfAt = (from: string): string => `fn half_at_${from}(m: vec3<u32>, row: u32, col: u32) -> f32 {
  let line = select(row, col, m.z == 1u);
  let at = m.x * 8u + line * m.y * 8u + select(col, row, m.z == 1u);
  return unpack2x16float(${from}[at / 8u][(at / 2u) % 4u])[at % 2u];
}`;

const held = (from: string): string => `${from === "sh" ? "" : halfAt(from)}
fn held_${from}(lane: u32, m: vec3<u32>) -> Held {
  let zero = arrayLength(&b0) & 0x80000000u;
  var out: Held;
  for (var k = 0u; k < (16u | zero); k++) { out[k] = half_at_${from}(m, lane / 2u, k); }
  return out;
}`;

const matrixFunctions = (invocations: number): string => `
var<workgroup> given: array<u32, ${invocations}>;
fn largest(lid: u32, x: u32) -> u32 {
  let zero = arrayLength(&b0) & 0x80000000u;
  given[lid] = x;
  workgroupBarrier();
  var out = 0u;
  for (var i = 0u; i < (32u | zero); i++) { out = max(out, given[lid / 32u * 32u + i]); }
  workgroupBarrier();
  return out;
}
fn largestPair(lid: u32, x: vec2<u32>) -> vec2<u32> { return vec2<u32>(largest(lid, x.x), largest(lid, x.y)); }
fn exchanged(lid: u32, x: vec2<u32>, by: u32) -> vec2<u32> {
  var out: vec2<u32>;
  for (var i = 0u; i < 2u; i++) {
    given[lid] = x[i];
    workgroupBarrier();
    out[i] = given[lid ^ by];
    workgroupBarrier();
  }
  return out;
}
fn scaled(c: Result, by: f32) -> Result {
  var out = c;
  for (var j = 0u; j < (8u | (arrayLength(&b0) & 0x80000000u)); j++) { out[j] *= by; }
  return out;
}
alias Result = array<f32, 8>;
${halfAt("sh")}
fn multiplied(lane: u32, a: vec3<u32>, b: vec3<u32>, c: Result) -> Result {
  let zero = arrayLength(&b0) & 0x80000000u;
  var out = c;
  for (var j = 0u; j < (8u | zero); j++) {
    for (var k = 0u; k < (16u | zero); k++) {
      out[j] += half_at_sh(a, lane / 2u, k) * half_at_sh(b, k, (lane % 2u) * 8u + j);
    }
  }
  return out;
}
alias Held = array<f32, 16>;
fn multipliedHeld(lane: u32, a: Held, b: vec3<u32>, c: Result) -> Result {
  let zero = arrayLength(&b0) & 0x80000000u;
  var out = c;
  var left = a;
  for (var j = 0u; j < (8u | zero); j++) {
    for (var k = 0u; k < (16u | zero); k++) { out[j] += left[k] * half_at_sh(b, k, (lane % 2u) * 8u + j); }
  }
  return out;
}
fn loaded(lane: u32, offset: u32, stride: u32) -> Result {
  let at = offset + (lane / 2u) * stride + (lane % 2u) * 2u;
  let a = bitcast<vec4<f32>>(sh[at]);
  let b = bitcast<vec4<f32>>(sh[at + 1u]);
  return Result(a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w);
}
fn stored(lane: u32, offset: u32, c: Result, stride: u32) {
  let at = offset + (lane / 2u) * stride + (lane % 2u) * 2u;
  sh[at] = bitcast<vec4<u32>>(vec4<f32>(c[0], c[1], c[2], c[3]));
  sh[at + 1u] = bitcast<vec4<u32>>(vec4<f32>(c[4], c[5], c[6], c[7]));
}`;
