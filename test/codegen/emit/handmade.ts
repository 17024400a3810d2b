import type { UniformKernel, UniformStep } from "../../../src/manifest/uniform.ts";

/** A text as kernels have them, with everything that a minifier must not touch. */
export const text = (n: number): string => `struct Args { a0: u32, a1: f32 }
@group(0) @binding(2) var<uniform> args: Args;
@group(0) @binding(0) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> b1: array<vec4<f32>>;
@compute @workgroup_size(64, 1, 1)
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
  let i = gid.x; // ${n}
  if (i >= args.a0) { return; }
  b1[i] = b0[i] * args.a1;
}`;

const step = (n: number, more: Partial<UniformStep> = {}): UniformStep => ({
  label: "pointwise: mul",
  wgsl: text(n),
  key: String(n).repeat(64),
  bindings: [
    { tensor: 0, access: "read", dtype: "f32" },
    { tensor: 1, access: "read_write", dtype: "f32" },
  ],
  args: [
    { kind: "size", value: ["ceil", ["mul", "rows", "cols"], 4] },
    { kind: "float", value: ["sub", "cols", 1], fn: "inverse" },
    { kind: "scalar", name: "alpha", dtype: "f32" },
    { kind: "scalar", name: "shift", dtype: "i32" },
    { kind: "offset", binding: 0, unit: 4 },
    { kind: "offset", binding: 1, unit: 1 },
  ],
  groups: ["ceil", ["mul", "rows", "cols"], 256],
  workgroupSize: [64, 1, 1],
  requires: { f16: false, subgroups: false, workgroupBytes: 0 },
  ...more,
});

const tensors = (dtype: "f32" | "f16") =>
  [
    { name: "x", dtype, shape: ["rows", "cols"], access: "read" },
    { name: "y", dtype, shape: ["rows", "cols"], access: "write" },
    { name: "mean", dtype: "f32", shape: ["rows"], access: "write" },
    { name: "count", dtype: "i32", shape: [], access: "update" },
  ] as const;

/** A kernel with two variants, two steps that are equal, a scratch and a text for f16. */
export const scale: UniformKernel = {
  name: "scale",
  dims: ["rows", "cols"],
  scalars: [
    { name: "alpha", dtype: "f32" },
    { name: "shift", dtype: "i32" },
  ],
  tensors: { f32: tensors("f32"), f16: tensors("f16") },
  codes: [
    {
      dtype: "f32",
      profile: "base",
      variants: [
        {
          name: "aligned",
          multiples: { cols: 4 },
          min: { rows: 2 },
          max: { cols: 4096 },
          align: 4,
          scratch: [["mul", "rows", 4]],
          steps: [
            step(1, {
              bindings: [
                { tensor: 0, access: "read", dtype: "f32" },
                { scratch: 0, access: "read_write", dtype: "f32" },
              ],
            }),
            step(2),
          ],
        },
        { name: "any", multiples: {}, min: {}, max: {}, align: 1, scratch: [], steps: [step(2)] },
      ],
    },
    {
      dtype: "f16",
      profile: "base",
      variants: [{ name: "any", multiples: {}, min: {}, max: {}, align: 1, scratch: [], steps: [step(3)] }],
    },
  ],
};
