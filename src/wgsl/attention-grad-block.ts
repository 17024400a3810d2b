import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, type Index, indexText, int, scale, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  across,
  type Block,
  blockKernel,
  declareSums,
  type Finished,
  forOwn,
  forPairs,
  halves,
  hidePairs,
  lanes,
  openBlock,
  otherAt,
  ownAt,
  scoresBy,
  side,
  stepsOf,
  storeFinished,
  together,
  weightAt,
  weightedBy,
  writeWeights,
} from "./attention-block-parts.ts";
import { gradOperands, pairAt } from "./attention-grad.ts";
import { readQuad } from "./attention-grad-steps.ts";
import { overFeatures, sizesOf, storeAside, wide } from "./attention-parts.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";

/**
 * The gradient of attention by tiles of 64 × 64 positions (FlashAttention, Dao et al. 2022): by query a workgroup owns queries and
 * walks over the keys, by key and value it owns keys and walks over the queries of every head of its group. Scores, gradients
 * of weights and both sums are products of matrices one after the other, with weights in workgroup memory between them.
 */
export function writeGradBlock(region: Region, capabilities: Capabilities): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const queries = s.node.op === "attentionGradQuery";
  const given = gradOperands(s.node);
  const { q, k, v, dout, rows } = given;
  const t = openBlock(frame, s, queries);
  const factor = e.literal(s.scale, "f32").text;
  const changes = declareSums(e, "d", 4 * t.features);
  const sums = queries ? undefined : declareSums(e, "w", 4 * t.features);
  if (queries) readRows(t, given);

  if (t.grouped) e.open(`for (var h = 0u; h < ${s.group}u; h++) {`, ["h"]);
  const [begin, end] = stepsOf(t);
  e.line(`let end = ${end};`);
  e.open(`for (var step = ${begin}; step < end; step++) {`, ["step"]);
  const origin = scale(variable("step", Math.max(0, t.steps - 1)), side);
  const scoring = scoresBy(t, queries ? q : k, queries ? k : q, s.depth, origin);
  const gradients = scoresBy(t, queries ? dout : v, queries ? v : dout, s.valueDepth, origin);
  const changing = weightedBy(t, queries ? k : q, s.depth, origin);
  const adding = queries ? undefined : weightedBy(t, dout, s.valueDepth, origin);
  const scores = declareSums(e, "s", 4);
  scoring.begin();
  // A product's first chunk comes during the one before it, where there are registers for it.
  if (queries) gradients.begin();
  scoring.run(scores);
  if (!queries) gradients.begin();
  const [lse, delta] = pairsOf(t, rows, origin);
  forPairs((o, h) => e.line(`s${o}_${h} = exp(s${o}_${h} * ${factor} - ${lse(o, h)});`));
  hidePairs(t, origin, (o, h, where) => e.line(`s${o}_${h} = select(s${o}_${h}, vec4<f32>(), ${where});`));
  const slopes = declareSums(e, "t", 4);
  if (queries) changing.begin();
  gradients.run(slopes);
  if (adding && sums) {
    adding.begin();
    writeWeights(t, (o, h) => `s${o}_${h}`);
    adding.run(sums);
    changing.begin();
  }
  // By key and value the weights are read back: registers are scarce.
  const weight = (o: number, h: 0 | 1): string => (queries ? `s${o}_${h}` : weightAt(o, h));
  writeWeights(t, (o, h) => `${weight(o, h)} * (t${o}_${h} - ${delta(o, h)})`);
  changing.run(changes);
  e.close();
  if (t.grouped) e.close();

  const results: Finished[] = [
    { result: 0, depth: s.depth, sums: changes, value: (four) => `${four} * ${factor}` },
    ...(sums ? [{ result: 1 as const, depth: s.valueDepth, sums, value: (four: string) => four }] : []),
  ];
  // Results of one depth are there together, for what is computed from both.
  for (const group of s.depth === s.valueDepth ? [results] : results.map((r) => [r])) storeFinished(t, group);
  return closeFrame(frame, {
    variant: `attention_grad_${queries ? "query" : "key_value"}_block_${side}x${side}`,
    groups: t.groups,
    ...blockKernel,
  });
}

type PairText = (o: number, half: 0 | 1) => string;

/** lse and delta as vectors along the own positions: of own queries, or of the other one. */
function pairsOf(t: Block, rows: Node, origin: Index): readonly [PairText, PairText] {
  const { s, queries, frame } = t;
  const { e } = frame;
  if (queries) return [(_, h) => `lse${h}`, (_, h) => `delta${h}`];
  const [lse, delta] = ([0, 1] as const).map((which) =>
    e.let(
      readQuad(e, otherAt(origin), s.rows, (r) => e.value(rows, pairAt(t.lead, which, r))),
      4,
      "f32",
    ),
  );
  e.width = 1;
  return [(o) => `vec4<f32>(${lse?.text}.${lanes[o]})`, (o) => `vec4<f32>(${delta?.text}.${lanes[o]})`];
}

/** lse and delta of the own queries, which are stored too. */
function readRows(t: Block, { rows, dout, out }: ReturnType<typeof gradOperands>): void {
  const { frame, s, lead } = t;
  const { e } = frame;
  for (const h of halves) {
    const lse = readQuad(e, ownAt(t, h), s.rows, (r) => e.value(rows, [...lead, r]));
    e.width = 1;
    e.line(`let lse${h} = ${lse};`);
    e.line(`var delta${h} = vec4<f32>();`);
  }
  const clamped = (x: Index): Index =>
    x.max < s.rows ? x : e.opaque(`min(${indexText(x)}, ${s.rows - 1}u)`, s.rows - 1, e.depthOf([x]));
  const rowsAt = halves.map((h) => lanes.map((_, i) => clamped(add(ownAt(t, h), int(i)))));
  const body = (_: string, d: Index): void => {
    for (const h of halves) {
      const terms = rowsAt[h]?.map((r) => {
        const [x, y] = [dout, out as Node].map((n) => wide(e.value(n, [...lead, r, d]), s.valueDepth));
        return `dot(${x}, ${y})`;
      });
      e.line(`delta${h} += vec4<f32>(${terms?.join(", ")});`);
    }
  };
  overFeatures(frame, s.valueDepth, body, { from: "a", by: across });
  together(t, ["delta0", "delta1"], (a, b) => `${a} + ${b}`);
  forOwn(
    t,
    (h, l, row) => {
      for (const [which, name] of ["lse", "delta"].entries()) {
        const value = { text: `${name}${h}.${l}`, width: 1, dtype: "f32" as const, depth: e.depth };
        storeAside(frame, s, pairAt(lead, which as 0 | 1, row), value);
      }
    },
    "a == 0u",
  );
}
