import type { ErrorSection } from "./entry.ts";

export const files: ErrorSection = {
  title: "Files",
  intro: "Raised by `loadSafetensors`, `saveSafetensors`, `fromNames`, `openFile` and `saveFile`.",
  errors: [
    {
      code: "bad-safetensors",
      summary: "a file that breaks the format: cut short, damaged, or of another format",
      text: `
A safetensors file is the length of a header (8 bytes), a JSON header and the tensors' bytes. All three are checked against each other before a tensor is
read: ranges that overlap, leave gaps or pass the end of the file are refused. A download that was cut short is the usual reason; an HTML page saved under the
name of a model the second. PyTorch's \`.bin\` and \`.pt\` files are of another format: convert them.`,
      example: {
        wrong: "await loadSafetensors(new ArrayBuffer(4));",
        right: 'await loadSafetensors(new TextEncoder().encode("\\u0002\\0\\0\\0\\0\\0\\0\\0{}").buffer);',
      },
    },
    {
      code: "unsupported-dtype",
      summary: "a tensor of a file has a dtype of fewer bits than any here, or a complex one",
      text: `
Floats of 16 bits and more, integers of 8 bits and more, and BOOL are read; F64 becomes f32, and 64-bit integers must fit 32 bits. Floats of 8 and
fewer bits, and complex numbers, have no dtype here. Leave such tensors out with \`{ select }\`, or convert the file.`,
    },
    {
      code: "file-error",
      summary: "a file that cannot be read or written",
      text: `
The operating system refused; its reason is in the message. \`saveFile\` writes beside the target and renames at the end, so a file that was there before is still
whole.`,
      example: {
        wrong: 'await openFile("no-such-model.safetensors");',
        right: 'await (await openFile("package.json")).close();',
      },
    },
  ],
};
