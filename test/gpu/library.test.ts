import * as library from "sinter/kernels";
import { createRuntime, type Kernel, type KernelProfile } from "sinter/runtime";
import { describe, expect, test } from "vitest";
import type { KernelDType } from "../../src/index.ts";
import type { KernelCase } from "../kernels/cases/case.ts";
import { kernelCases } from "../kernels/cases/index.ts";
import { differenceOnGpu, type Places } from "../kernels/on-gpu.ts";
import { sharedGpu } from "../support/gpu.ts";
import { leftOut, leftOutWhy } from "../support/share.ts";

/** Every kernel at all its sizes and in all its texts: minutes of compiling. Otherwise one of those that are alike. */
const everything = process.env.SINTER_LIBRARY === "all";

/** Kernels of large texts that are alike but for their last lines, or for a constant. */
const represented =
  /^linear(Relu|Silu|GeluTanh|ResidualT)|^linearGelu(Residual|T)$|^linearBackwardT$|^matmul(T|Int4|Int8Group128)$|ttention128|^attention64Backward$|^(mean|min|sumSquares|globalNorm)$/;
/** Large texts, and kernels of a thousand workgroups: one of their variants. */
const large = /^linear|^matmul|ttention|^(sum|max|globalNormClip)$/;
/** What Mesa compiles for longer than all the others together: loops of known length, which it unrolls. */
const slowInMesa = /ttention/;
/** Of the kernels that have texts with subgroups those that are tried on software. */
const withSubgroups = /^(layerNorm|softmax|crossEntropyForwardBackward|rmsNormBackward|sum)$/;

/** Texts to try on a device, each by the features that make the runtime choose it. */
const profiles: readonly { profile: KernelProfile; dtype: KernelDType; features: readonly string[] }[] = [
  { profile: "f32", dtype: "f32", features: [] },
  { profile: "f32-subgroups", dtype: "f32", features: ["subgroups"] },
  { profile: "f16", dtype: "f16", features: ["shader-f16"] },
  { profile: "f16-subgroups", dtype: "f16", features: ["shader-f16", "subgroups"] },
];

const kernels = library as unknown as Readonly<Record<string, Kernel>>;

/** The kernel with the texts of one profile alone, at hand: a `run` then compiles only what it takes. */
async function withTexts(kernel: Kernel, profile: KernelProfile): Promise<Kernel> {
  const texts = kernel.code[profile];
  return { ...kernel, code: { [profile]: typeof texts === "function" ? (await texts()).code : texts } };
}

test("the library exports every kernel of the cases, and no other", () => {
  expect(Object.keys(library).sort()).toEqual(kernelCases.map((c) => c.kernel.name).sort());
});

describe("kernels of the library compute what their references do", () => {
  const gpu = sharedGpu();

  /** Whether a kernel's texts of a profile are tried here. */
  function isTried(name: string, profile: (typeof profiles)[number], c: KernelCase): boolean {
    const { device, capabilities } = gpu();
    if (!kernels[name]?.code[profile.profile] || !profile.features.every((f) => device.features.has(f))) return false;
    if (everything || !capabilities.software) return true;
    if (profile.features.includes("subgroups") && !withSubgroups.test(name)) return false;
    // A software adapter with f16 is there for it: the other one takes f32.
    const half = device.features.has("shader-f16");
    return !half || (!slowInMesa.test(name) && (profile.dtype === "f16" || !c.kernel.dtypes.includes("f16")));
  }

  const tested = kernelCases.filter((c) => everything || !represented.test(c.kernel.name));
  test.for(tested.map((c): [string, KernelCase] => [c.kernel.name, c]))(
    "%s",
    { timeout: 600_000 },
    async ([name, c], { skip }) => {
      skip(leftOut(name), leftOutWhy);
      const { device, capabilities } = gpu();
      const all = everything || !capabilities.software;
      for (const p of profiles) {
        if (!isTried(name, p, c)) continue;
        const runtime = await createRuntime({ device, features: p.features });
        const kernel = await withTexts(kernels[name] as Kernel, p.profile);
        const part: Places = p.dtype === "f16" ? "anywhere" : "aligned";
        const places = all || !(large.test(name) || p.dtype === "f16") ? "both" : part;
        const sizes = all ? [...c.sizes, ...(c.large ?? [])] : c.sizes;
        device.pushErrorScope("validation");
        const difference = await differenceOnGpu(runtime, kernel, c, p.dtype, sizes, places);
        const error = await device.popErrorScope();
        runtime.dispose();
        expect(error?.message ?? difference, `${name} ${p.profile}`).toBeUndefined();
      }
    },
  );
});
