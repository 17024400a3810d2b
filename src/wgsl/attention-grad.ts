import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import { optionals } from "../ir/ops/composite-helpers.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { groupSize } from "./attention.ts";
import {
  addProduct,
  declareRow,
  heldRow,
  keyHeads,
  lowest,
  overFeatures,
  provideResult,
  type Sizes,
  sizesOf,
  storeAside,
  storeAt,
  wide,
} from "./attention-parts.ts";
import { closeFrame, type Frame, type Kernel, openFrame } from "./kernel.ts";

/** The operands of a row of the gradient. */
export interface GradOperands {
  readonly q: Node;
  readonly k: Node;
  readonly v: Node;
  readonly dout: Node;
  /** lse [..., Hq, T], or with delta in pairs [..., Hq, 2, T]. */
  readonly rows: Node;
  readonly mask: Node | undefined;
  readonly out: Node | undefined;
}

export function gradOperands(node: Node): GradOperands {
  const [q, k, v, rows, dout] = node.args as [Node, Node, Node, Node, Node];
  const byQuery = node.op === "attentionGradQuery";
  const [mask, out] = byQuery ? optionals(node.op, node.args, node.attrs, 5, ["mask", "out"]) : [node.args[5]];
  return { q, k, v, rows, dout, mask, out };
}

/** Index of lse (0) or delta (1) of a row in [..., Hq, 2, T]. */
export const pairAt = (lead: readonly Index[], which: 0 | 1, row: Index): Index[] => [...lead, int(which), row];

/** An invocation an item: opens the kernel and gives the item's place among `items` of each of `lead`. */
function perItem(frame: Frame, lead: readonly number[], items: number): { groups: number; lead: Index[]; item: Index } {
  const { e } = frame;
  const total = lead.reduce((p, d) => p * d, 1) * items;
  const id = e.index("id", Math.max(0, total - 1), `group * ${groupSize}u + lid`);
  e.line(`if (id >= ${total}u) { return; }`);
  return { groups: Math.ceil(total / groupSize), lead: unravel(div(id, items), lead), item: mod(id, items) };
}

/** Writes the score of (row, key) into a variable: the product of q and k, scaled and masked. */
function writeScore(frame: Frame, s: Sizes, mask: Node | undefined, at: readonly Index[], product: () => void): void {
  const { e } = frame;
  e.line("var score = 0.0f;");
  product();
  e.line(`score *= ${e.literal(s.scale, "f32").text};`);
  if (mask) e.line(`score += ${e.value(mask, at.slice(at.length - mask.type.shape.length)).text};`);
}

/**
 * The gradient by q, an invocation a query row: the weights are computed again from lse (Dao et al. 2022). Without the
 * forward result, delta is summed along with the products that it is to be multiplied by.
 */
export function writeGradQueryRow(region: Region, capabilities: Capabilities): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const { q, k, v, dout, rows, mask, out } = gradOperands(s.node);
  const { groups, lead, item: row } = perItem(frame, s.lead, s.rows);
  const heads = keyHeads(s, lead);
  const held = 4 * (s.depth * (out ? 2 : 3) + s.valueDepth) <= 8192;
  const queryAt = heldRow(frame, "query", s.depth, held, (d) => e.value(q, [...lead, row, d]));
  const givenAt = heldRow(frame, "given", s.valueDepth, held, (d) => e.value(dout, [...lead, row, d]));
  declareRow(frame, "grad", s.depth);
  if (!out) declareRow(frame, "mean", s.depth);
  e.line("var delta = 0.0f;");
  if (out)
    addProduct(frame, "delta", s.valueDepth, givenAt, (_, d) => wide(e.value(out, [...lead, row, d]), s.valueDepth));
  const lse = e.value(rows, [...lead, row]);
  const limit = s.causal ? `min(${frame.end(s.keys)}, ${indexText(add(row, int(s.offset + 1)))})` : frame.end(s.keys);
  e.open(`for (var s = 0u; s < ${limit}; s++) {`, ["s"]);
  const key = variable("s", Math.max(0, s.keys - 1));
  const keyAt = (d: Index): string => wide(e.value(k, [...heads, key, d]), s.depth);
  writeScore(frame, s, mask, [...lead, row, key], () =>
    addProduct(frame, "score", s.depth, queryAt, (_, d) => keyAt(d)),
  );
  e.open(`if (!(score < ${lowest})) {`);
  e.line(`let weight = exp(score - ${lse.text});`);
  e.line("var change = 0.0f;");
  addProduct(frame, "change", s.valueDepth, givenAt, (_, d) => wide(e.value(v, [...heads, key, d]), s.valueDepth));
  e.line(out ? "change = weight * (change - delta);" : "change = weight * change;");
  if (!out) e.line("delta += change;");
  overFeatures(frame, s.depth, (at, d) => {
    const text = keyAt(d);
    e.line(`grad[${at}] += change * ${text};`);
    if (!out) e.line(`mean[${at}] += weight * ${text};`);
  });
  e.close();
  e.close();
  storeAside(frame, s, pairAt(lead, 0, row), lse);
  storeAside(frame, s, pairAt(lead, 1, row), { text: "delta", width: 1, dtype: "f32", depth: 0 });
  overFeatures(frame, s.depth, (at, d) => {
    const sum = out ? `grad[${at}]` : `(grad[${at}] - delta * mean[${at}])`;
    provideResult(frame, s.node, 0, e.let(`${sum} * ${e.literal(s.scale, "f32").text}`, e.width, "f32"));
    storeAt(frame, s, [...lead, row, d]);
  });
  return closeFrame(frame, { variant: "attention_grad_query_row", workgroupSize: [groupSize, 1, 1], groups });
}

/** The gradients by k and v, an invocation a key row, over the query heads of its group and their rows in order. */
export function writeGradKeyValueRow(region: Region, capabilities: Capabilities): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const { q, k, v, dout, rows, mask } = gradOperands(s.node);
  const { groups, lead: heads, item: key } = perItem(frame, s.keyLead, s.keys);
  const held = 8 * (s.depth + s.valueDepth) <= 8192;
  const keyAt = heldRow(frame, "key", s.depth, held, (d) => e.value(k, [...heads, key, d]));
  const valueAt = heldRow(frame, "value", s.valueDepth, held, (d) => e.value(v, [...heads, key, d]));
  declareRow(frame, "grad_key", s.depth);
  declareRow(frame, "grad_value", s.valueDepth);
  let lead = heads;
  if (s.group > 1) {
    e.open(`for (var h = 0u; h < ${frame.end(s.group)}; h++) {`, ["h"]);
    lead = heads.map((x, i) => (i === heads.length - 1 ? add(scale(x, s.group), variable("h", s.group - 1)) : x));
  }
  const first = s.causal ? `max(${indexText(key)}, ${s.offset}u) - ${s.offset}u` : "0u";
  e.open(`for (var t = ${first}; t < ${frame.end(s.rows)}; t++) {`, ["t"]);
  const row = variable("t", Math.max(0, s.rows - 1));
  const queryAt = (d: Index): string => wide(e.value(q, [...lead, row, d]), s.depth);
  const givenAt = (d: Index): string => wide(e.value(dout, [...lead, row, d]), s.valueDepth);
  writeScore(frame, s, mask, [...lead, row, key], () =>
    addProduct(frame, "score", s.depth, keyAt, (_, d) => queryAt(d)),
  );
  e.open(`if (!(score < ${lowest})) {`);
  e.line(`let weight = exp(score - ${e.value(rows, pairAt(lead, 0, row)).text});`);
  e.line("var change = 0.0f;");
  addProduct(frame, "change", s.valueDepth, valueAt, (_, d) => givenAt(d));
  e.line(`change = weight * (change - ${e.value(rows, pairAt(lead, 1, row)).text});`);
  overFeatures(frame, s.depth, (at, d) => e.line(`grad_key[${at}] += change * ${queryAt(d)};`));
  overFeatures(frame, s.valueDepth, (at, d) => e.line(`grad_value[${at}] += weight * ${givenAt(d)};`));
  e.close();
  e.close();
  if (s.group > 1) e.close();
  const factor = e.literal(s.scale, "f32").text;
  const both = s.depth === s.valueDepth;
  overFeatures(frame, s.depth, (at, d) => {
    provideResult(frame, s.node, 0, e.let(`grad_key[${at}] * ${factor}`, e.width, "f32"));
    if (both) provideResult(frame, s.node, 1, e.let(`grad_value[${at}]`, e.width, "f32"));
    storeAt(frame, s, [...heads, key, d]);
  });
  if (!both) {
    overFeatures(frame, s.valueDepth, (at, d) => {
      storeAside(frame, s, [...heads, key, d], e.let(`grad_value[${at}]`, e.width, "f32"));
    });
  }
  return closeFrame(frame, { variant: "attention_grad_key_value_row", workgroupSize: [groupSize, 1, 1], groups });
}
