import { fail } from "../base/diagnostic.ts";
import { type Dim, dimText, isSym } from "./dim.ts";
import { type Attrs, type Graph, graphDims, isGraph, type Node, typeText } from "./graph.ts";
import type { AttrSpec } from "./op.ts";
import { hasRow, rowOf } from "./ops.ts";

/**
 * The text form of a graph; `parse` reads it back and `print(parse(s)) === s` for every printed `s`. Places are not
 * printed.
 *
 * ```
 * graph<T = 16>(%x: f32[T, 64], %w: f32[64, 64] weight) {
 *   %0 = matmul(%x, %w) : f32[T, 64]
 *   %1 = gelu(%0) {approximate: "tanh"} : f32[T, 64]
 *   return out: %1
 * }
 * ```
 */
export function print(graph: Graph): string {
  const dims = [...graphDims(graph)].map(([name, hint]) => `${name} = ${hint}`);
  return `${printGraph(graph, dims.length ? `<${dims.join(", ")}>` : "", "")}\n`;
}

const columns = 100;

function printGraph(graph: Graph, dims: string, indent: string): string {
  const names = new Map<Node, string>();
  const inputs = graph.inputs.map((n) => {
    const name = `%${nameText(n.attrs.name as string)}`;
    names.set(n, name);
    const role = n.attrs.role === undefined || n.attrs.role === "data" ? "" : ` ${n.attrs.role}`;
    return `${name}: ${typeText(n.type)}${role}`;
  });
  const inner = `${indent}  `;
  const lines = [listText(`graph${dims}(`, inputs, ") {", indent)];
  let next = 0;
  for (const n of graph.nodes) {
    if (names.has(n)) continue;
    names.set(n, `%${next++}`);
    lines.push(inner + nodeText(n, (a) => names.get(a) ?? "%?", inner));
  }
  const outputs = graph.outputs.map((o) => `${nameText(o.name)}: ${names.get(o.node) ?? "%?"}`);
  lines.push(inner + listText("return ", outputs, "", inner).trimEnd(), `${indent}}`);
  return lines.join("\n");
}

/** One line of the text form. `name` gives the `%` name of a node, `indent` is that of the line. */
export function nodeText(n: Node, name: (n: Node) => string, indent = ""): string {
  const type = n.results ? `(${n.results.map(typeText).join(", ")})` : typeText(n.type);
  return `${name(n)} = ${n.op}(${n.args.map(name).join(", ")})${attrsText(n.op, n.attrs, indent)} : ${type}`;
}

/** On one line when it fits, else one item a line. */
function listText(open: string, items: readonly string[], close: string, indent: string): string {
  const line = open + items.join(", ") + close;
  if (indent.length + line.length <= columns) return line;
  const end = close ? `\n${indent}${close}` : "";
  return `${open.trimEnd()}\n${items.map((i) => `${indent}  ${i}`).join(",\n")}${end}`;
}

/** A name as it is, or quoted when it is not simple. */
export const nameText = (name: string): string =>
  /^[A-Za-z_][A-Za-z0-9_.]*$/.test(name) ? name : JSON.stringify(name);

/** ` {axis: 1, keepDims: true}`, in the order of the row, or nothing. */
export function attrsText(op: string, attrs: Attrs, indent = ""): string {
  const specs = hasRow(op) ? (rowOf(op).attrs ?? {}) : {};
  const order = [...Object.keys(specs), ...Object.keys(attrs).filter((k) => !(k in specs))];
  const given = order.filter((k) => attrs[k] !== undefined);
  if (given.length === 0) return "";
  return ` {${given.map((k) => `${nameText(k)}: ${valueText(attrs[k], specs[k]?.type, indent)}`).join(", ")}}`;
}

function valueText(v: unknown, type: AttrSpec["type"] | undefined, indent: string): string {
  if (typeof v === "number") return numberText(v);
  if (typeof v === "boolean" || v === null) return String(v);
  if (typeof v === "string") return type === "dtype" ? v : JSON.stringify(v);
  if (isGraph(v)) return printGraph(v, "", indent);
  if (Array.isArray(v) || ArrayBuffer.isView(v)) {
    return `[${Array.from(v as ArrayLike<unknown>, (x) => valueText(x, undefined, indent)).join(", ")}]`;
  }
  if (typeof v === "object" && isSym(v as Dim) && "dim" in v) return dimText(v as Dim);
  return fail("bad-attribute", `an attribute holds a ${typeof v}, which has no text form`);
}

/** The shortest text that reads back to the same number. */
const numberText = (x: number): string =>
  Number.isNaN(x)
    ? "nan"
    : Math.abs(x) === Number.POSITIVE_INFINITY
      ? x < 0
        ? "-inf"
        : "inf"
      : Object.is(x, -0)
        ? "-0"
        : String(x);
