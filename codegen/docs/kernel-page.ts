import type { KernelDefinition } from "../../src/frontend/define-kernel.ts";
import type { UniformCode, UniformKernel, UniformStep, UniformVariant } from "../../src/manifest/uniform.ts";
import { signature } from "../emit/doc.ts";
import { sizeText } from "../emit/size-js.ts";
import { inexactOps, programOf, type Traffic, trafficAt } from "./kernel-facts.ts";

/** A kernel of the library as its page shows it. */
export interface DocumentedKernel {
  readonly definition: KernelDefinition;
  readonly kernel: UniformKernel;
  /** TSDoc of its export, without comment signs. */
  readonly doc: string;
  /** Name of the kernel file. */
  readonly source: string;
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => [
  `| ${head.join(" | ")} |`,
  `|${head.map(() => "---").join("|")}|`,
  ...rows.map((r) => `| ${r.join(" | ")} |`),
];

const accessText = { read: "read", write: "written", update: "replaced in place" } as const;
const dtypeText = (dtype: string): string => (dtype === "float" ? "f32 or f16" : dtype);

/** The page of one kernel, Markdown. */
export function kernelPage(k: DocumentedKernel): string {
  const { kernel, definition } = k;
  return `${[
    `# ${kernel.name}`,
    "",
    k.doc,
    "",
    ...call(kernel),
    "",
    "## Signature",
    "",
    ...table(
      ["tensor", "dtype", "shape", ""],
      signature(kernel).map(({ tensor: t, dtype }) => [
        `\`${t.name}\``,
        dtypeText(dtype),
        `[${t.shape.map(sizeText).join(", ")}]`,
        accessText[t.access],
      ]),
    ),
    "",
    `Sizes: ${kernel.dims.map((d) => `\`${d}\``).join(", ")}.${
      kernel.scalars.length
        ? ` Numbers, new ones at each call: ${kernel.scalars.map((s) => `\`${s.name}\` (${s.dtype})`).join(", ")}.`
        : ""
    }`,
    "",
    "## Limits",
    "",
    limits(kernel),
    "",
    "## Numerics",
    "",
    numerics(definition),
    "",
    "## Bytes",
    "",
    ...bytes(k),
    "",
    "## Texts",
    "",
    "Tried from the top: the richest profile that the device has, then the first variant that takes the sizes and offsets.",
    "",
    ...texts(kernel),
    "",
    `Made from \`kernels/${k.source}\` by \`sinter build\`.`,
  ].join("\n")}\n`;
}

/** A call with all its names. */
function call(kernel: UniformKernel): string[] {
  const dtype = kernel.tensors.f32 ? "" : ', { dtype: "f16" }';
  const tensors = signature(kernel).map(({ tensor }) => tensor.name);
  const sizes = [...kernel.dims, ...kernel.scalars.map((s) => s.name)];
  return [
    "```ts",
    `import { ${kernel.name} } from "sinter/kernels";`,
    "",
    `runtime.run(${kernel.name}, { ${tensors.join(", ")} }, { ${sizes.join(", ")} }${dtype});`,
    "```",
  ];
}

function limits(kernel: UniformKernel): string {
  const steps = kernel.codes.flatMap((c) => c.variants.flatMap((v) => v.steps));
  const most = (f: (s: UniformStep) => number): number => Math.max(...steps.map(f));
  const memory = most((s) => s.requires.workgroupBytes);
  return [
    `Takes at most ${most((s) => s.bindings.length)} storage buffers, ${most((s) => s.workgroupSize.reduce((a, b) => a * b, 1))} invocations`,
    memory ? ` and ${memory} bytes of workgroup memory` : "",
    ": no more than every WebGPU device has. A tensor is at most `maxStorageBufferBindingSize` bytes (128 MiB unless the device was",
    " opened with more), of any sizes from 0 on and at any element of its buffer. Tensors that are written overlap no others.",
    kernel.tensors.f16 ? " f16 asks for the feature `shader-f16`." : "",
  ].join("");
}

function numerics(definition: KernelDefinition): string {
  const [dtype] = definition.dtypes;
  const ops = dtype ? inexactOps(programOf(definition, dtype).graph.nodes) : [];
  return [
    "Computed in f32 whatever the dtype; an f16 result is rounded once, to the nearest and ties to even. No atomics: the same bits from run to run on one device.",
    ops.length
      ? ` What the ops it is made of may be off by, in units in the last place of f32: ${ops.join(", ")}.`
      : " Each f32 operation is off by at most one unit in the last place.",
  ].join("");
}

const units = ["B", "KiB", "MiB", "GiB"];
function bytesText(n: number): string {
  const unit = n < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(n) / 10));
  return `${unit === 0 ? n : (n / 1024 ** unit).toFixed(1)} ${units[unit]}`;
}

function bytes({ kernel, definition }: DocumentedKernel): string[] {
  const sizes = Object.fromEntries(programOf(definition, definition.dtypes[0] ?? "f32").dims);
  const rows = definition.dtypes.flatMap((dtype) => {
    const t = trafficAt(kernel, dtype, sizes);
    return t ? [[dtype, bytesText(t.moved), bytesText(t.floor), ratio(t)]] : [];
  });
  const at = Object.entries(sizes)
    .map(([name, n]) => `${name} = ${n}`)
    .join(", ");
  return [
    `What its dispatches read and write at ${at}, each tensor and intermediate result once a dispatch, against the floor: every input read and every output written once.`,
    "",
    ...table(["dtype", "moved", "floor", "moved / floor"], rows),
  ];
}

const ratio = ({ moved, floor }: Traffic): string => (moved / floor).toFixed(2);

function texts(kernel: UniformKernel): string[] {
  // Subgroups before base: that is the order in which they are tried.
  const codes = kernel.codes.toSorted((a, b) => order(a) - order(b));
  return table(
    ["profile", "variant", "takes", "dispatches"],
    codes.flatMap((c) =>
      c.variants.map((v) => [
        c.profile === "base" ? c.dtype : `${c.dtype}, ${c.profile}`,
        v.name,
        conditionText(v),
        v.steps.map((s) => dispatchText(s)).join("; "),
      ]),
    ),
  );
}

const order = (c: UniformCode): number => (c.dtype === "f16" ? 2 : 0) + (c.profile === "base" ? 1 : 0);

function dispatchText(s: UniformStep): string {
  const [x, y, z] = s.workgroupSize;
  // The text's name in place of the text, as manifests hold it.
  return `[${s.label}](../../kernels/generated/${s.wgsl}), ${sizeText(s.groups)} × ${x * y * z}`;
}

function conditionText(v: UniformVariant): string {
  const each = (sizes: Readonly<Record<string, number>>, text: (name: string, n: number) => string): string[] =>
    Object.entries(sizes)
      .sort()
      .map(([name, n]) => text(name, n));
  const all = [
    ...each(v.multiples, (name, n) => `${name} a multiple of ${n}`),
    ...each(v.min, (name, n) => `${name} ≥ ${n}`),
    ...each(v.max, (name, n) => `${name} ≤ ${n}`),
    ...(v.align > 1 ? [`offsets multiples of ${v.align}`] : []),
  ];
  return all.length ? all.join(", ") : "all sizes, all offsets";
}
