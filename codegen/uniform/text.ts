import { sha256 } from "../../src/base/sha256.ts";
import { toolchainVersion } from "../../src/manifest/key.ts";
import type { ArgumentSpec, SizeExpr } from "../../src/manifest/uniform.ts";
import type { Fitter } from "./fit.ts";

/** Numbers of a kernel's text that may be made of sizes: unsigned, signed, and floats in decimals or by their bits. */
const numbers = /bitcast<f32>\(0x([0-9a-f]{8})u\)|\b(\d+\.\d+)f\b|\b(\d+)u\b|\b(\d+)i\b/g;

type NumberKind = "u32" | "i32" | "f32";
interface Token {
  readonly kind: NumberKind;
  readonly value: number;
  readonly text: string;
}

interface Parts {
  /** The text with a mark for each number. */
  readonly skeleton: string;
  readonly tokens: readonly Token[];
}

const bits = new DataView(new ArrayBuffer(4));

function partsOf(wgsl: string): Parts {
  const tokens: Token[] = [];
  const skeleton = wgsl.replace(numbers, (text, hex?: string, float?: string, unsigned?: string, signed?: string) => {
    const kind: NumberKind = hex || float ? "f32" : unsigned ? "u32" : "i32";
    if (hex) bits.setUint32(0, Number.parseInt(hex, 16));
    tokens.push({ kind, value: hex ? bits.getFloat32(0) : Number(float ?? unsigned ?? signed), text });
    return `#${kind}#`;
  });
  return { skeleton, tokens };
}

/** The text without its numbers: equal for kernels that differ by these alone. */
export const skeletonOf = (wgsl: string): string => partsOf(wgsl).skeleton;

/** What the texts of one kernel at several points have in common. */
export interface Unified {
  readonly wgsl: string;
  readonly args: readonly ArgumentSpec[];
}

/** Why texts cannot be one: for the error's cause. */
export class NotUniform extends Error {}

/**
 * One text for all sizes from the texts at several points: they must be equal but for numbers, and each number that differs
 * must be one expression in the sizes, which becomes a word of the argument block.
 */
export function unify(
  texts: readonly string[],
  fitter: Fitter,
  units: readonly number[],
  scalars: ReadonlyMap<number, ScalarArgument>,
): Unified {
  const parts = texts.map(partsOf);
  const [first] = parts as [Parts];
  const other = parts.find((p) => p.skeleton !== first.skeleton);
  if (other) throw new NotUniform(`${difference(first.skeleton, other.skeleton)}`);
  const args: ArgumentSpec[] = [];
  const fields = new Map<string, string>();
  const field = (spec: ArgumentSpec): string => {
    const key = JSON.stringify(spec);
    const known = fields.get(key);
    if (known) return known;
    const name = `args.a${args.length}`;
    args.push(spec);
    fields.set(key, name);
    return name;
  };
  let at = 0;
  const body = first.skeleton
    .replace(/#(u32|i32|f32)#/g, (_, kind: NumberKind) => {
      const tokens = parts.map((p) => p.tokens[at] as Token);
      at++;
      const values = tokens.map((t) => t.value);
      if (values.every((v) => Object.is(v, values[0]))) return (tokens[0] as Token).text;
      if (kind === "f32") return field(floatOf(values, fitter));
      const value = found(fitter.find(values), values);
      return kind === "u32" ? field({ kind: "size", value }) : `i32(${field({ kind: "size", value })})`;
    })
    .replace(/%o(\d+)%/g, (_, b) => field({ kind: "offset", binding: Number(b), unit: units[Number(b)] as number }))
    .replace(/%s(\d+)%/g, (_, t) => {
      const s = scalars.get(Number(t)) as ScalarArgument;
      return field({ kind: "scalar", name: s.name, dtype: s.dtype });
    });
  return { wgsl: declared(body, args, units.length), args };
}

export interface ScalarArgument {
  readonly name: string;
  readonly dtype: "f32" | "i32" | "u32";
}

const found = (e: SizeExpr | undefined, values: readonly number[]): SizeExpr => {
  if (e === undefined)
    throw new NotUniform(`the numbers ${values.join(", ")} follow from no simple expression in sizes`);
  return e;
};

/** How a float may follow from a whole number made of sizes. */
const floats: readonly {
  readonly whole: (v: number) => number;
  readonly of: (n: number) => number;
  readonly fn?: "inverse" | "root" | "inverseRoot";
}[] = [
  { whole: (v) => Math.round(v), of: (n) => n },
  { whole: (v) => Math.round(1 / v), of: (n) => 1 / n, fn: "inverse" },
  { whole: (v) => Math.round(v * v), of: (n) => Math.sqrt(n), fn: "root" },
  { whole: (v) => Math.round(1 / (v * v)), of: (n) => 1 / Math.sqrt(n), fn: "inverseRoot" },
];

function floatOf(values: readonly number[], fitter: Fitter): ArgumentSpec {
  for (const { whole, of, fn } of floats) {
    const n = values.map(whole);
    if (!n.every((v, i) => Math.fround(of(v)) === Math.fround(values[i] as number))) continue;
    const value = fitter.find(n);
    if (value !== undefined) return { kind: "float", value, ...(fn ? { fn } : {}) };
  }
  // Of a number beyond 2^24 a float has the first digits only.
  for (const { of, fn } of floats) {
    const value = fitter.findBy(values.map(Math.fround), (v) => Math.fround(of(v)));
    if (value !== undefined) return { kind: "float", value, ...(fn ? { fn } : {}) };
  }
  throw new NotUniform(`the numbers ${values.join(", ")} follow from no simple expression in sizes`);
}

const typeOf = (a: ArgumentSpec): string => (a.kind === "float" ? "f32" : a.kind === "scalar" ? a.dtype : "u32");

/** The text with its argument block, which is bound after the storage buffers. */
function declared(body: string, args: readonly ArgumentSpec[], bindings: number): string {
  if (args.length === 0) return body;
  const struct = [
    `struct Args { ${args.map((a, i) => `a${i}: ${typeOf(a)}`).join(", ")} }`,
    `@group(0) @binding(${bindings}) var<uniform> args: Args;`,
  ].join("\n");
  // Directives come first.
  const lines = body.split("\n");
  const at = lines.findIndex((l) => !l.startsWith("enable "));
  return [...lines.slice(0, at), struct, ...lines.slice(at)].join("\n");
}

function difference(a: string, b: string): string {
  const [x, y] = [a.split("\n"), b.split("\n")];
  const i = x.findIndex((l, k) => l !== y[k]);
  return `a kernel's text has another structure at other sizes: ${JSON.stringify(x[i]?.trim())} and ${JSON.stringify(y[i]?.trim() ?? "")}`;
}

/** SHA-256 of a text with its interface and the toolchain's version. */
export const uniformKey = (wgsl: string, access: readonly string[]): string =>
  sha256(JSON.stringify([toolchainVersion, "uniform", access, wgsl]));
