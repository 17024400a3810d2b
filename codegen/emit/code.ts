import type { ArgumentSpec, UniformKernel, UniformStep, UniformVariant } from "../../src/manifest/uniform.ts";
import { property, stringLiteral, templateLiteral } from "./js-text.ts";
import { minifyWgsl } from "./minify-wgsl.ts";
import { sizeJs } from "./size-js.ts";

/** The text of a `KernelCode` and the constants that it refers to, which stand before it in the module. */
export interface CodeText {
  readonly constants: string;
  readonly code: string;
  /** Types of `sinter/runtime` that the constants name. */
  readonly types: readonly string[];
}

/** WGSL without comments and blanks, with short names, by the keys of the steps that it is the text of. */
export type ShortTexts = Readonly<Record<string, string>>;

/** The short texts of a kernel. A text of the user's own stays as it is. */
export function shortTexts({ codes }: UniformKernel): ShortTexts {
  const steps = codes.flatMap((c) => c.variants.flatMap((v) => v.steps));
  const made = new Map<string, string>();
  const short = (wgsl: string): string => {
    const text = made.get(wgsl) ?? minifyWgsl(wgsl);
    made.set(wgsl, text);
    return text;
  };
  return Object.fromEntries(steps.map((s) => [s.key, s.grid ? s.wgsl : short(s.wgsl)]));
}

/**
 * Variants as the runtime's `KernelCode`. Equal texts, and equal steps, are constants that several variants share.
 * @param short texts to be written instead of the steps' own
 */
export function codeText(variants: readonly UniformVariant[], short?: ShortTexts): CodeText {
  const all = variants.flatMap((v) => v.steps);
  const texts = named(
    "w",
    all.map((s) => s.wgsl),
    1,
  );
  const steps = named(
    "s",
    all.map((s) => stepText(s, (wgsl) => texts.get(wgsl) as string, short !== undefined)),
    2,
  );
  const step = (s: UniformStep): string => {
    const text = stepText(s, (wgsl) => texts.get(wgsl) as string, short !== undefined);
    return steps.get(text) ?? text;
  };
  const written = new Map(all.map((s) => [s.wgsl, short?.[s.key] ?? s.wgsl]));
  const constants = [
    ...[...texts].map(([wgsl, name]) => `const ${name} = ${templateLiteral(written.get(wgsl) as string)};\n`),
    ...[...steps].map(([text, name]) => `const ${name}: KernelStep = ${text};\n`),
  ];
  return {
    constants: constants.join("\n"),
    code: `{ variants: ${array(variants.map((v) => variantText(v, step)))} }`,
    types: steps.size ? ["KernelStep"] : [],
  };
}

/** Names, in order of appearance, for texts that occur at least so many times. */
function named(prefix: string, texts: readonly string[], least: number): Map<string, string> {
  const counts = new Map<string, number>();
  for (const t of texts) counts.set(t, (counts.get(t) ?? 0) + 1);
  const often = [...counts].filter(([, n]) => n >= least).map(([t]) => t);
  return new Map(often.map((t, i) => [t, `${prefix}${i}`]));
}

export const indent = (text: string): string => text.replaceAll("\n", "\n  ");
export const object = (fields: readonly (string | undefined)[]): string =>
  `{${fields.flatMap((f) => (f === undefined ? [] : [`\n  ${indent(f)},`])).join("")}\n}`;
export const array = (items: readonly string[]): string => `[${items.map((i) => `\n  ${indent(i)},`).join("")}\n]`;

/** An arrow function of a call's sizes. Parameters that it does not use begin with `_`, as strict compilers ask. */
export const ofSizes = (body: string): string =>
  `(${body.includes("d.") || body.includes("d[") ? "d" : "_d"}: Sizes) => ${body}`;

function variantText(v: UniformVariant, step: (s: UniformStep) => string): string {
  const when = conditions(v);
  return object([
    when.length ? `when: ${ofSizes(when.join(" && "))}` : undefined,
    v.align > 1 ? `align: ${v.align}` : undefined,
    v.scratch.length ? `scratch: ${ofSizes(`[${v.scratch.map((e) => sizeJs(e)).join(", ")}]`)}` : undefined,
    `steps: ${array(v.steps.map(step))}`,
  ]);
}

/** What sizes must be, in the order of the names: equal variants have equal texts. */
export function conditions(v: UniformVariant): string[] {
  const each = (sizes: Readonly<Record<string, number>>, test: (name: string, n: number) => string): string[] =>
    Object.keys(sizes)
      .sort()
      .map((name) => test(`d${property(name)}`, sizes[name] as number));
  return [
    ...each(v.multiples, (d, n) => `${d} % ${n} === 0`),
    ...each(v.min, (d, n) => `${d} >= ${n}`),
    ...each(v.max, (d, n) => `${d} <= ${n}`),
  ];
}

function stepText(s: UniformStep, text: (wgsl: string) => string, shortKey: boolean): string {
  const writes = s.bindings.reduce((bits, b, i) => (b.access === "read_write" ? bits | (1 << i) : bits), 0) >>> 0;
  return object([
    `wgsl: ${text(s.wgsl)}`,
    `key: ${stringLiteral(shortKey ? s.key.slice(0, 20) : s.key)}`,
    `bindings: [${s.bindings.map((b) => b.tensor ?? -1 - (b.scratch as number)).join(", ")}]`,
    `writes: ${writes}`,
    `words: ${s.args.length}`,
    argsText(s.args),
    `groups: ${ofSizes(sizeJs(s.groups))}`,
    ...(s.grid ? [`grid: ${ofSizes(`[${s.grid.map((g) => sizeJs(g)).join(", ")}]`)}`] : []),
  ]);
}

/** An f32 made of sizes, as JavaScript. The argument block rounds it. */
export function floatJs({ value, fn }: Extract<ArgumentSpec, { kind: "float" }>): string {
  if (fn === "inverse") return `1 / ${sizeJs(value, 3)}`;
  if (fn === "root") return `Math.sqrt(${sizeJs(value)})`;
  return fn === "inverseRoot" ? `1 / Math.sqrt(${sizeJs(value)})` : sizeJs(value);
}

type Word = { readonly memory: "u" | "f" | "i"; readonly value: string };

const words: { readonly [K in ArgumentSpec["kind"]]: (a: Extract<ArgumentSpec, { kind: K }>) => Word } = {
  size: (a) => ({ memory: "u", value: sizeJs(a.value) }),
  float: (a) => ({ memory: "f", value: floatJs(a) }),
  scalar: (a) => ({ memory: a.dtype[0] as Word["memory"], value: `d${property(a.name)}` }),
  offset: (a) => ({ memory: "u", value: a.unit === 1 ? `o[${a.binding}]!` : `o[${a.binding}]! / ${a.unit}` }),
};

/** `args(d, o, u) { … }` with no more parameters than it needs. */
function argsText(args: readonly ArgumentSpec[]): string {
  const lines = args.map((a, i) => {
    const { memory, value } = (words[a.kind] as (a: ArgumentSpec) => Word)(a);
    return {
      memory,
      reads: value.startsWith("o[") ? "o" : /\bd[.[]/.test(value) ? "d" : "",
      line: `${memory}[${i}] = ${value};`,
    };
  });
  const used = new Set(lines.flatMap((l) => [l.memory, l.reads]));
  const all = ["d", "o", "u", "f", "i"];
  const last = Math.max(...all.map((p, i) => (used.has(p) ? i : -1)));
  const parameters = all.slice(0, last + 1).map((p) => `${used.has(p) ? p : `_${p}`}${p === "d" ? ": Sizes" : ""}`);
  return `args(${parameters.join(", ")}) {${lines.map((l) => `\n  ${l.line}`).join("")}${lines.length ? "\n" : ""}}`;
}
