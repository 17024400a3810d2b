import { dtypes } from "../base/dtype.ts";
import { suggest } from "../base/suggest.ts";
import type { Attrs, Graph } from "./graph.ts";
import type { AttrSpec, OpRow } from "./op.ts";

const isDim = (v: unknown): boolean =>
  Number.isInteger(v) || (typeof v === "object" && v !== null && typeof (v as { dim?: unknown }).dim === "string");
const list =
  (item: (v: unknown) => boolean) =>
  (v: unknown): boolean =>
    Array.isArray(v) && v.every(item);
const isFloat = (v: unknown): boolean => typeof v === "number";

const accepts: Record<AttrSpec["type"], (v: unknown) => boolean> = {
  // Sizes inside views and counts may depend on a named dim until the graph is bound.
  int: isDim,
  ints: list(isDim),
  float: isFloat,
  floats: list(isFloat),
  bool: (v) => typeof v === "boolean",
  string: (v) => typeof v === "string",
  dtype: (v) => (dtypes as readonly unknown[]).includes(v),
  dim: isDim,
  shape: list((v) => isDim(v) && !((v as number) < 0)),
  graph: (v) => typeof v === "object" && v !== null && Array.isArray((v as Graph).nodes),
  data: (v) => ArrayBuffer.isView(v) || list(isFloat)(v),
};

/** What is wrong with the attributes of a node of this row, with a hint; undefined when nothing is. */
export function attrsProblem(row: OpRow, attrs: Attrs): { message: string; hint?: string } | undefined {
  const specs = row.attrs ?? {};
  for (const [name, value] of Object.entries(attrs)) {
    if (value === undefined) continue;
    const spec = specs[name];
    if (!spec) return unknownAttr(row, name);
    if (value === null && spec.default === null) continue;
    if (!accepts[spec.type](value)) return { message: `attribute ${name} of ${row.name} must be of type ${spec.type}` };
    if (spec.oneOf && !spec.oneOf.includes(value as string)) {
      return {
        message: `attribute ${name} of ${row.name} is ${JSON.stringify(value)}`,
        hint: `one of ${spec.oneOf.map((s) => JSON.stringify(s)).join(", ")}`,
      };
    }
  }
  for (const [name, spec] of Object.entries(specs)) {
    if (spec.default === undefined && attrs[name] === undefined) {
      return { message: `${row.name} needs the attribute ${name}`, hint: `${name}: ${spec.doc}` };
    }
  }
  return undefined;
}

export function unknownAttr(row: OpRow, name: string): { message: string; hint: string } {
  const names = Object.keys(row.attrs ?? {});
  const near = suggest(name, names);
  const known = names.length ? `${row.name} has ${names.join(", ")}` : `${row.name} has no attributes`;
  return { message: `${row.name} has no attribute ${name}`, hint: near ? `did you mean ${near}?` : known };
}

/** What is wrong with this many arguments for the row; undefined when nothing is. */
export function arityProblem(row: OpRow, count: number): string | undefined {
  const least = row.params.filter((p) => !p.startsWith("...") && !p.endsWith("?")).length;
  const most = row.params.some((p) => p.startsWith("...")) ? Number.POSITIVE_INFINITY : row.params.length;
  if (count >= least && count <= most) return undefined;
  return `${row.name} takes (${row.params.join(", ")}), but ${count} argument${count === 1 ? " was" : "s were"} given`;
}
