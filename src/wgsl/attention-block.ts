import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { scale, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  type Block,
  blockKernel,
  declareSums,
  forOwn,
  forPairs,
  halves,
  hidePairs,
  openBlock,
  scoresBy,
  side,
  stepsOf,
  storeFinished,
  together,
  weightedBy,
  writeWeights,
} from "./attention-block-parts.ts";
import { lowest as hidden, sizesOf, storeAside } from "./attention-parts.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";

/**
 * Attention by tiles of 64 queries × 64 keys (FlashAttention, Dao et al. 2022), each of the two products as a product of
 * matrices is done: 8 × 8 (4 for deep heads) values an invocation, operands by chunks through workgroup memory. An online
 * softmax stands between them, its weights in workgroup memory.
 */
export function writeAttentionBlock(region: Region, capabilities: Capabilities): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const [q, k, v] = s.node.args as [Node, Node, Node];
  const t = openBlock(frame, s, true);
  const out = declareSums(e, "o", 4 * t.features);
  for (const h of halves) {
    e.line(`var top${h} = vec4<f32>(${hidden});`);
    e.line(`var sum${h} = vec4<f32>();`);
  }
  const [, end] = stepsOf(t);
  e.line(`let end = ${end};`);
  e.open("for (var step = 0u; step < end; step++) {", ["step"]);
  const origin = scale(variable("step", Math.max(0, t.steps - 1)), side);
  const product = scoresBy(t, q, k, s.depth, origin);
  const weighted = weightedBy(t, v, s.valueDepth, origin);
  const scores = declareSums(e, "s", 4);
  product.begin();
  product.run(scores);
  weighted.begin();
  const factor = e.literal(s.scale, "f32").text;
  forPairs((o, h) => e.line(`s${o}_${h} = s${o}_${h} * ${factor};`));
  hidePairs(t, origin, (o, h, where) => e.line(`s${o}_${h} = select(s${o}_${h}, vec4<f32>(${hidden}), ${where});`));
  for (const h of halves) {
    const most = scores.map((x) => x[h]).reduce((a, b) => `max(${a}, ${b})`);
    e.line(`var most${h} = ${most};`);
  }
  together(t, ["most0", "most1"], (a, b) => `max(${a}, ${b})`);
  for (const h of halves) {
    e.line(`most${h} = max(most${h}, top${h});`);
    e.line(`let keep${h} = exp(top${h} - most${h});`);
    e.line(`top${h} = most${h};`);
  }
  forPairs((o, h) =>
    e.line(`s${o}_${h} = select(exp(s${o}_${h} - most${h}), vec4<f32>(), s${o}_${h} <= vec4<f32>(${hidden}));`),
  );
  for (const h of halves) {
    e.line(`sum${h} = sum${h} * keep${h} + (${scores.map((x) => x[h]).join(" + ")});`);
    for (const x of out) e.line(`${x[h]} = ${x[h]} * keep${h};`);
  }
  writeWeights(t, (o, h) => `s${o}_${h}`);
  weighted.run(out);
  e.close();

  together(t, ["sum0", "sum1"], (a, b) => `${a} + ${b}`);
  for (const h of halves) {
    e.line(`let norm${h} = select(1.0f / sum${h}, vec4<f32>(), sum${h} == vec4<f32>());`);
    const none = `vec4<f32>(bitcast<f32>(0x7f7fffffu)), sum${h} == vec4<f32>()`;
    e.line(`let lse${h} = select(top${h} + log(sum${h}), ${none});`);
  }
  if (s.node.results) storeLse(t);
  const value = (four: string, h: 0 | 1, l: string): string => `${four} * norm${h}.${l}`;
  const lse = (h: 0 | 1, l: string) => ({ text: `lse${h}.${l}`, width: 1, dtype: "f32" as const, depth: e.depth });
  storeFinished(t, [{ result: 0, depth: s.valueDepth, sums: out, value }], s.node.results ? lse : undefined);
  return closeFrame(frame, {
    variant: `attention_block_${side}x${side}`,
    groups: t.groups,
    ...blockKernel,
  });
}

/** Each row's lse, by the first of the invocations that share it. */
function storeLse(t: Block): void {
  const { frame, s } = t;
  forOwn(
    t,
    (h, l, row) => {
      frame.e.width = 1;
      const value = { text: `lse${h}.${l}`, width: 1, dtype: "f32" as const, depth: frame.e.depth };
      storeAside(frame, s, [...t.lead, row], value);
    },
    "a == 0u",
  );
}
