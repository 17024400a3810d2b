import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, indexText, int, mod, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  addProduct,
  declareRow,
  keyHeads,
  lowest,
  overFeatures,
  provideResult,
  sizesOf,
  storeAside,
  storeAt,
  wide,
} from "./attention-parts.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";

export const groupSize = 64;

/** Natural logarithm of the sum of exponentials of a row; the largest f32 of a row without keys. */
const lseOf = (top: string, sum: string): string =>
  `select(${top} + log(${sum}), bitcast<f32>(0x7f7fffffu), ${sum} == 0.0f)`;

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
  const heads = keyHeads(s, lead);
  declareRow(frame, "query", s.depth);
  declareRow(frame, "out", s.valueDepth);
  overFeatures(frame, s.depth, (at, d) => {
    e.line(`query[${at}] = ${wide(e.value(q, [...lead, row, d]), s.depth)};`);
  });
  e.line(`var top = ${lowest};`);
  e.line("var sum = 0.0f;");
  const limit = s.causal ? `min(${frame.end(s.keys)}, ${indexText(add(row, int(s.offset + 1)))})` : frame.end(s.keys);
  e.open(`for (var s = 0u; s < ${limit}; s++) {`, ["s"]);
  const key = variable("s", Math.max(0, s.keys - 1));
  e.line("var score = 0.0f;");
  addProduct(
    frame,
    "score",
    s.depth,
    (at) => `query[${at}]`,
    (_, d) => wide(e.value(k, [...heads, key, d]), s.depth),
  );
  e.line(`score *= ${e.literal(s.scale, "f32").text};`);
  if (mask) {
    const at = [...lead, row, key];
    e.line(`score += ${e.value(mask, at.slice(at.length - mask.type.shape.length)).text};`);
  }
  // A masked key adds nothing; a NaN score is not "less than" and goes on into the sum.
  e.open(`if (!(score < ${lowest})) {`);
  e.line("let next = max(top, score);");
  e.line("let keep = exp(top - next);");
  e.line("let weight = exp(score - next);");
  e.line("sum = sum * keep + weight;");
  overFeatures(frame, s.valueDepth, (at, d) => {
    e.line(`out[${at}] = out[${at}] * keep + weight * ${wide(e.value(v0, [...heads, key, d]), s.valueDepth)};`);
  });
  e.line("top = next;");
  e.close();
  e.close();
  e.line("let norm = select(1.0f / sum, 0.0f, sum == 0.0f);");
  if (s.node.results) {
    const lse = e.let(lseOf("top", "sum"), 1, "f32");
    provideResult(frame, s.node, 1, lse);
    storeAside(frame, s, [...lead, row], lse);
  }
  overFeatures(frame, s.valueDepth, (at, d) => {
    provideResult(frame, s.node, 0, e.let(`out[${at}] * norm`, e.width, "f32"));
    storeAt(frame, s, [...lead, row, d]);
  });
  return closeFrame(frame, { variant: "attention_row", workgroupSize: [groupSize, 1, 1], groups });
}
