import type { WgslField } from "../../src/frontend/wgsl-signature.ts";
import type { ArrayInfo, MemberInfo, StructInfo, TemplateInfo, TypeInfo } from "./library.ts";

type Scalar = "f32" | "f16" | "i32" | "u32";

/** A type as scalars that follow one another in memory without gaps. */
export interface Flat {
  readonly scalars: ReadonlySet<Scalar>;
  /** Scalars in all, and the bytes they fill. */
  readonly count: number;
  readonly bytes: number;
}

/** Why a type cannot be the elements of a tensor, and what to write instead. */
export interface Unsuited {
  readonly cause: string;
  readonly hint: string;
}

export const isUnsuited = (x: Flat | Unsuited): x is Unsuited => "cause" in x;

const bytesOf: Readonly<Record<Scalar, number>> = { f32: 4, f16: 2, i32: 4, u32: 4 };
const letters: Readonly<Record<string, Scalar>> = { f: "f32", h: "f16", i: "i32", u: "u32" };
const isScalar = (name: string): name is Scalar => Object.hasOwn(bytesOf, name);

/** The scalar type and lanes of a scalar, a vector or an atomic. */
function lanesOf(t: TypeInfo): { readonly scalar: Scalar; readonly lanes: number } | undefined {
  if (isScalar(t.name)) return { scalar: t.name, lanes: 1 };
  const [, n, letter] = /^vec([234])([fhiu])?$/.exec(t.name) ?? [];
  const scalar = letter ? letters[letter] : (t as TemplateInfo).format?.name;
  if (n && scalar && isScalar(scalar)) return { scalar, lanes: Number(n) };
  if (t.name === "atomic" && scalar && isScalar(scalar)) return { scalar, lanes: 1 };
  return undefined;
}

/** Text of a type, for messages. */
export function typeText(t: TypeInfo): string {
  if (t.isArray) {
    const { format, count } = t as ArrayInfo;
    return `array<${typeText(format)}${count ? `, ${count}` : ""}>`;
  }
  const v = lanesOf(t);
  if (v && v.lanes > 1) return `vec${v.lanes}<${v.scalar}>`;
  return t.getTypeName();
}

export const isStruct = (t: TypeInfo): t is StructInfo => t.isStruct;
export const isArray = (t: TypeInfo): t is ArrayInfo => t.isArray;

const gap = (what: string): Unsuited => ({
  cause: `${what}, and elements of a tensor have no gaps between them`,
  hint: "use scalars, vec2 or vec4, or make the gap a field of its own",
});

/** The scalars of a type, or why it is no plain sequence of them. */
export function flatten(t: TypeInfo): Flat | Unsuited {
  const v = lanesOf(t);
  if (v) return { scalars: new Set([v.scalar]), count: v.lanes, bytes: v.lanes * bytesOf[v.scalar] };
  if (isArray(t)) {
    const element = flattenElement(t);
    if (isUnsuited(element)) return element;
    if (!t.count) return { cause: `${typeText(t)} inside another type has no size`, hint: "give the array a size" };
    return { scalars: element.scalars, count: element.count * t.count, bytes: element.bytes * t.count };
  }
  const [, columns, rows, letter] = /^mat([234])x([234])([fh])?$/.exec(t.name) ?? [];
  if (columns && rows) {
    const scalar = (letter ? letters[letter] : (t as TemplateInfo).format?.name) as Scalar;
    if (rows === "3") return gap(`the columns of ${typeText(t)} take 4 scalars of which 3 are used`);
    const count = Number(columns) * Number(rows);
    return { scalars: new Set([scalar]), count, bytes: count * bytesOf[scalar] };
  }
  if (isStruct(t)) return flattenStruct(t);
  return {
    cause: `${typeText(t)} is no type of numbers in memory`,
    hint: "use f32, f16, i32, u32, vectors, structs and arrays of them",
  };
}

/** The scalars of one element of an array. */
export function flattenElement(t: ArrayInfo): Flat | Unsuited {
  const element = flatten(t.format);
  if (isUnsuited(element) || element.bytes === t.stride) return element;
  return gap(`each ${typeText(t.format)} takes ${t.stride} bytes of which ${element.bytes} are used`);
}

function flattenStruct(t: StructInfo): Flat | Unsuited {
  const scalars = new Set<Scalar>();
  let [count, bytes] = [0, 0];
  for (const m of t.members) {
    const flat = flatten(m.type);
    if (isUnsuited(flat)) return { ...flat, cause: `in field ${m.name}: ${flat.cause}` };
    if (m.offset !== bytes) return gap(`before field ${m.name} of ${t.name} are ${m.offset - bytes} unused bytes`);
    for (const s of flat.scalars) scalars.add(s);
    count += flat.count;
    bytes += flat.bytes;
  }
  if (t.size !== bytes) return gap(`at the end of ${t.name} are ${t.size - bytes} unused bytes`);
  if (scalars.has("f16") && scalars.size > 1) {
    return {
      cause: `${t.name} mixes halves with other numbers`,
      hint: "use one tensor for the halves and one for the rest",
    };
  }
  return { scalars, count, bytes };
}

/** The fields of a struct, or the value itself, by which its words may be given as numbers. */
export function fieldsOf(t: TypeInfo): readonly WgslField[] {
  return isStruct(t) ? t.members.map((m: MemberInfo) => fieldOf(m.name, m.type, m.offset)) : [fieldOf("", t, 0)];
}

function fieldOf(name: string, t: TypeInfo, offset: number): WgslField {
  const element = isArray(t) ? t.format : t;
  const v = element.name === "atomic" ? undefined : lanesOf(element);
  const scalar = v && v.scalar !== "f16" ? v.scalar : null;
  return {
    name,
    scalar,
    type: typeText(t),
    word: offset / 4,
    lanes: v?.lanes ?? 1,
    count: isArray(t) ? t.count : 1,
    stride: isArray(t) ? t.stride / 4 : 0,
  };
}
