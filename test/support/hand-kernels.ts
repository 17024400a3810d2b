import { createHash } from "node:crypto";
import type {
  Kernel,
  KernelCode,
  KernelStep,
  KernelTensorSpec,
  KernelVariant,
  Sizes,
} from "../../src/manifest/kernel-module.ts";

/** A step whose argument block is `total`, the words `sizes`, the scalars `scalars` and an offset for each binding. */
export interface HandStep {
  readonly bindings: readonly number[];
  readonly writes: number;
  /** Elements that one invocation each computes. */
  elements(d: Sizes): number;
  readonly sizes: readonly string[];
  readonly scalars?: readonly string[];
  /** WGSL at element `i`; buffers are `b0`, `b1`, …, offsets `a.o0`, sizes and scalars `a.NAME`. */
  readonly body: string;
  readonly element?: string;
  /** Elements of the offsets' unit in one of the array: 4 for vectors. */
  readonly unit?: number;
  readonly enable?: string;
}

export function step(s: HandStep): KernelStep {
  const { bindings, writes, sizes, scalars = [], element = "f32", unit = 1 } = s;
  const words = 1 + sizes.length + scalars.length + bindings.length;
  const wgsl = `${s.enable ?? ""}
struct Args { total: u32, ${[
    ...sizes.map((n) => `${n}: u32`),
    ...scalars.map((n) => `${n}: f32`),
    ...bindings.map((_, i) => `o${i}: u32`),
  ].join(", ")} }
${bindings.map((_, i) => `@group(0) @binding(${i}) var<storage, ${(writes >> i) & 1 ? "read_write" : "read"}> b${i}: array<${element}>;`).join("\n")}
@group(0) @binding(${bindings.length}) var<uniform> a: Args;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64 + l;
  if (i >= a.total) { return; }
  ${s.body}
}
`;
  return {
    wgsl,
    key: createHash("sha256").update(wgsl).digest("hex"),
    bindings,
    writes,
    words,
    args(d, o, u, f) {
      u[0] = s.elements(d);
      let at = 1;
      for (const name of sizes) u[at++] = d[name]!;
      for (const name of scalars) f[at++] = d[name]!;
      for (let b = 0; b < bindings.length; b++) u[at++] = o[b]! / unit;
    },
    groups: (d) => Math.ceil(s.elements(d) / 64),
  };
}

export const spec = (
  name: string,
  access: KernelTensorSpec["access"] = "read",
  dtype: KernelTensorSpec["dtype"] = "float",
): KernelTensorSpec => ({ name, dtype, access });

export const code = (...variants: readonly (KernelVariant | KernelStep)[]): KernelCode => ({
  variants: variants.map((v) => ("steps" in v ? v : { steps: [v] })),
});

const axpyStep = (element: string, unit: number, enable = ""): KernelStep =>
  step({
    bindings: [0, 1, 2],
    writes: 4,
    sizes: [],
    scalars: ["scale"],
    elements: (d) => d.n! / unit,
    body: `b2[i + a.o2] = b0[i + a.o0] * ${enable ? "f16(a.scale)" : "a.scale"} + b1[i + a.o1];`,
    element,
    unit,
    enable,
  });

const vectors = (element: string, enable = ""): KernelCode =>
  code(
    { when: (d) => d.n! % 4 === 0, align: 4, steps: [axpyStep(`vec4<${element}>`, 4, enable)] },
    axpyStep(element, 1, enable),
  );

/** z = x * scale + y, in vectors where sizes and offsets allow it. */
export const axpy: Kernel<"x" | "y" | "z", "n" | "scale"> = {
  name: "axpy",
  tensors: [spec("x"), spec("y"), spec("z", "write")],
  sizes: ["n"],
  scalars: ["scale"],
  count: (d) => d.n!,
  code: { f32: vectors("f32"), f16: () => Promise.resolve({ code: vectors("f16", "enable f16;") }) },
};

/** total = total + x * scale, in place. */
export const accumulate: Kernel<"x" | "total", "n" | "scale"> = {
  name: "accumulate",
  tensors: [spec("x"), spec("total", "update")],
  sizes: ["n"],
  scalars: ["scale"],
  count: (d) => d.n!,
  code: {
    f32: code(
      step({
        bindings: [0, 1],
        writes: 2,
        sizes: [],
        scalars: ["scale"],
        elements: (d) => d.n!,
        body: "b1[i + a.o1] += b0[i + a.o0] * a.scale;",
      }),
    ),
  },
};

/** low = x - 1, high = x + 1. */
export const neighbours: Kernel<"x" | "low" | "high", "n"> = {
  name: "neighbours",
  tensors: [spec("x"), spec("low", "write"), spec("high", "write")],
  sizes: ["n"],
  scalars: [],
  count: (d) => d.n!,
  code: {
    f32: code(
      step({
        bindings: [0, 1, 2],
        writes: 6,
        sizes: [],
        elements: (d) => d.n!,
        body: "let x = b0[i + a.o0]; b1[i + a.o1] = x - 1.0; b2[i + a.o2] = x + 1.0;",
      }),
    ),
  },
};

/** y = x / sum of its row, in two steps with the sums between them. */
export const share: Kernel<"x" | "y", "rows" | "cols"> = {
  name: "share",
  tensors: [spec("x"), spec("y", "write")],
  sizes: ["rows", "cols"],
  scalars: [],
  count: (d) => d.rows! * d.cols!,
  code: {
    f32: code({
      scratch: (d) => [d.rows! * 4],
      steps: [
        step({
          bindings: [0, -1],
          writes: 2,
          sizes: ["cols"],
          elements: (d) => d.rows!,
          body: "var s = 0.0; for (var c = 0u; c < a.cols; c++) { s += b0[a.o0 + i * a.cols + c]; } b1[i + a.o1] = s;",
        }),
        step({
          bindings: [0, -1, 1],
          writes: 4,
          sizes: ["cols"],
          elements: (d) => d.rows! * d.cols!,
          body: "b2[i + a.o2] = b0[i + a.o0] / b1[i / a.cols + a.o1];",
        }),
      ],
    }),
  },
};

/** The sum of each row, 0 where rows are empty. */
export const rowSum: Kernel<"x" | "y", "rows" | "cols"> = {
  name: "rowSum",
  tensors: [spec("x"), spec("y", "write")],
  sizes: ["rows", "cols"],
  scalars: [],
  count: (d, t) => (t === 0 ? d.rows! * d.cols! : d.rows!),
  code: {
    f32: code(
      step({
        bindings: [0, 1],
        writes: 2,
        sizes: ["cols"],
        elements: (d) => d.rows!,
        body: "var s = 0.0; for (var c = 0u; c < a.cols; c++) { s += b0[a.o0 + i * a.cols + c]; } b1[i + a.o1] = s;",
      }),
    ),
  },
};
