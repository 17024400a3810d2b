import * as library from "sinter/kernels";
import { createRuntime, type Kernel, type KernelProfile } from "sinter/runtime";
import { describe, expect, test } from "vitest";
import type { KernelDType } from "../../src/index.ts";
import type { KernelCase } from "../kernels/cases/case.ts";
import { kernelCases } from "../kernels/cases/index.ts";
import { differenceOnGpu, type Places } from "../kernels/on-gpu.ts";
import { sharedGpu } from "../support/gpu.ts";

/** Every kernel at all its sizes and in all its texts, minutes of compiling; otherwise one of those that are alike. */
const everything = process.env.SINTER_LIBRARY === "all";

/** Kernels of large texts that are alike but for their last lines, or for a constant. */
const represented =
  /^linear(Relu|Silu|GeluTanh|ResidualT)|^linearGelu(Residual|T)$|^linearBackwardT$|^matmul(T|Int4|Int8Group128)$|ttention128|^attention64Backward$|^(mean|min|sumSquares|globalNorm)$/;
/** Large texts, and kernels of a thousand workgroups: on each adapter one of their variants. */
const large = /^linear|^matmul|ttention.*Backward$|^(sum|max|globalNormClip)$/;

/** Texts to try on a device, each by the features that make the runtime choose it. */
const profiles: readonly { profile: KernelProfile; dtype: KernelDType; features: readonly string[] }[] = [
  { profile: "f32", dtype: "f32", features: [] },
  { profile: "f32-subgroups", dtype: "f32", features: ["subgroups"] },
  { profile: "f16", dtype: "f16", features: ["shader-f16"] },
  { profile: "f16-subgroups", dtype: "f16", features: ["shader-f16", "subgroups"] },
];

const kernels = library as unknown as Readonly<Record<string, Kernel>>;

test("the library exports every kernel of the cases, and no other", () => {
  expect(Object.keys(library).sort()).toEqual(kernelCases.map((c) => c.kernel.name).sort());
});

describe("kernels of the library compute what their references do", () => {
  const gpu = sharedGpu();

  test.each(kernelCases.map((c): [string, KernelCase] => [c.kernel.name, c]))("%s", async (name, c) => {
    if (!everything && represented.test(name)) return;
    const { device, capabilities } = gpu();
    const kernel = kernels[name] as Kernel;
    const half = device.features.has("shader-f16");
    for (const { profile, dtype, features } of profiles) {
      if (!kernel.code[profile] || !features.every((f) => device.features.has(f))) continue;
      // An adapter that has f16 is there for it; others, and real GPUs, take f32.
      if (!everything && capabilities.software && half && dtype === "f32" && c.kernel.dtypes.includes("f16")) continue;
      const runtime = await createRuntime({ device, features });
      const places: Places = everything || !large.test(name) ? "both" : half ? "anywhere" : "aligned";
      if (places === "both") await runtime.warmup([{ kernel, dtype }]);
      device.pushErrorScope("validation");
      const sizes = everything || !capabilities.software ? [...c.sizes, ...(c.large ?? [])] : c.sizes;
      const difference = await differenceOnGpu(runtime, kernel, c, dtype, sizes, places);
      const error = await device.popErrorScope();
      runtime.dispose();
      expect(error?.message ?? difference, `${name} ${profile}`).toBeUndefined();
    }
  });
});
