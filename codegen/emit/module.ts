import type { UniformCode, UniformKernel } from "../../src/manifest/uniform.ts";
import { array, codeText, indent, object, ofSizes, type ShortTexts } from "./code.ts";
import { docComment, type KernelDoc, signature } from "./doc.ts";
import { type Origin, withHeader } from "./header.ts";
import { stringLiteral } from "./js-text.ts";
import { sizeJs } from "./size-js.ts";

export interface ModuleOptions extends Origin {
  /** The names that the source exports it by; `default` is last. */
  readonly exports: readonly string[];
  readonly doc?: KernelDoc;
  /** How modules name each other. TypeScript and every bundler know a `.ts` file by `.js` too. */
  readonly importExtension: ".js" | ".ts";
  /** Short texts by the keys of steps, for bundles. */
  readonly short?: ShortTexts;
}

/** A generated file before it has a place. */
export interface EmittedFile {
  /** Name in the generated folder. */
  readonly name: string;
  readonly contents: string;
}

/** What a device must have for a text, as the runtime names it. */
export const profileOf = (c: UniformCode): string => (c.profile === "base" ? c.dtype : `${c.dtype}-${c.profile}`);

const unlinted = "/* eslint-disable */\n";

/**
 * A kernel as TypeScript modules: `<name>.ts` with the texts that every device can run, and `<name>.<profile>.ts` for each
 * richer profile, which the runtime imports when a device has it.
 */
export function kernelModules(kernel: UniformKernel, o: ModuleOptions): EmittedFile[] {
  const inline = kernel.codes.find((c) => profileOf(c) === "f32") ?? kernel.codes[0];
  const others = kernel.codes.filter((c) => c !== inline);
  return [
    { name: `${kernel.name}.ts`, contents: mainModule(kernel, inline, others, o) },
    ...others.map((c) => ({ name: `${kernel.name}.${profileOf(c)}.ts`, contents: codeModule(kernel, c, o) })),
  ];
}

function mainModule(
  kernel: UniformKernel,
  inline: UniformCode | undefined,
  others: readonly UniformCode[],
  o: ModuleOptions,
): string {
  const text = inline ? codeText(inline.variants, o.short) : undefined;
  const tensors = signature(kernel);
  const scalars = kernel.scalars.map((s) => s.name);
  const names = (list: readonly string[]): string => `[${list.map(stringLiteral).join(", ")}]`;
  const codes = [
    ...(inline && text ? [`${stringLiteral(profileOf(inline))}: ${text.code}`] : []),
    ...others.map((c) => {
      const from = stringLiteral(`./${kernel.name}.${profileOf(c)}${o.importExtension}`);
      return `${stringLiteral(profileOf(c))}: () => import(${from})`;
    }),
  ];
  const fields = [
    `name: ${stringLiteral(kernel.name)}`,
    `tensors: ${array(
      tensors.map(
        ({ tensor, dtype }) => `{ name: ${stringLiteral(tensor.name)}, dtype: "${dtype}", access: "${tensor.access}" }`,
      ),
    )}`,
    `sizes: ${names(kernel.dims)}`,
    `scalars: ${names(scalars)}`,
    `count: ${countText(kernel)}`,
    `code: ${object(codes)}`,
  ];
  const types = ["Kernel", ...(text?.types ?? [])].join(", ");
  const type = `Kernel<${union(tensors.map((t) => t.tensor.name))}, ${union([...kernel.dims, ...scalars])}>`;
  const [own = kernel.name] = o.exports.filter((e) => e !== "default");
  const local = taken.test(own) ? `${own}_` : own;
  const exported = o.exports.includes(local);
  const aliases = o.exports.filter((e) => e !== local).map((e) => `${local} as ${e}`);
  return withHeader(
    o,
    [
      `import type { ${types} } from "sinter/runtime";\n`,
      sizesType(kernel),
      text?.constants,
      docComment(kernel, o.doc),
      `${exported ? "export " : ""}const ${local}: ${type} = ${object(fields)};`,
      aliases.length ? `export { ${aliases.join(", ")} };` : undefined,
      "",
    ]
      .filter((part) => part !== undefined)
      .join("\n"),
    unlinted,
  );
}

/** Names that the module declares itself: a kernel of such a name is exported under it, and declared under another. */
const taken = /^(?:[sw]\d+|Sizes|Kernel|KernelStep|KernelCode)$/;

function codeModule(kernel: UniformKernel, c: UniformCode, o: ModuleOptions): string {
  const { constants, code, types } = codeText(c.variants, o.short);
  return withHeader(
    o,
    `import type { ${["KernelCode", ...types].join(", ")} } from "sinter/runtime";\n\n${sizesType(kernel)}\n${constants}\n` +
      `export const code: KernelCode = ${code};\n`,
    unlinted,
  );
}

/** The sizes and scalars that functions of this kernel read. */
const sizesType = (kernel: UniformKernel): string =>
  `type Sizes = Readonly<Record<${union([...kernel.dims, ...kernel.scalars.map((s) => s.name)])}, number>>;\n`;

const union = (names: readonly string[]): string => names.map(stringLiteral).join(" | ") || "never";

/** Elements of tensor `i`: tensors of one size share a test, the most common size needs none. */
function countText(kernel: UniformKernel): string {
  const sizes = signature(kernel).map(({ tensor }) =>
    sizeJs(tensor.shape.reduce((p, e) => (p === 1 ? e : e === 1 ? p : ["mul", p, e]), 1)),
  );
  const byText = new Map<string, number[]>();
  for (const [i, s] of sizes.entries()) byText.set(s, [...(byText.get(s) ?? []), i]);
  const [usual, ...rest] = [...byText].sort((a, b) => b[1].length - a[1].length);
  const body = rest.reduceRight(
    (otherwise, [size, at]) => `${at.map((i) => `i === ${i}`).join(" || ")} ? ${size} : ${otherwise}`,
    usual?.[0] ?? "0",
  );
  return rest.length ? ofSizes(indent(body)).replace("Sizes)", "Sizes, i)") : ofSizes(body);
}
