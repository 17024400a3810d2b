import type { WgslDeclaration } from "../../src/base/wgsl-text.ts";
import type { WgslBinding } from "../../src/frontend/wgsl-signature.ts";
import { type Flat, fieldsOf, flatten, flattenElement, isArray, isStruct, isUnsuited, typeText } from "./layout.ts";
import type { ArrayInfo, TypeInfo } from "./library.ts";
import { arrayParts, type Reading, resolveAlias } from "./reading.ts";

/** Resources that no program of tensors has. */
const handles: readonly (readonly [RegExp, string])[] = [
  [/^texture_storage/, "a storage texture"],
  [/^texture_external/, "an external texture"],
  [/^texture_/, "a texture"],
  [/^sampler/, "a sampler"],
];

/** One buffer of the text: what tensor it takes. `type` is as the library reads it. */
export function readBinding(r: Reading, d: WgslDeclaration, type: TypeInfo | undefined): WgslBinding {
  const [space, access = "read"] = d.space.split(",").map((s) => s.trim());
  const handle = handles.find(([pattern]) => pattern.test(resolveAlias(r, d.type)));
  if (handle) {
    r.refuse(
      d,
      `${d.name} is ${handle[1]}`,
      "a kernel of a program reads and writes tensors in buffers",
      "pass the elements as a storage buffer: var<storage, read> x: array<f32>",
    );
  }
  if (space !== "storage" && space !== "uniform") {
    r.refuse(
      d,
      `${d.name} is in the address space ${space || "handle"}`,
      "a kernel of a program has storage and uniform buffers",
      "make it a storage buffer",
    );
  }
  if (space === "storage" && access !== "read" && access !== "read_write") {
    r.refuse(
      d,
      `${d.name} has the access ${access}`,
      "storage buffers are read or read_write",
      "write var<storage, read> or var<storage, read_write>",
    );
  }
  const number = (attribute: string): number => {
    const text = d.attributes.find((a) => a.name === attribute)?.args;
    const value = text === undefined ? undefined : r.integer(text);
    return (
      value ??
      r.refuse(
        d,
        `the ${attribute} of ${d.name} ${text ? `is ${text}` : "is missing"}`,
        "a buffer says its group and binding as constants",
        "write @group(0) @binding(0) before it",
      )
    );
  };
  const group = number("group");
  const binding = number("binding");
  if (group !== 0) {
    r.refuse(
      d,
      `${d.name} is in group ${group}`,
      "a kernel of a program has one bind group",
      `write @group(0) @binding(${binding}), with a binding that no other buffer has`,
    );
  }
  const size = arrayParts(resolveAlias(r, d.type))?.[1];
  if (size && r.integer(size) === undefined) {
    r.refuse(
      d,
      `the size of ${d.name}, ${size}, was not understood`,
      "it is no constant expression of integers",
      "write it as a number",
    );
  }
  if (!type)
    return r.refuse(
      d,
      `the type of ${d.name}, ${d.type}, was not understood`,
      "it is no type that the text declares",
      "declare it, or write it out",
    );
  const common = { name: d.name, binding, access: access as WgslBinding["access"] };
  const array = runtimeArray(r, d, type);
  if (array) {
    if (space === "uniform")
      return r.refuse(
        d,
        `${d.name} is a uniform of no size`,
        "WGSL allows arrays without a size in storage buffers only",
        "make it a storage buffer",
      );
    const flat = plain(r, d, flattenElement(array), array);
    return { ...common, dtype: dtypeOf(flat), unit: flat.count, count: null, type: `array<${typeText(array.format)}>` };
  }
  return sized(r, d, type, common);
}

/** The array as long as its tensor that a buffer is, by itself or as the only field of a struct. */
function runtimeArray(r: Reading, d: WgslDeclaration, type: TypeInfo): ArrayInfo | undefined {
  if (isArray(type)) return arrayParts(resolveAlias(r, d.type))?.length === 1 ? type : undefined;
  if (!isStruct(type)) return undefined;
  const tail = type.members.at(-1)?.type;
  if (!tail || !isArray(tail) || tail.count) return undefined;
  if (type.members.length === 1) return tail;
  return r.refuse(
    d,
    `${d.name} is a struct that ends in an array without a size`,
    "a tensor holds elements of one kind: the fields before the array are of another",
    "declare the array as a buffer of its own, and the fields as another",
  );
}

function sized(
  r: Reading,
  d: WgslDeclaration,
  type: TypeInfo,
  common: Pick<WgslBinding, "name" | "binding" | "access">,
): WgslBinding {
  const info = isArray(type) ? counted(r, d, type) : type;
  const text = typeText(info);
  const flat = flatten(info);
  // What is only read may have gaps: it is given by its fields or word by word.
  const words = (info.size || 4) / 4;
  const asWords = common.access === "read" && !isArray(info) && Number.isInteger(words);
  if (asWords) {
    const fields = fieldsOf(info);
    const gaps = isUnsuited(flat) || flat.scalars.has("f16");
    const dtype = gaps || flat.scalars.size > 1 ? "u32" : dtypeOf(flat);
    return { ...common, dtype, unit: 1, count: words, type: text, fields };
  }
  const found = plain(r, d, flat, info);
  return { ...common, dtype: dtypeOf(found), unit: 1, count: found.count, type: text };
}

/** An array with its size, which the library does not always evaluate. */
function counted(r: Reading, d: WgslDeclaration, type: ArrayInfo): ArrayInfo {
  const count = r.integer(arrayParts(resolveAlias(r, d.type))?.[1] ?? "") ?? type.count;
  return Object.assign(Object.create(Object.getPrototypeOf(type)) as ArrayInfo, type, {
    count,
    size: count * type.stride,
  });
}

function plain(r: Reading, d: WgslDeclaration, flat: ReturnType<typeof flatten>, type: TypeInfo): Flat {
  return isUnsuited(flat) ? r.refuse(d, `${d.name} is ${typeText(type)}`, flat.cause, flat.hint) : flat;
}

const dtypeOf = ({ scalars }: Flat): WgslBinding["dtype"] =>
  scalars.size === 1 ? ([...scalars][0] as WgslBinding["dtype"]) : "u32";
