import type { UniformCode, UniformKernel, UniformStep, UniformVariant } from "../../src/manifest/uniform.ts";
import { conditions, floatJs } from "./code.ts";
import { type Origin, withHeader } from "./header.ts";
import { commentText } from "./js-text.ts";
import { type EmittedFile, profileOf } from "./module.ts";
import { forPeople, sizeText } from "./size-js.ts";

/** The name of a step's text: `<kernel>.<profile>.<variant>[.<step>].wgsl`. */
export function wgslName(kernel: string, code: UniformCode, variant: UniformVariant, step: number): string {
  const part = variant.steps.length > 1 ? `.${step}` : "";
  return `${kernel}.${profileOf(code)}.${variant.name}${part}.wgsl`;
}

/** The text of every step for people and other tools, with its bindings and the words of its argument block. */
export const wgslFiles = (kernel: UniformKernel, origin: Origin): EmittedFile[] =>
  kernel.codes.flatMap((code) =>
    code.variants.flatMap((variant) =>
      variant.steps.map((step, i) => ({
        name: wgslName(kernel.name, code, variant, i),
        contents: withHeader(origin, `${interfaceOf(kernel, code, variant, step)}${step.wgsl.trimEnd()}\n`),
      })),
    ),
  );

function interfaceOf(kernel: UniformKernel, code: UniformCode, variant: UniformVariant, step: UniformStep): string {
  const tensors = kernel.tensors[code.dtype] ?? [];
  const of = (b: UniformStep["bindings"][number]): string => {
    const tensor = b.tensor === undefined ? undefined : tensors[b.tensor];
    return tensor
      ? `${tensor.name} ${b.dtype} [${tensor.shape.map(sizeText).join(", ")}]`
      : `scratch ${b.scratch} ${b.dtype}`;
  };
  const words = step.args.map((a): string => {
    if (a.kind === "size") return sizeText(a.value);
    if (a.kind === "float") return `f32(${forPeople(floatJs(a))})`;
    if (a.kind === "scalar") return `${a.name}: ${a.dtype}`;
    return `offset of binding ${a.binding}${a.unit === 1 ? "" : ` / ${a.unit}`}`;
  });
  const when = conditions(variant).map(forPeople);
  return [
    `${step.label}; for ${when.join(", ") || "all sizes"}; ${sizeText(step.groups)} workgroups`,
    ...step.bindings.map((b, i) => `binding ${i}: ${of(b)}${b.access === "read_write" ? ", read_write" : ""}`),
    ...(words.length ? [`binding ${step.bindings.length}, words: ${words.join("; ")}`] : []),
  ]
    .map((l) => `// ${commentText(l)}\n`)
    .join("");
}
