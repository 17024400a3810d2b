import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, type Index, indexText, int, scale, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  addWeighted,
  barrier,
  declarationsOf,
  declareSums,
  divisionName,
  extraBytes,
  forNextStep,
  fromOf,
  holdOwn,
  log2e,
  type MatrixAttention,
  nextStep,
  openWalk,
  type Quad,
  quadsOf,
  scaleSums,
  scoresEach,
  scoresTo,
  sharing,
  stagePositions,
  stripVectors,
  threadsOf,
  tileVectors,
  together,
  type Walk,
  writeHalves,
} from "./attention-matrix-parts.ts";
import { storeFinished } from "./attention-matrix-store.ts";
import { provideResult, type Sizes, sizesOf, storeAside } from "./attention-parts.ts";
import { halfOperand, type StagedHalves } from "./contraction-matrix-stage.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";

/** Scores are in units of log 2. A hidden one is far below what any row's maximum begins at. */
const hidden = "-0x1p127f";
export const lowest = "-0x1p100f";
/** The maximum may rise by so much before sums are scaled again; weights are 2^(score - maximum + lift), at most 2^14. */
const slack = 6;
export const lift = 8;

/** Vectors of workgroup memory, at most: keys and values take turns in one tile. */
const vectorsOf = (s: Sizes, t: MatrixAttention): number =>
  Math.max(tileVectors(t.other, Math.max(s.depth, s.valueDepth)) + stripVectors(t), tileVectors(t.own, s.depth));

/** The most workgroup memory that the forward kernel takes. */
export const matrixAttentionBytes = (s: Sizes, t: MatrixAttention): number => 16 * vectorsOf(s, t) + extraBytes(t);

/**
 * Attention of halves by subgroup matrices (FlashAttention-2, Dao 2023): scores go through workgroup memory to an online softmax
 * in f32, their weights back as halves, and sums stay in matrices. These are scaled again only where a row's maximum has
 * risen by more than 2^6 since they were last: until then weights are relative to the older maximum, within the range of halves.
 */
export function writeAttentionMatrix(region: Region, capabilities: Capabilities, t: MatrixAttention): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const [q, k, v] = s.node.args.map((n) => halfOperand(region, n)) as [Node, Node, Node];
  const w = openWalk(frame, s, t, true);
  const query = holdOwn(w, q, s.depth);
  const keys = stagePositions(w, k, s.depth, false);
  const values = stagePositions(w, v, s.valueDepth, false);
  const strip = Math.max(keys.vectors, values.vectors);
  const out = declareSums(w, s.valueDepth);
  e.line(`var top = ${lowest};`);
  e.line("var sum = 0.0f;");
  e.line("var keep = 0.0f;");
  keys.load(int(0), int(0));
  values.load(int(0), int(0));
  e.line(`let end = ${endOf(w)};`);
  e.open("for (var step = 0u; step < end; step++) {", ["step"]);
  const origin = scale(variable("step", Math.max(0, w.steps - 1)), t.other);
  const loadNext = (side: StagedHalves): void => forNextStep(w, () => side.load(scale(nextStep(w), t.other), int(0)));
  keys.store("sh", 0);
  barrier(e);
  loadNext(keys);
  scoresTo(w, strip, query, keys, 0);
  barrier(e);
  values.store("sh", 0);
  loadNext(values);
  const quads = quadsOf(w);
  const perBlock = scoresEach(t) / 4;
  const factor = e.literal(s.scale * log2e, "f32").text;
  quads.flat().forEach((x, i) => {
    e.line(`var x${i} = bitcast<vec4<f32>>(${x.place(strip)}) * ${factor};`);
  });
  hideKeys(w, origin, quads.flat(), fromOf(w));
  const maxima = quads.flat().map((_, i) => `x${i}`);
  e.line(`let most = hmax(${maxima.reduce((a, b) => `max(${a}, ${b})`)});`);
  e.line(`if (most > top + ${slack}.0f) { atomicStore(&rise, 1u); }`);
  const weigh = (declare: boolean): void => {
    e.line(`${declare ? "var base" : "base"} = top - ${lift}.0f;`);
    maxima.forEach((x, i) => {
      e.line(`${declare ? "var " : ""}p${i} = exp2(${x} - vec4<f32>(base));`);
    });
    writeHalves(w, strip, (b, i) => `p${b * perBlock + i}`);
  };
  // Eight scores become halves where others of the row may still have to be read.
  if (perBlock < 4) barrier(e);
  weigh(true);
  e.open("if (workgroupUniformLoad(&rise) == 1u) {");
  const whole = together(w, "most", (a, b) => `max(${a}, ${b})`);
  if (sharing(t) === 1) barrier(e);
  e.line("if (lid == 0u) { atomicStore(&rise, 0u); }");
  e.line(`let raised = select(top, ${whole}, ${whole} > top + ${slack}.0f);`);
  e.line("keep = exp2(top - raised);");
  e.line("sum *= keep;");
  e.line("top = raised;");
  scaleSums(w, out, strip, "keep");
  weigh(false);
  barrier(e);
  e.close();
  e.line(`sum += hsum(${maxima.map((_, i) => `p${i}`).join(" + ")});`);
  addWeighted(w, out, strip, values, 0);
  barrier(e);
  e.close();
  finish(w);
  storeFinished(
    w,
    [{ result: 0, depth: s.valueDepth, sums: out, strip, value: (sum, edge) => `${sum} * ${edge}.x` }],
    s.node.results
      ? (edge) => provideResult(frame, s.node, 1, { text: `${edge}.y`, width: 1, dtype: "f32", depth: e.depth })
      : undefined,
  );
  const vectors = Math.max(strip + stripVectors(t), tileVectors(t.own, s.depth));
  return closeFrame(frame, {
    variant: `attention_${divisionName(t)}`,
    workgroupSize: [threadsOf(t), 1, 1],
    groups: w.groups,
    declarations: declarationsOf(t, vectors),
    workgroupBytes: 16 * vectors + extraBytes(t),
    subgroupMatrix: true,
  });
}

/** The step after the last one that any of the own queries sees. */
export function endOf({ s, t, first, steps }: Walk): string {
  if (!s.causal) return `${steps}u`;
  return `min(${steps}u, (${indexText(add(first, int(t.own + s.offset + t.other - 1)))}) / ${t.other}u)`;
}

/**
 * Hides keys past the end, and with `causal` those after the query, where the tile has any, in x0, x1, …: a quad each, whose positions
 * count from `from` on.
 */
export function hideKeys(w: Walk, origin: Index, quads: readonly Pick<Quad, "first">[], from: string): void {
  const { s, t, frame } = w;
  const { e } = frame;
  const whole = s.keys % t.other === 0;
  if (whole && !s.causal) return;
  const last = indexText(add(origin, int(t.other - 1)));
  const tests = [
    ...(whole ? [] : [`${last} >= ${s.keys}u`]),
    ...(s.causal ? [`${last} > ${indexText(add(w.first, int(s.offset)))}`] : []),
  ];
  e.open(`if (${tests.join(" || ")}) {`);
  const limit = s.causal ? `min(${s.keys - 1}u, ${indexText(add(w.at, int(s.offset)))})` : `${s.keys - 1}u`;
  e.line(`let far = i32(${limit}) - i32(${indexText(origin)}) - i32(${from});`);
  quads.forEach(({ first }, i) => {
    const places = `vec4<i32>(${[0, 1, 2, 3].map((l) => first + l).join(", ")})`;
    e.line(`x${i} = select(x${i}, vec4<f32>(${hidden}), ${places} > vec4<i32>(far));`);
  });
  e.close();
}

/** What a row's sums are multiplied by, and its lse: to workgroup memory, and stored. `natural`: the maximum is not in units of log 2. */
export function finish(w: Walk, natural = false): void {
  const { frame, s } = w;
  const { e } = frame;
  const total = together(w, "sum", (a, b) => `(${a} + ${b})`);
  e.line(`let norm = select(1.0f / ${total}, 0.0f, ${total} == 0.0f);`);
  const nat = e.literal(1 / log2e, "f32").text;
  const lse = natural ? `top + (log2(${total}) - ${lift}.0f) * ${nat}` : `(top - ${lift}.0f + log2(${total})) * ${nat}`;
  e.line(`let lse = select(${lse}, bitcast<f32>(0x7f7fffffu), ${total} == 0.0f);`);
  const inside = w.at.max < s.rows;
  e.open("if (part == 0u) {");
  e.line("edge[row * 2u] = norm;");
  e.line("edge[row * 2u + 1u] = lse;");
  if (s.node.results) {
    e.open(inside ? "{" : `if (${indexText(w.at)} < ${s.rows}u) {`);
    e.width = 1;
    const r = inside ? w.at : e.opaque(indexText(w.at), s.rows - 1, e.depth);
    storeAside(frame, s, [...w.lead, r], { text: "lse", width: 1, dtype: "f32", depth: e.depth });
    e.close();
  }
  e.close();
}
