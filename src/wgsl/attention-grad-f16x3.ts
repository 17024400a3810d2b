import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, int, mod, scale, sub, variable } from "../ir/index-expr.ts";
import { leastExponent } from "../ir/ops/halves.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  addPairs,
  declarations,
  declareKept,
  exponentOf,
  exponentsOf,
  holdPairs,
  joined,
  keepSums,
  keeps,
  lower,
  moreBytes,
  ownPart,
  type PairAttention,
  pairScores,
  pairVectors,
  peaksOf,
  type Rounds,
  stageOwn,
  stageSide,
  subgroupsOf,
  widened,
} from "./attention-f16x3-parts.ts";
import { storeKept } from "./attention-f16x3-store.ts";
import { gradOperands } from "./attention-grad.ts";
import { hide, lift, readRows, rowVectors, stageRows, startOf, unlift } from "./attention-grad-matrix.ts";
import { endOf } from "./attention-matrix.ts";
import {
  barrier,
  forNextStep,
  lanes,
  log2e,
  nextStep,
  openWalk,
  stripPitch,
  stripVectors,
  threadsOf,
  type Walk,
} from "./attention-matrix-parts.ts";
import { type Sizes, sizesOf } from "./attention-parts.ts";
import { scaleOf, unscaleOf } from "./contraction-matrix-f16x3-scale.ts";
import { pairOf, type StagedPair } from "./contraction-matrix-f16x3-stage.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";

const walkVectors = (s: Sizes, t: PairAttention): number => 2 * (pairVectors(t.other, s.depth) + stripVectors(t));
const partOf = (s: Sizes, t: PairAttention): number => ownPart(t, s.depth, walkVectors(s, t));
const vectorsOf = (s: Sizes, t: PairAttention): number =>
  Math.max(walkVectors(s, t), 2 * pairVectors(t.own, partOf(s, t)));

/** The most workgroup memory that the kernels of the gradient take. */
export const pairGradBytes = (s: Sizes, t: PairAttention): number =>
  16 * (vectorsOf(s, t) + rowVectors(t)) + moreBytes(t) + 4 * subgroupsOf(t);

export const pairGradName = (queries: boolean, t: PairAttention): string =>
  `attention_grad_${queries ? "query" : "key_value"}_f16x3_${t.own}x${t.other}`;

/**
 * The gradient of attention of f32 by subgroup matrices of halves, as accurate as in f32: every operand of a product is two halves, and
 * products are three (see `writePairs`). Of two subgroups that share own positions one multiplies for the scores and the other for the
 * weights' gradient; then by key and value each adds to one of the two sums, and by query to half of the features of the one sum. The
 * gradients of the scores are multiplied by a power of two from the largest that the two subgroups have met. Both depths are the same.
 */
export function writeGradPairs(region: Region, capabilities: Capabilities, t: PairAttention): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const queries = s.node.op === "attentionGradQuery";
  const given = gradOperands(s.node);
  const { q, k, v, dout } = given;
  const w = openWalk(frame, s, t, queries);
  const { role } = w;
  const [own, others] = queries
    ? ([
        [q, dout],
        [k, v],
      ] as const)
    : ([
        [k, v],
        [q, dout],
      ] as const);
  const held = holdOwn(w, own, role);
  const [x, y] = others.map((n) => stageSide(w, n, s.depth, false)) as [StagedPair, StagedPair];
  const second = 2 * x.vectors;
  const strip = 2 * second;
  const matrices = widened(s.depth) / 16;
  const sums = declareKept(w, queries ? matrices / 2 : matrices, t.other / 16);
  const rounds: Rounds = {
    ...{ strip: add(int(strip), scale(role, stripVectors(t))), first: int(0), filling: 1 },
    place: (i, count) => inStrip(w, `part % 2u * ${2 * count}u + role * ${stripVectors(t)}u + ${strip + i}u`),
  };
  const pairs = queries ? undefined : stageRows(w, given.rows, true);
  e.line(`var tops = vec2<u32>(${leastExponent}u);`);
  e.line(`var top_c = ${leastExponent}u;`);
  if (queries) readRows(w, given, true);

  if (w.grouped) e.open(`for (var h = 0u; h < ${s.group}u; h++) {`, ["h"]);
  e.line(`let end = ${queries ? endOf(w) : `${w.steps}u`};`);
  e.line(`var step = ${queries ? "0u" : startOf(w)};`);
  const load = (step: Index): void => {
    x.load(scale(step, t.other), int(0));
    y.load(scale(step, t.other), int(0));
    pairs?.load(scale(step, t.other));
  };
  load(e.index("start", Math.max(0, w.steps - 1), `min(step, ${Math.max(0, w.steps - 1)}u)`));
  peaksOf(w, [x, y]);
  barrier(e);
  e.open("for (; step < end; step++) {", ["step"]);
  const origin = scale(variable("step", Math.max(0, w.steps - 1)), t.other);
  e.line(`let exponents = ${exponentsOf(w)};`);
  e.line("let grown = max(exponents, tops);");
  e.line(`let up = ${queries ? "grown.x - tops.x" : "select(grown.x - tops.x, grown.y - tops.y, role == 1u)"};`);
  e.open("if (up > 0u) {");
  lower(w, [sums.matrices], "up");
  e.close();
  e.line("tops = grown;");
  x.store("sh", 0, scaleOf("tops.x"));
  y.store("sh", second, scaleOf("tops.y"));
  pairs?.store();
  barrier(e);
  forNextStep(w, () => load(nextStep(w)));
  pairScores(w, held, x, { base: scale(role, second), strip: rounds.strip, first: int(0), blocks: t.other / 16 });
  barrier(e);
  scoreGradients(w, strip, origin);
  barrier(e);
  e.line(`let high = ${exponentOf("max(crests[sg * 2u], crests[sg * 2u + 1u])")};`);
  e.open("if (high > top_c) {");
  if (!queries) e.open("if (role == 0u) {");
  lower(w, [sums.matrices], "high - top_c");
  if (!queries) e.close();
  e.line("top_c = high;");
  e.close();
  if (!queries) writeHalves(w, strip, (i) => `p${i} * ${lift}`);
  e.line(`let grow = ${scaleOf("top_c")};`);
  writeHalves(w, strip + stripVectors(t), (i) => `c${i} * grow`);
  barrier(e);
  const changes = int(strip + stripVectors(t));
  addPairs(
    w,
    sums.matrices,
    x,
    queries
      ? { base: int(0), strip: changes, first: scale(role, matrices / 2) }
      : { base: scale(role, second), strip: sub(changes, scale(role, stripVectors(t))), first: int(0) },
  );
  forNextStep(w, () => peaksOf(w, [x, y]));
  barrier(e);
  if (keeps(w, t)) {
    const every = t.chunk / t.other;
    e.open(`if (step % ${every}u == ${every - 1}u) {`);
    keep(w, sums, rounds);
    e.close();
  }
  e.close();
  keep(w, sums, rounds);
  if (w.grouped) e.close();

  const factor = e.literal(s.scale, "f32").text;
  const strips = [strip, strip + stripVectors(t)];
  storeKept(w, {
    ...{ sums, rounds, depth: s.depth },
    results: queries
      ? [{ result: 0, strips, value: (sum) => `${sum} * ${factor}` }]
      : [
          { result: 0, strips: strips.slice(0, 1), value: (sum) => `${sum} * ${factor}` },
          { result: 1, strips: strips.slice(1), value: (sum) => sum },
        ],
    placeOf(round, quad) {
      const inLine = 4 * Math.min(sums.each, sums.matrices.length - sums.each * round);
      return add(add(scale(div(quad, inLine), widened(s.depth) / 8), mod(quad, inLine)), int(round * 4 * sums.each));
    },
  });
  const vectors = vectorsOf(s, t);
  return closeFrame(frame, {
    variant: pairGradName(queries, t),
    workgroupSize: [threadsOf(t), 1, 1],
    groups: w.groups,
    declarations: [
      ...declarations(t, vectors),
      `var<workgroup> crests: array<u32, ${subgroupsOf(t)}>;`,
      ...(pairs ? [`var<workgroup> pairs: array<vec4<f32>, ${rowVectors(t)}>;`] : []),
    ],
    workgroupBytes: 16 * (vectors + (pairs ? rowVectors(t) : 0)) + moreBytes(t) + 4 * subgroupsOf(t),
    subgroups: true,
    subgroupMatrix: true,
  });
}

/** The own positions of the operand that the subgroup multiplies with; declares `own_tops`, the exponents of both. */
function holdOwn(w: Walk, own: readonly [Node, Node], role: Index): ReturnType<typeof holdPairs> {
  const { frame, s, first } = w;
  const { e } = frame;
  const part = partOf(s, w.t as PairAttention);
  const staged = own.map((n) => stageOwn(w, n, s.depth, part)) as [StagedPair[], StagedPair[]];
  for (const tile of staged.flat()) tile.load(first, int(0));
  peaksOf(w, staged.map(joined));
  barrier(e);
  e.line(`let own_tops = ${exponentsOf(w)};`);
  const [scores, changes] = staged;
  const parts = scores.map((tile, p) => {
    tile.store("sh", 0, scaleOf("own_tops.x"));
    changes[p]?.store("sh", 2 * tile.vectors, scaleOf("own_tops.y"));
    barrier(e);
    const held = holdPairs(w, tile, scale(role, 2 * tile.vectors), part);
    barrier(e);
    return held;
  });
  return { upper: parts.flatMap((p) => p.upper), lower: parts.flatMap((p) => p.lower) };
}

const inStrip = ({ t }: Walk, at: string): string => `sh[row * ${stripPitch(t)}u + ${at}]`;

/**
 * Of an invocation's eight or four positions p, the weights, 0 where hidden, and c, the gradients of the scores; the largest magnitude of these
 * in the subgroup goes to workgroup memory.
 */
function scoreGradients(w: Walk, strip: number, origin: Index): void {
  const { frame, s, t, queries } = w;
  const { e } = frame;
  const count = t.other / 16;
  const quads = Array.from({ length: count }, (_, i) => {
    const [lse, delta] = queries
      ? ["vec4<f32>(lse)", "vec4<f32>(delta)"]
      : [`pairs[part * ${count}u + ${i}u]`, `pairs[part * ${count}u + ${t.other / 4 + i}u]`];
    const [score, change] = [strip, strip + stripVectors(t)].map(
      (from) => `bitcast<vec4<f32>>(${inStrip(w, `part * ${count}u + ${from + i}u`)})`,
    );
    return { first: 4 * i, lse, delta, score, change };
  });
  const factor = e.literal(s.scale, "f32").text;
  const toBase2 = `vec4<f32>(${e.literal(log2e, "f32").text})`;
  e.line(`let of_scores = ${unscaleOf("own_tops.x")} * ${unscaleOf("tops.x")} * ${factor};`);
  quads.forEach((x, i) => {
    // Not of a score and an lse in units of log 2: of huge ones the difference would be that of their roundings.
    e.line(`var p${i} = exp2((${x.score} * of_scores - ${x.lse}) * ${toBase2});`);
  });
  hide(w, origin, quads, `part * ${4 * count}u`);
  // Each factor by itself: their product may be less than f32 has.
  e.line(`let of_changes = vec2<f32>(${unscaleOf("own_tops.y")}, ${unscaleOf("tops.y")});`);
  quads.forEach((x, i) => {
    e.line(`let c${i} = p${i} * (${x.change} * of_changes.x * of_changes.y - ${x.delta});`);
  });
  e.line(`let crest = ${quads.map((_, i) => `abs(c${i})`).reduce((a, b) => `max(${a}, ${b})`)};`);
  e.line("let highest = subgroupMax(bitcast<u32>(hmax(crest)));");
  e.line(`if (lid % ${lanes}u == 0u) { crests[lid / ${lanes}u] = highest; }`);
}

/**
 * Writes the halves of an invocation's values, upper ones of a block of 16, then lower ones. Of two that have four values each one writes the
 * upper and the other the lower ones of both.
 */
function writeHalves(w: Walk, strip: number, value: (i: number) => string): void {
  const { e } = w.frame;
  const write = (at: string, words: readonly string[]): void =>
    e.line(`${inStrip(w, at)} = vec4<u32>(${words.join(", ")});`);
  if (w.t.other > 16) {
    const pairs = [0, 1].map((i) => pairOf(w.frame, value(i)));
    [0, 1].forEach((lower) => {
      write(
        `part / 2u * 4u + part % 2u + ${strip + 2 * lower}u`,
        pairs.map((p) => p[lower] as string),
      );
    });
    return;
  }
  const [upper, lower] = pairOf(w.frame, value(0)).map((text) => e.let(text, 2, "u32").text) as [string, string];
  const given = e.let(`subgroupShuffleXor(select(${lower}, ${upper}, part % 2u == 1u), 1u)`, 2, "u32").text;
  const words = ["x", "y"].map((c) => `select(${upper}.${c}, ${given}.${c}, part % 2u == 1u)`);
  const more = ["x", "y"].map((c) => `select(${given}.${c}, ${lower}.${c}, part % 2u == 1u)`);
  write(`part / 2u + part % 2u * 2u + ${strip}u`, [...words, ...more]);
}

/** Adds the matrices to the sums in registers; what follows has scales of its own. */
function keep(w: Walk, sums: Parameters<typeof keepSums>[1], rounds: Rounds): void {
  const { e } = w.frame;
  const [first, then] = w.queries
    ? [unscaleOf("tops.x"), unscaleOf("top_c")]
    : [unscaleOf("select(tops.x, tops.y, role == 1u)"), `select(${unscaleOf("top_c")}, ${unlift}, role == 1u)`];
  e.open("{");
  e.line(`let of_sums = vec2<f32>(${first}, ${then});`);
  keepSums(w, sums, rounds, (kept, value) => `${kept} + ${value} * of_sums.x * of_sums.y`);
  e.line(`tops = vec2<u32>(${leastExponent}u);`);
  e.line(`top_c = ${leastExponent}u;`);
  e.close();
}
