import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { lane, shapeOf } from "./emitter.ts";
import { closeFrame, type Kernel, openFrame, writeAt } from "./kernel.ts";
import { typeOf } from "./storage.ts";

const groupSize = 64;

/** Sizes of attention: q [batch…, heads, T, D], k [batch…, kvHeads, S, D], v [batch…, kvHeads, S, Dv]. */
export interface Sizes {
  readonly node: Node;
  readonly lead: readonly number[];
  readonly rows: number;
  readonly keys: number;
  readonly depth: number;
  readonly valueDepth: number;
  readonly group: number;
  /** What scores are multiplied by: 1/√D unless given. */
  readonly scale: number;
}

export function sizesOf(node: Node): Sizes {
  const [q, k, v] = node.args.map(shapeOf) as [readonly number[], readonly number[], readonly number[]];
  const r = q.length;
  return {
    node,
    lead: shapeOf(node).slice(0, -2),
    rows: q[r - 2] as number,
    keys: k[k.length - 2] as number,
    depth: q[r - 1] as number,
    valueDepth: v[v.length - 1] as number,
    scale: (node.attrs.scale as number | undefined) ?? 1 / Math.sqrt(q[r - 1] as number),
    group: r >= 3 ? (q[r - 3] as number) / Math.max(1, k[k.length - 3] as number) : 1,
  };
}

/**
 * Attention with an online softmax (Milakov and Gimelshein 2018; Dao et al. 2022): an invocation owns a query row and
 * keeps its maximum, its sum and its weighted values while it walks over the keys, so scores never reach memory.
 */
export function writeAttentionRow(region: Region, capabilities: Capabilities): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const [q, k, v0, mask] = s.node.args as [Node, Node, Node, Node | undefined];
  const total = s.lead.reduce((p, d) => p * d, 1) * s.rows;
  const groups = Math.ceil(total / groupSize);
  const id = e.index("id", Math.max(0, total - 1), `group * ${groupSize}u + lid`);
  e.line(`if (id >= ${total}u) { return; }`);
  const row = mod(id, s.rows);
  const lead = unravel(div(id, s.rows), s.lead);
  const shared = (operand: Node): Index[] => keyHeads(s, lead, operand);
  const keyWidth = widthFor(s.depth);
  const valueWidth = widthFor(s.valueDepth);
  const keyParts = s.depth / keyWidth;
  const valueParts = s.valueDepth / valueWidth;
  const keyType = typeOf("f32", keyWidth);
  const valueType = typeOf("f32", valueWidth);
  // The row's vectors live in arrays that are walked by loops: written out, a head of 128 compiles for half a minute.
  e.line(`var query: array<${keyType}, ${keyParts}>;`);
  e.line(`var out: array<${valueType}, ${valueParts}>;`);
  const overParts = (count: number, width: number, body: (at: string, d: Index) => void): void => {
    const d = e.fresh("d");
    e.width = width;
    e.open(`for (var ${d} = 0u; ${d} < ${frame.end(count)}; ${d}++) {`, [d]);
    body(d, add(scale(variable(d, count - 1), width), lane(width)));
    e.close();
  };
  overParts(keyParts, keyWidth, (at, d) => {
    const v = e.value(q, [...lead.slice(lead.length - (q.type.shape.length - 2)), row, d]);
    e.line(`query[${at}] = ${keyType}(${v.text});`);
  });
  e.line("var top = bitcast<f32>(0xff7fffffu);");
  e.line("var sum = 0.0f;");
  const limit = s.node.attrs.causal
    ? `min(${frame.end(s.keys)}, ${indexText(add(row, int(Math.max(0, s.keys - s.rows) + 1)))})`
    : frame.end(s.keys);
  e.open(`for (var s = 0u; s < ${limit}; s++) {`, ["s"]);
  const key = variable("s", Math.max(0, s.keys - 1));
  e.line("var score = 0.0f;");
  overParts(keyParts, keyWidth, (at, d) => {
    const v = e.value(k, [...shared(k), key, d]);
    e.line(`score += ${keyWidth === 1 ? `query[${at}] * ${v.text}` : `dot(query[${at}], ${keyType}(${v.text}))`};`);
  });
  e.width = 1;
  e.line(`score *= ${e.literal(s.scale, "f32").text};`);
  if (mask) {
    const at = [...lead, row, key];
    e.line(`score += ${e.value(mask, at.slice(at.length - mask.type.shape.length)).text};`);
  }
  // A masked key adds nothing; a NaN score is not "less than" and goes on into the sum.
  e.open("if (!(score < bitcast<f32>(0xff7fffffu))) {");
  e.line("let next = max(top, score);");
  e.line("let keep = exp(top - next);");
  e.line("let weight = exp(score - next);");
  e.line("sum = sum * keep + weight;");
  overParts(valueParts, valueWidth, (at, d) => {
    const v = e.value(v0, [...shared(v0), key, d]);
    e.line(`out[${at}] = out[${at}] * keep + weight * ${valueType}(${v.text});`);
  });
  e.line("top = next;");
  e.close();
  e.close();
  e.line("let norm = select(1.0f / sum, 0.0f, sum == 0.0f);");
  overParts(valueParts, valueWidth, (at, d) => {
    const value = e.let(`out[${at}] * norm`, valueWidth, "f32");
    e.provide(s.node, () => value);
    writeAt(frame, region.outputs, [...lead, row, d]);
  });
  return closeFrame(frame, { variant: "attention_row", workgroupSize: [groupSize, 1, 1], groups });
}

/** Leading index of K or V: query heads share key heads in groups of neighbours. */
export function keyHeads(s: Sizes, lead: readonly Index[], operand: Node): Index[] {
  const rank = operand.type.shape.length - 2;
  return lead.slice(lead.length - rank).map((x, i) => (i === rank - 1 ? div(x, s.group) : x));
}

const widthFor = (depth: number): number => (depth % 4 === 0 ? 4 : depth % 2 === 0 ? 2 : 1);
