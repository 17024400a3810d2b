import { fail } from "../base/diagnostic.ts";
import { wgslInteger } from "../base/wgsl-const.ts";
import {
  editWgsl,
  type WgslDeclaration,
  type WgslEdit,
  wgslDeclarations,
  wgslPosition,
  withoutComments,
} from "../base/wgsl-text.ts";
import { unknownName } from "./options.ts";
import { describe, exactly } from "./tensor.ts";
import type { WgslOverride, WgslSignature } from "./wgsl-signature.ts";

export type WgslOverrides = Readonly<Record<string, number | boolean>>;

/** A text for given overrides, as programs run it. */
export interface WgslInstance {
  readonly source: string;
  readonly workgroupSize: readonly number[];
  readonly workgroupBytes: number;
}

/**
 * The text with overrides as constants, since pipelines are cached by their text; with uniform buffers as storage buffers,
 * which programs bind alone: their layout is stricter, so it stays; and with its entry point named main. Lines stay where
 * they are.
 */
export function instantiate(op: string, source: string, signature: WgslSignature, given: WgslOverrides): WgslInstance {
  const values = overrideValues(op, signature, given);
  const declarations = wgslDeclarations(source);
  const text = editWgsl(source, [
    ...declarations.flatMap((d) =>
      values.has(d.name) && d.kind === "override" ? [asConstant(d, signature, values)] : [],
    ),
    ...asStorage(source, declarations),
    ...renamed(source, declarations, signature.entry),
  ]);
  const size = (expression: string, what: string): number => {
    const n = integer(expression, signature, values);
    if (n !== undefined && n > 0) return n;
    return fail("wgsl-unsupported", `${op}: ${what} is ${expression}${n === undefined ? "" : `, which is ${n}`}`, {
      cause: "sizes are positive integers, known when the program is traced",
      hint: "use integer literals, constants and overrides with + - * / % << >>, min and max",
    });
  };
  const [x, y, z] = signature.workgroupSize;
  const bytes = signature.workgroupMemory.map(({ bytes: element, counts }) =>
    counts.reduce((n, c) => n * size(c, "the size of an array in workgroup memory"), element),
  );
  return {
    source: text,
    workgroupSize: [x, y, z].map((e) => size(e as string, "the workgroup size")),
    workgroupBytes: bytes.reduce((sum, n) => sum + Math.ceil(n / 16) * 16, 0),
  };
}

/** The text of each override's value: given, or as it is in the source. */
function overrideValues(op: string, { overrides }: WgslSignature, given: WgslOverrides): ReadonlyMap<string, string> {
  const names = overrides.map((o) => o.name);
  for (const name of Object.keys(given)) {
    if (!names.includes(name)) unknownName("unknown-option", `${op} has no override`, name, names);
  }
  return new Map(
    overrides.map((o) => {
      const value = given[o.name];
      const text = value === undefined ? o.value : literal(op, o, value);
      if (text !== null) return [o.name, text];
      return fail("missing-override", `${op}: the override ${o.name} has no value`, {
        cause: "the text gives it none",
        hint: `write { overrides: { ${o.name}: … } }`,
      });
    }),
  );
}

const suffixes: Readonly<Record<string, string>> = { f32: "f", f16: "h", i32: "i", u32: "u" };

function literal(op: string, { name, type }: WgslOverride, value: number | boolean): string {
  const wanted = type === "bool" ? "boolean" : "number";
  if ((type !== null && typeof value !== wanted) || !["number", "boolean"].includes(typeof value)) {
    fail("bad-option", `${op}: the override ${name} is ${type ?? "a number"}, not ${describe(value)}`, {
      hint: `give a ${wanted}`,
    });
  }
  if (typeof value === "boolean") return String(value);
  if (!Number.isFinite(value)) {
    fail("bad-number", `${op}: the override ${name} cannot be ${value}`, { hint: "WGSL has finite constants only" });
  }
  if (type === "i32" || type === "u32") exactly(op, value, type);
  return `${value}${suffixes[type ?? ""] ?? ""}`;
}

function asConstant(d: WgslDeclaration, { overrides }: WgslSignature, values: ReadonlyMap<string, string>): WgslEdit {
  const type = d.type || overrides.find((o) => o.name === d.name)?.type;
  return { start: d.start, end: d.end, text: `const ${d.name}${type ? `: ${type}` : ""} = ${values.get(d.name)};` };
}

function asStorage(source: string, declarations: readonly WgslDeclaration[]): WgslEdit[] {
  const edits = declarations
    .filter((d) => d.kind === "var" && d.space === "uniform")
    .map((d) => ({ start: d.spaceAt, end: source.indexOf(">", d.spaceAt), text: "storage, read" }));
  if (edits.length === 0) return [];
  const pointers = [...withoutComments(source).matchAll(/\bptr\s*<\s*(?=uniform\b)/g)].map((m) => {
    const start = m.index + m[0].length;
    return { start, end: start + "uniform".length, text: "storage" };
  });
  return [...edits, ...pointers];
}

/** Names the entry point main; nothing can refer to an entry point, so another one of that name takes its. */
function renamed(source: string, declarations: readonly WgslDeclaration[], entry: string): WgslEdit[] {
  if (entry === "main") return [];
  const rename = (d: WgslDeclaration, text: string): WgslEdit => ({
    start: d.nameAt,
    end: d.nameAt + d.name.length,
    text,
  });
  return declarations.flatMap((d) => {
    if (d.name === entry) return [rename(d, "main")];
    if (d.name !== "main") return [];
    if (d.attributes.some((a) => ["compute", "vertex", "fragment"].includes(a.name))) return [rename(d, entry)];
    return fail("wgsl-entry-point", `WGSL ${wgslPosition(source, d.nameAt)}: a ${d.kind} is named main`, {
      cause: `the entry point ${entry} is given that name in a program`,
      hint: "give it another name",
    });
  });
}

/** A constant expression of overrides and named constants. */
function integer(
  expression: string,
  { constants }: WgslSignature,
  values: ReadonlyMap<string, string>,
): number | undefined {
  const seen = new Set<string>();
  const numberOf = (name: string): number | undefined => {
    const text = values.get(name) ?? constants[name];
    if (text === undefined || seen.has(name)) return undefined;
    seen.add(name);
    const n = wgslInteger(text, numberOf);
    seen.delete(name);
    return n;
  };
  return wgslInteger(expression, numberOf);
}
