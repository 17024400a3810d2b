import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, mod, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { lane, shapeOf, type Value } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame, writeAt } from "./kernel.ts";
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
  const [q, k, v, mask] = s.node.args as [Node, Node, Node, Node | undefined];
  const total = s.lead.reduce((p, d) => p * d, 1) * s.rows;
  const groups = Math.ceil(total / groupSize);
  const id = e.index("id", Math.max(0, total - 1), `group * ${groupSize}u + lid`);
  e.line(`if (id >= ${total}u) { return; }`);
  const row = mod(id, s.rows);
  const lead = unravel(div(id, s.rows), s.lead);
  const shared = (operand: Node): Index[] => keyHeads(s, lead, operand);
  const keyWidth = widthFor(s.depth);
  const valueWidth = widthFor(s.valueDepth);
  const parts = (depth: number, width: number): Index[] =>
    Array.from({ length: depth / width }, (_, i) => add(int(i * width), lane(width)));

  e.width = keyWidth;
  const query = parts(s.depth, keyWidth).map((d) =>
    e.value(q, [...lead.slice(lead.length - (q.type.shape.length - 2)), row, d]),
  );
  e.line("var top = bitcast<f32>(0xff7fffffu);");
  e.line("var sum = 0.0f;");
  const out = parts(s.valueDepth, valueWidth).map(() => {
    const name = e.fresh("o");
    e.line(`var ${name} = ${typeOf("f32", valueWidth)}();`);
    return name;
  });
  const limit = s.node.attrs.causal
    ? `min(${s.keys}u, ${indexText(add(row, int(Math.max(0, s.keys - s.rows) + 1)))})`
    : `${s.keys}u`;
  e.open(`for (var s = 0u; s < ${limit}; s++) {`, ["s"]);
  const key = variable("s", Math.max(0, s.keys - 1));
  e.width = keyWidth;
  const products = parts(s.depth, keyWidth).map((d, i) => {
    const kv = e.value(k, [...shared(k), key, d]);
    const qv = (query[i] as Value).text;
    return keyWidth === 1 ? `${qv} * ${kv.text}` : `dot(${qv}, ${kv.text})`;
  });
  const dot = e.let(products.join(" + "), 1, "f32");
  e.width = 1;
  const scaleBy = e.literal(s.scale, "f32").text;
  let score = e.let(`${dot.text} * ${scaleBy}`, 1, "f32");
  if (mask) {
    const at = [...lead, row, key];
    const m = e.value(mask, at.slice(at.length - mask.type.shape.length));
    score = e.let(`${score.text} + ${m.text}`, 1, "f32");
  }
  // A masked key adds nothing; a NaN score is not "less than" and goes on into the sum.
  e.open(`if (!(${score.text} < bitcast<f32>(0xff7fffffu))) {`);
  e.line(`let next = max(top, ${score.text});`);
  e.line("let keep = exp(top - next);");
  e.line(`let weight = exp(${score.text} - next);`);
  e.line("sum = sum * keep + weight;");
  e.width = valueWidth;
  parts(s.valueDepth, valueWidth).forEach((d, i) => {
    const vv = e.value(v, [...shared(v), key, d]);
    e.line(`${out[i]} = ${out[i]} * keep + weight * ${vv.text};`);
  });
  e.line("top = next;");
  e.close();
  e.close();
  e.line("let norm = select(1.0f / sum, 0.0f, sum == 0.0f);");
  writeOut(frame, s, [...lead, row], valueWidth, parts(s.valueDepth, valueWidth), out);
  return closeFrame(frame, { variant: "attention_row", workgroupSize: [groupSize, 1, 1], groups });
}

/** Leading index of K or V: query heads share key heads in groups of neighbours. */
export function keyHeads(s: Sizes, lead: readonly Index[], operand: Node): Index[] {
  const rank = operand.type.shape.length - 2;
  return lead.slice(lead.length - rank).map((x, i) => (i === rank - 1 ? div(x, s.group) : x));
}

function writeOut(
  frame: Frame,
  s: Sizes,
  at: readonly Index[],
  width: number,
  parts: readonly Index[],
  out: readonly string[],
): void {
  const { e } = frame;
  e.width = width;
  parts.forEach((d, i) => {
    const value = e.let(`${out[i]} * norm`, width, "f32");
    e.provide(s.node, () => value);
    writeAt(frame, frame.region.outputs, [...at, d]);
  });
}

const widthFor = (depth: number): number => (depth % 4 === 0 ? 4 : depth % 2 === 0 ? 2 : 1);
