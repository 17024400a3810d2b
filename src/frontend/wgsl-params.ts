import { fail } from "../base/diagnostic.ts";
import { type Dim, isSym } from "../ir/dim.ts";
import type { GraphBuilder, Node } from "../ir/graph.ts";
import { wordOf } from "../ir/ops/wgsl.ts";
import { unknownName } from "./options.ts";
import { describe, exactly, isTensor, type Tensor } from "./tensor.ts";
import type { WgslBinding, WgslField } from "./wgsl-signature.ts";

/** One number of a buffer: a plain one, a size that may depend on named dims, or a scalar computed by the program. */
export type WgslNumber = number | Dim | Tensor;
/** A field: a number, the lanes of a vector, the elements of an array. */
export type WgslFieldValue = WgslNumber | readonly WgslFieldValue[];
/** The fields of a struct by name. */
export type WgslFields = Readonly<Record<string, WgslFieldValue>>;

const isDim = (v: unknown): v is Dim => typeof v === "object" && v !== null && "dim" in v && isSym(v as Dim);

/** Whether a value is numbers for a buffer's fields and no tensor. */
export const isFields = (v: unknown): v is WgslFields | WgslNumber =>
  !isTensor(v) && (typeof v === "number" || (typeof v === "object" && v !== null && !ArrayBuffer.isView(v)));

/** The words of a buffer whose fields are given as numbers: what does not change with sizes is one tensor for all calls. */
export function fieldWords(op: string, b: GraphBuilder, binding: WgslBinding, given: WgslFields | WgslNumber): Node {
  const fields = binding.fields as readonly WgslField[];
  const kinds = new Array<string>(binding.count as number).fill("u");
  const values = new Array<Dim>(kinds.length).fill(0);
  const scalars: Node[] = [];
  const put = (path: string, f: WgslField, word: number, v: WgslFieldValue | undefined): void => {
    const scalar = f.scalar as NonNullable<WgslField["scalar"]>;
    if (isTensor(v)) {
      if (v.rank !== 0 || v.dtype !== scalar) {
        fail("dtype-mismatch", `${op}: ${path} is ${v}, and the text declares ${scalar}`, {
          cause: "a field takes a scalar of its own type",
          hint: `cast or reshape it: cast(x, "${scalar}")`,
        });
      }
      kinds[word] = "x";
      scalars.push(v.node);
    } else if (isDim(v)) {
      kinds[word] = scalar === "f32" ? "f" : "u";
      values[word] = v;
    } else if (typeof v === "number") {
      values[word] = wordOf(scalar === "f32" ? v : exactly(op, v, scalar), scalar);
    } else {
      fail("bad-option", `${op}: ${path} is ${describe(v)}`, {
        cause: `the text declares ${f.type}`,
        hint: "give a number, a size such as x.size(0), or a scalar tensor",
      });
    }
  };
  const list = (path: string, v: WgslFieldValue | undefined, n: number, type: string): readonly WgslFieldValue[] => {
    if (Array.isArray(v) && v.length === n) return v as readonly WgslFieldValue[];
    return fail("bad-option", `${op}: ${path} is ${describe(v)}${Array.isArray(v) ? ` of ${v.length}` : ""}`, {
      cause: `the text declares ${type}`,
      hint: `give an array of ${n}`,
    });
  };
  const lanes = (path: string, f: WgslField, word: number, v: WgslFieldValue | undefined): void => {
    if (f.lanes === 1) put(path, f, word, v);
    else list(path, v, f.lanes, f.type).forEach((e, i) => void put(`${path}[${i}]`, f, word + i, e));
  };
  for (const { field: f, value, path } of pairs(op, binding, fields, given)) {
    if (f.scalar === null) {
      fail("wgsl-unsupported", `${op}: ${path} is ${f.type}, which numbers cannot be given for`, {
        cause: "matrices, halves and structs inside structs have no form as numbers",
        hint: `give ${binding.name} as a u32 tensor of its ${binding.count} words`,
      });
    }
    if (f.stride === 0) lanes(path, f, f.word, value);
    else {
      const elements = list(path, value, f.count, f.type);
      elements.forEach((e, i) => void lanes(`${path}[${i}]`, f, f.word + i * f.stride, e));
    }
  }
  return b.add("words", scalars, { kinds: kinds.join(""), values });
}

interface Pair {
  readonly field: WgslField;
  readonly value: WgslFieldValue | undefined;
  readonly path: string;
}

function pairs(
  op: string,
  { name }: WgslBinding,
  fields: readonly WgslField[],
  given: WgslFields | WgslNumber,
): readonly Pair[] {
  const [only] = fields;
  if (only?.name === "") return [{ field: only, value: given as WgslFieldValue, path: name }];
  if (typeof given !== "object" || isDim(given) || Array.isArray(given)) {
    return fail("bad-option", `${op}: ${name} is ${describe(given)}`, {
      cause: `the text declares a struct of ${fields.map((f) => `${f.name}: ${f.type}`).join(", ")}`,
      hint: `write { ${fields.map((f) => `${f.name}: …`).join(", ")} }`,
    });
  }
  const names = fields.map((f) => f.name);
  for (const key of Object.keys(given)) {
    if (!names.includes(key)) unknownName("unknown-option", `${op}: ${name} has no field`, key, names);
  }
  return fields.map((field) => ({
    field,
    value: (given as WgslFields)[field.name],
    path: `${name}.${field.name}`,
  }));
}
