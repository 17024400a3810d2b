import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, int, mod, scale, variable } from "../ir/index-expr.ts";
import { leastExponent } from "../ir/ops/halves.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  addPairs,
  declarations,
  declareKept,
  exponentsOf,
  holdPairs,
  keepSums,
  keeps,
  lower,
  moreBytes,
  type PairAttention,
  pairScores,
  pairVectors,
  peaksOf,
  type Rounds,
  rescaleSums,
  stageSide,
  widened,
} from "./attention-f16x3-parts.ts";
import { storeKept } from "./attention-f16x3-store.ts";
import { endOf, finish, hideKeys, lift, lowest } from "./attention-matrix.ts";
import {
  barrier,
  forNextStep,
  log2e,
  nextStep,
  openWalk,
  stripPitch,
  stripVectors,
  threadsOf,
  together,
  type Walk,
} from "./attention-matrix-parts.ts";
import { provideResult, type Sizes, sizesOf } from "./attention-parts.ts";
import { scaleOf, unscaleOf } from "./contraction-matrix-f16x3-scale.ts";
import { pairOf, type StagedPair } from "./contraction-matrix-f16x3-stage.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";

/** The maximum may rise by so much before sums are scaled again; weights are e^(score - maximum) 2^lift, at most 2^14. */
const slack = 4;

/**
 * Do keys and values take turns in one tile? Where more than one workgroup fits a multiprocessor then; with two subgroups for own
 * positions NVIDIA's driver (580) made zeros of it at one size of several.
 */
const inTurns = (t: PairAttention): boolean => !t.by && t.own <= 64;

const vectorsOf = (s: Sizes, t: PairAttention): number => {
  const tiles = [s.depth, s.valueDepth].map((d) => pairVectors(t.other, d)) as [number, number];
  const staged = inTurns(t) ? Math.max(...tiles) : tiles[0] + tiles[1];
  return Math.max(staged + stripVectors(t), pairVectors(t.own, s.depth));
};

/** The workgroup memory that the forward kernel takes. */
export const pairAttentionBytes = (s: Sizes, t: PairAttention): number => 16 * vectorsOf(s, t) + moreBytes(t);

/**
 * Attention of f32 by subgroup matrices of halves, as accurate as in f32: operands are two halves each, and so are the weights, and
 * products are three (see `writePairs`). Scores are scaled back in f32, tile by tile; values by the largest so far. Otherwise as
 * {@link writeAttentionMatrix}. Two subgroups that share positions multiply with half of the keys each, and then add to half of the
 * features; the weights that an invocation writes lie where the scores were that it read, so the values come in that order.
 */
export function writeAttentionPairs(region: Region, capabilities: Capabilities, t: PairAttention): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const [q, k, v] = s.node.args as [Node, Node, Node];
  const w = openWalk(frame, s, t, true);
  const by = t.by ?? 1;
  const { role } = w;
  const own = stageSide(w, q, s.depth, true);
  own.load(w.first, int(0));
  peaksOf(w, [own, own]);
  barrier(e);
  e.line(`let peak_q = ${exponentsOf(w)}.x;`);
  own.store("sh", 0, scaleOf("peak_q"));
  barrier(e);
  const query = holdPairs(w, own, int(0), widened(s.depth));
  barrier(e);
  const keys = stageSide(w, k, s.depth, false);
  const values = stageSide(w, v, s.valueDepth, false, by === 2);
  const turns = inTurns(t);
  const second = turns ? 0 : 2 * keys.vectors;
  const strip = turns ? 2 * Math.max(keys.vectors, values.vectors) : second + 2 * values.vectors;
  const perRole = widened(s.valueDepth) / 16 / by;
  const sums = declareKept(w, perRole, 2 / by);
  const quads = quadsOfPairs(w, strip);
  const rounds: Rounds = { strip: int(strip), first: role, filling: by, place: (i) => (quads[i] as PairQuad).place };
  e.line(`var top = ${lowest};`);
  e.line("var sum = 0.0f;");
  e.line(`var peak_v = ${leastExponent}u;`);
  keys.load(int(0), int(0));
  values.load(int(0), int(0));
  peaksOf(w, [keys, values]);
  barrier(e);
  e.line(`let end = ${endOf(w)};`);
  const factor = e.literal(s.scale, "f32").text;
  e.line(`let query_unscale = ${unscaleOf("peak_q")} * ${factor};`);
  e.open("for (var step = 0u; step < end; step++) {", ["step"]);
  const origin = scale(variable("step", Math.max(0, w.steps - 1)), t.other);
  e.line(`let exponents = ${exponentsOf(w)};`);
  e.open("if (exponents.y > peak_v) {");
  lower(w, [sums.matrices], "exponents.y - peak_v");
  e.line("peak_v = exponents.y;");
  e.close();
  const loadNext = (...sides: StagedPair[]): void =>
    forNextStep(w, () => {
      const at = scale(nextStep(w), t.other);
      for (const side of sides) side.load(at, int(0));
    });
  const storeValues = (): void => values.store("sh", second, scaleOf("peak_v"));
  keys.store("sh", 0, scaleOf("exponents.x"));
  if (!turns) storeValues();
  barrier(e);
  loadNext(...(turns ? [keys] : [keys, values]));
  pairScores(w, query, keys, { base: int(0), strip: int(strip), first: role, blocks: 2 / by });
  barrier(e);
  if (turns) {
    storeValues();
    loadNext(values);
  }
  e.line(`let unscale = query_unscale * ${unscaleOf("exponents.x")};`);
  quads.forEach((x, i) => {
    e.line(`var x${i} = bitcast<vec4<f32>>(${x.place}) * unscale;`);
  });
  hideKeys(w, origin, quads, fromOf(w));
  const names = quads.map((_, i) => `x${i}`);
  e.line(`let most = hmax(${names.reduce((a, b) => `max(${a}, ${b})`)});`);
  const often = keeps(w, t) ? ` || (lid == 0u && step % ${t.chunk / t.other}u == ${t.chunk / t.other - 1}u)` : "";
  e.line(`if (most > top + ${slack}.0f${often}) { atomicStore(&rise, 1u); }`);
  const weigh = (declare: boolean): void => {
    names.forEach((x, i) => {
      e.line(
        `${declare ? "var " : ""}p${i} = exp2(fma(${x} - top, vec4<f32>(${e.literal(log2e, "f32").text}), vec4<f32>(${lift}.0f)));`,
      );
    });
    writeWeights(w, strip, quads.length);
  };
  weigh(true);
  e.open("if (workgroupUniformLoad(&rise) == 1u) {");
  const whole = together(w, "most", (a, b) => `max(${a}, ${b})`);
  e.line("if (lid == 0u) { atomicStore(&rise, 0u); }");
  e.line(`let raised = select(top, ${whole}, ${whole} > top + ${slack}.0f);`);
  e.line("let keep = exp(top - raised);");
  e.line("sum *= keep;");
  e.line("top = raised;");
  if (keeps(w, t)) {
    e.line(`let unscale_v = ${unscaleOf("peak_v")};`);
    keepSums(w, sums, rounds, (kept, x) => `(${kept} + ${x} * unscale_v) * keep`);
  } else {
    rescaleSums(w, sums, rounds, "keep");
  }
  weigh(false);
  barrier(e);
  e.close();
  e.line(`sum += hsum(${names.map((_, i) => `p${i}`).join(" + ")});`);
  const half = scale(role, widened(s.valueDepth) / 32);
  addPairs(w, sums.matrices, values, { base: int(second), strip: int(strip), first: half });
  forNextStep(w, () => peaksOf(w, [keys, values]));
  barrier(e);
  e.close();
  e.line(`let unscale_v = ${unscaleOf("peak_v")};`);
  keepSums(w, sums, rounds, (kept, x) => `${kept} + ${x} * unscale_v`);
  finish(w, true);
  storeKept(w, {
    ...{ sums, rounds, depth: s.valueDepth },
    results: [{ result: 0, strips: [strip], value: (sum, edge) => `${sum} * ${edge}.x` }],
    placeOf: (round, quad) =>
      by === 1
        ? add(quad, int(round * 8))
        : add(add(scale(div(quad, 4), widened(s.valueDepth) / 8), mod(quad, 4)), int(round * 4)),
    more: (edge) => {
      if (!s.node.results) return;
      provideResult(frame, s.node, 1, { text: `${edge}.y`, width: 1, dtype: "f32", depth: e.depth });
    },
  });
  const vectors = vectorsOf(s, t);
  return closeFrame(frame, {
    variant: pairAttentionName(t),
    workgroupSize: [threadsOf(t), 1, 1],
    groups: w.groups,
    declarations: declarations(t, vectors),
    workgroupBytes: 16 * vectors + moreBytes(t),
    subgroups: true,
    subgroupMatrix: true,
  });
}

export const pairAttentionName = (t: PairAttention): string =>
  `attention_f16x3_${t.own}x${t.other}${t.by ? "_by2" : ""}`;

/** Four of an invocation's scores: their first position, from where the invocation's begin, and their vector. */
interface PairQuad {
  readonly first: number;
  readonly place: string;
}

/** An invocation has 16 scores that neighbour each other, or of two subgroups' eight: every other four of a block of 16. */
function quadsOfPairs({ t }: Walk, strip: number): readonly PairQuad[] {
  return Array.from({ length: 4 / (t.by ?? 1) }, (_, i) => ({
    first: i * (t.by ? 8 : 4),
    place: placeIn(t, strip + i * (t.by ?? 1)),
  }));
}

const placeIn = (t: Walk["t"], at: number): string =>
  `sh[row * ${stripPitch(t)}u + ${t.by ? "part / 2u * 4u + part % 2u" : "part * 4u"} + ${at}u]`;

/** Where an invocation's scores begin among the others at hand. */
const fromOf = ({ t }: Walk): string => (t.by ? "part / 2u * 16u + part % 2u * 4u" : "part * 16u");

/** Writes an invocation's weights p0, p1, … as halves where its scores were: upper ones of a block, then lower ones. */
function writeWeights(w: Walk, strip: number, count: number): void {
  const { e } = w.frame;
  for (let i = 0; i < count / 2; i++) {
    const pairs = [2 * i, 2 * i + 1].map((q) => pairOf(w.frame, `p${q}`));
    [0, 1].forEach((lower) => {
      e.line(`${placeIn(w.t, strip + i + 2 * lower)} = vec4<u32>(${pairs.map((p) => p[lower]).join(", ")});`);
    });
  }
}
