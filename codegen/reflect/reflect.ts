import { fail, SinterError } from "../../src/base/diagnostic.ts";
import { suggest } from "../../src/base/suggest.ts";
import { wgslInteger } from "../../src/base/wgsl-const.ts";
import {
  editWgsl,
  type WgslDeclaration,
  wgslDeclarations,
  wgslPosition,
  wgslReachable,
} from "../../src/base/wgsl-text.ts";
import type {
  WgslBinding,
  WgslOverride,
  WgslReflector,
  WgslSignature,
  WgslWorkgroupArray,
} from "../../src/frontend/wgsl-signature.ts";
import { readBinding } from "./binding.ts";
import { type ArrayInfo, type TypeInfo, WgslReflect } from "./library.ts";
import { arrayParts, type Reading, resolveAlias, split } from "./reading.ts";

/**
 * Reads what a WGSL text says of its interface: entry point, buffers, overrides, workgroup size. Comments and the
 * bodies of functions count only for which declarations they mention.
 * @throws SinterError `wgsl-syntax`, `wgsl-entry-point` and `wgsl-unsupported`, with line and column of the text
 */
export const reflectWgsl: WgslReflector = (source, { name = "wgslKernel", entry } = {}) => {
  try {
    return read(source, entry);
  } catch (e) {
    if (!(e instanceof SinterError)) throw e;
    throw new SinterError({ ...e.diagnostic, message: `${name}: ${e.diagnostic.message}` }, { cause: e });
  }
};

function read(source: string, wanted: string | undefined): WgslSignature {
  const declarations = wgslDeclarations(source);
  const values = new Map(declarations.flatMap((d) => (d.kind === "const" ? [[d.name, d.value] as const] : [])));
  const integer = (text: string): number | undefined =>
    wgslInteger(text, (name) => (values.has(name) ? integer(values.get(name) as string) : undefined));
  const refuse = (at: WgslDeclaration, message: string, cause: string, hint: string): never =>
    fail("wgsl-unsupported", `WGSL ${wgslPosition(source, at.keywordAt)}: ${message}`, { cause, hint });
  const r: Reading = { source, declarations, integer, refuse };

  const entry = entryPoint(r, wanted);
  const used = wgslReachable(source, declarations, entry);
  const memory = [...used].filter((d) => d.kind === "var" && d.space === "workgroup").map((d) => splitArray(r, d));
  const types = readTypes(r, memory);
  const bindings = [...used]
    .filter((d) => d.kind === "var" && d.space !== "workgroup" && d.space !== "private")
    .map((d) => readBinding(r, d, types.variable(d)))
    .sort((a, b) => a.binding - b.binding);
  unique(r, bindings);
  const workgroupMemory: readonly WgslWorkgroupArray[] = memory.map((m, i) => ({
    bytes: types.elementBytes(i),
    counts: m.counts,
  }));
  const workgroupSize = sizesOf(r, entry);
  const overrides = [...used].filter((d) => d.kind === "override").map(readOverride);
  const sizes = [...workgroupSize, ...memory.flatMap((m) => m.counts), ...overrides.map((o) => o.value ?? "")];
  return {
    entry: entry.name,
    bindings,
    overrides,
    constants: mentioned(sizes, values),
    workgroupSize,
    workgroupMemory,
    requires: extensions(r),
  };
}

function entryPoint({ source, declarations }: Reading, wanted: string | undefined): WgslDeclaration {
  const has = (d: WgslDeclaration, stage: string): boolean => d.attributes.some((a) => a.name === stage);
  const list = declarations.filter((d) => d.kind === "fn" && has(d, "compute"));
  const names = list.map((d) => `${d.name} (${wgslPosition(source, d.keywordAt)})`).join(", ");
  const found = wanted === undefined && list.length === 1 ? list[0] : list.find((d) => d.name === wanted);
  if (found) return found;
  if (list.length === 0) {
    const other = declarations.find((d) => has(d, "vertex") || has(d, "fragment"));
    fail("wgsl-entry-point", "the text has no compute entry point", {
      ...(other ? { cause: `${other.name} at ${wgslPosition(source, other.keywordAt)} is of another stage` } : {}),
      hint: "write @compute @workgroup_size(64) before the function to run",
    });
  }
  if (wanted === undefined) {
    fail("wgsl-entry-point", `the text has ${list.length} compute entry points: ${names}`, {
      hint: `choose one: wgslKernel(source, { entry: ${JSON.stringify(list[0]?.name)} })`,
    });
  }
  const near = suggest(
    wanted as string,
    list.map((d) => d.name),
  );
  return fail("wgsl-entry-point", `the text has no compute entry point ${JSON.stringify(wanted)}, but ${names}`, {
    hint: near ? `did you mean ${JSON.stringify(near)}?` : "give the name of one of these",
  });
}

function sizesOf(r: Reading, entry: WgslDeclaration): readonly string[] {
  const attribute = entry.attributes.find((a) => a.name === "workgroup_size");
  if (!attribute) {
    return r.refuse(
      entry,
      `entry point ${entry.name} has no workgroup size`,
      "a compute entry point says how many invocations run together",
      "write @workgroup_size(64) before it",
    );
  }
  const given = split(attribute.args);
  return [0, 1, 2].map((i) => given[i] ?? "1");
}

interface SplitArray {
  readonly element: string;
  readonly counts: readonly string[];
}

/** `array<array<f32, N>, M>` as its element and its sizes, through aliases. */
function splitArray(r: Reading, d: WgslDeclaration): SplitArray {
  let element = resolveAlias(r, d.type);
  const counts: string[] = [];
  for (let inner = arrayParts(element); inner; inner = arrayParts(element)) {
    counts.push(inner[1] ?? "1");
    element = resolveAlias(r, inner[0] as string);
  }
  return { element, counts };
}

interface TypesRead {
  variable(d: WgslDeclaration): TypeInfo | undefined;
  elementBytes(i: number): number;
}

/**
 * What the library makes of the types. It reads neither expressions in attributes nor every statement and directive, so
 * it gets the declarations of types and variables alone; elements of workgroup arrays are asked for as storage arrays.
 */
function readTypes(r: Reading, memory: readonly SplitArray[]): TypesRead {
  const { source, declarations } = r;
  const edits = declarations.flatMap((d) => {
    const value = d.kind === "const" ? r.integer(d.value) : undefined;
    if (value !== undefined) return [{ start: d.start, end: d.end, text: `const ${d.name} = ${value};` }];
    const [, size] = arrayParts(d.type) ?? [];
    const local = d.space === "workgroup" || d.space === "private" || (size && r.integer(size) === undefined);
    if (local || !["var", "struct", "alias"].includes(d.kind)) return [{ start: d.start, end: d.end, text: "" }];
    return d.attributes
      .filter((x) => x.name === "binding" || x.name === "group")
      .map((x) => ({ start: x.argsAt, end: x.argsEnd, text: String(r.integer(x.args) ?? 0) }));
  });
  const probe = (i: number): string => `sinter_element_${i}`;
  const asked = memory.map((m, i) => `@group(0) @binding(${1000 + i}) var<storage> ${probe(i)}: array<${m.element}>;`);
  let library: InstanceType<typeof WgslReflect>;
  try {
    library = new WgslReflect([editWgsl(source, edits), ...asked].join("\n"));
  } catch (e) {
    const [, message, line] = /^([\s\S]*?)\.* Line: (\d+)/.exec((e as Error).message) ?? [];
    return fail("wgsl-syntax", `WGSL ${line ?? 1}:1: ${message ?? (e as Error).message}`, {
      hint: "correct the declaration on that line",
    });
  }
  const all = new Map([...library.storage, ...library.uniforms].map((v) => [v.name, v.type]));
  return {
    variable: (d) => all.get(d.name),
    elementBytes: (i) => (all.get(probe(i)) as ArrayInfo | undefined)?.stride || 4,
  };
}

const literals: readonly (readonly [RegExp, WgslOverride["type"]])[] = [
  [/^(true|false)$/, "bool"],
  [/^-?(0[xX][0-9a-fA-F]+|\d+)u$/, "u32"],
  [/^-?(0[xX][0-9a-fA-F]+|\d+)i?$/, "i32"],
  [/^-?[\d.]+(e[+-]?\d+)?h$/i, "f16"],
  [/^-?[\d.]+(e[+-]?\d+)?f?$/i, "f32"],
];

function readOverride(d: WgslDeclaration): WgslOverride {
  const type = (d.type || literals.find(([pattern]) => pattern.test(d.value))?.[1] || null) as WgslOverride["type"];
  return { name: d.name, type, value: d.value || null };
}

/** Named constants that expressions mention, directly or through others. */
function mentioned(expressions: readonly string[], values: ReadonlyMap<string, string>): Record<string, string> {
  const out: Record<string, string> = {};
  const list = [...expressions];
  for (const text of list) {
    for (const [word] of text.matchAll(/[\p{XID_Start}_]\p{XID_Continue}*/gu)) {
      if (Object.hasOwn(out, word) || !values.has(word)) continue;
      out[word] = values.get(word) as string;
      list.push(out[word]);
    }
  }
  return out;
}

const supported: readonly string[] = ["f16", "subgroups"];

function extensions(r: Reading): ("f16" | "subgroups")[] {
  const out = new Set<"f16" | "subgroups">();
  for (const d of r.declarations) {
    if (d.kind !== "enable") continue;
    for (const name of split(d.type)) {
      if (supported.includes(name)) out.add(name as "f16");
      else {
        r.refuse(
          d,
          `the extension ${name} is not supported`,
          "devices are opened with shader-f16 and subgroups where they have them, and with nothing else",
          "enable f16 and subgroups only",
        );
      }
    }
  }
  return [...out].sort();
}

function unique(r: Reading, bindings: readonly WgslBinding[]): void {
  bindings.forEach((b, i) => {
    const twin = bindings[i - 1];
    if (twin?.binding !== b.binding) return;
    const at = r.declarations.find((d) => d.name === b.name) as WgslDeclaration;
    r.refuse(
      at,
      `${b.name} and ${twin.name} both have binding ${b.binding}`,
      "each buffer has a binding of its own",
      "number them apart",
    );
  });
}
