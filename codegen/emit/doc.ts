import type { UniformKernel, UniformTensor } from "../../src/manifest/uniform.ts";
import { commentText } from "./js-text.ts";
import { sizeText } from "./size-js.ts";

/** TSDoc of a kernel's source. */
export interface KernelDoc {
  /** Of the export: Markdown, line ends as `\n`, without comment signs. */
  readonly text?: string;
  /** Of its inputs, by name. */
  readonly inputs?: Readonly<Record<string, string>>;
}

/** dtype of a tensor of the signature: `float` where it is what the dtype option says. */
export function signature(kernel: UniformKernel): { readonly tensor: UniformTensor; readonly dtype: string }[] {
  const { f32, f16 } = kernel.tensors;
  const tensors = f32 ?? f16 ?? [];
  const differs = (i: number): boolean => f32 !== undefined && f16 !== undefined && f32[i]?.dtype !== f16[i]?.dtype;
  return tensors.map((tensor, i) => ({ tensor, dtype: differs(i) ? "float" : tensor.dtype }));
}

const access = { read: "", write: ", written", update: ", replaced in place" } as const;

/** The comment above a generated kernel: that of its source, then every tensor with dtype and shape, sizes and scalars. */
export function docComment(kernel: UniformKernel, doc: KernelDoc = {}): string {
  const about = (name: string): string => {
    const text = doc.inputs && Object.hasOwn(doc.inputs, name) ? doc.inputs[name] : undefined;
    return text ? `: ${text.trim().replace(/\s+/g, " ")}` : "";
  };
  const tensors = signature(kernel).map(({ tensor, dtype }) => {
    const type = dtype === "float" ? "f32 or f16" : dtype;
    const shape = `[${tensor.shape.map(sizeText).join(", ")}]`;
    return `- \`${tensor.name}\` ${type} ${shape}${access[tensor.access]}${about(tensor.name)}`;
  });
  const scalars = kernel.scalars.map((s) => `- \`${s.name}\` ${s.dtype} number${about(s.name)}`);
  const lines = [
    ...(doc.text?.trim() ? [...doc.text.trim().split(/\r\n|[\n\r\u2028\u2029]/), ""] : []),
    "Tensors:",
    ...tensors,
    ...(kernel.dims.length ? [`Sizes: ${kernel.dims.map((d) => `\`${d}\``).join(", ")}.`] : []),
    ...(scalars.length ? ["Scalars:", ...scalars] : []),
  ];
  return `/**\n${lines.map((l) => ` * ${commentText(l)}`.trimEnd()).join("\n")}\n */`;
}
