import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, mod, scale, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { gradOperands, pairAt } from "./attention-grad.ts";
import { readQuad } from "./attention-grad-steps.ts";
import { endOf } from "./attention-matrix.ts";
import {
  addWeighted,
  type Blocks,
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
import { type Finished, storeFinished } from "./attention-matrix-store.ts";
import { overFeatures, type Sizes, sizesOf, storeAside, wide } from "./attention-parts.ts";
import { halfOperand, type StagedHalves } from "./contraction-matrix-stage.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";
import { slotsOf } from "./stage.ts";

/** Weights, at most 1, are multiplied by this before they are rounded: small ones keep their bits. */
export const lift = "0x1p14f";
export const unlift = "0x1p-14f";

/**
 * Vectors of workgroup memory, at most: by query the two operands take turns in one tile. Own positions come first, and the results of one
 * depth last, together.
 */
const vectorsOf = (s: Sizes, t: MatrixAttention, queries: boolean): number => {
  const tiles = [s.depth, s.valueDepth].map((d) => tileVectors(t.other, d)) as [number, number];
  const staged = queries ? Math.max(...tiles) : tiles[0] + tiles[1];
  const own = tileVectors(t.own, Math.max(s.depth, s.valueDepth));
  return Math.max(staged + stripVectors(t), (queries ? 1 : 2) * stripVectors(t), own);
};

export const rowVectors = (t: MatrixAttention): number => t.other / 2;

/** The most workgroup memory that the kernels of the gradient take. */
export const matrixGradBytes = (s: Sizes, t: MatrixAttention): number =>
  16 * (vectorsOf(s, t, s.node.op === "attentionGradQuery") + rowVectors(t)) + extraBytes(t);

/**
 * The gradient of attention of halves by subgroup matrices: by query a workgroup owns queries and walks over the keys, by key and
 * value it owns keys and walks over the queries of every head of its group. Weights and the gradients of scores are computed
 * again in f32 and rounded to halves on their way into the second products. The latter are multiplied by a power of two for
 * each own position, chosen from the largest that it has met, so that neither tiny nor huge gradients leave the range of halves.
 */
export function writeGradMatrix(region: Region, capabilities: Capabilities, t: MatrixAttention): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const s = sizesOf(region.anchors[0] as Node);
  const queries = s.node.op === "attentionGradQuery";
  const given = gradOperands(s.node);
  const half = (n: Node): Node => halfOperand(region, n) as Node;
  const [q, k, v, dout] = [given.q, given.k, given.v, given.dout].map(half) as [Node, Node, Node, Node];
  const w = openWalk(frame, s, t, queries);
  const [own, others] = queries
    ? [
        [q, dout],
        [k, v],
      ]
    : [
        [k, v],
        [q, dout],
      ];
  const depths = [s.depth, s.valueDepth];
  const held = own.map((n, i) => holdOwn(w, n as Node, depths[i] as number)) as [Blocks, Blocks];
  const [x, y] = others.map((n, i) => stagePositions(w, n as Node, depths[i] as number, false)) as [
    StagedHalves,
    StagedHalves,
  ];
  const second = queries ? 0 : x.vectors;
  const strip = queries ? Math.max(x.vectors, y.vectors) : x.vectors + y.vectors;
  const changes = declareSums(w, s.depth);
  const weighted = queries ? undefined : declareSums(w, s.valueDepth);
  const pairs = queries ? undefined : stageRows(w, given.rows);
  e.line("var grow = 0.0f;");
  if (queries) readRows(w, given);

  if (w.grouped) e.open(`for (var h = 0u; h < ${s.group}u; h++) {`, ["h"]);
  e.line(`let end = ${queries ? endOf(w) : `${w.steps}u`};`);
  e.line(`var step = ${queries ? "0u" : startOf(w)};`);
  const load = (step: Index, sides: readonly StagedHalves[]): void => {
    for (const side of sides) side.load(scale(step, t.other), int(0));
    if (sides.includes(x)) pairs?.load(scale(step, t.other));
  };
  const loadNext = (...sides: StagedHalves[]): void => forNextStep(w, () => load(nextStep(w), sides));
  load(e.index("start", Math.max(0, w.steps - 1), `min(step, ${Math.max(0, w.steps - 1)}u)`), [x, y]);
  e.open("for (; step < end; step++) {", ["step"]);
  const origin = scale(variable("step", Math.max(0, w.steps - 1)), t.other);
  const quads = quadsOf(w).flat();
  const perBlock = scoresEach(t) / 4;
  quads.forEach((_, i) => {
    e.line(`var g${i} = vec4<f32>();`);
  });
  const readGiven = (): void =>
    quads.forEach((q, i) => {
      e.line(`g${i} = bitcast<vec4<f32>>(${q.place(strip)});`);
    });
  // The gradients of the weights leave the strip for registers before the scores come to it.
  if (queries) {
    y.store("sh", 0);
    barrier(e);
    loadNext(y);
    scoresTo(w, strip, held[1], y, 0);
    barrier(e);
    x.store("sh", 0);
    readGiven();
    barrier(e);
    loadNext(x);
    scoresTo(w, strip, held[0], x, 0);
  } else {
    x.store("sh", 0);
    y.store("sh", second);
    pairs?.store();
    barrier(e);
    loadNext(x, y);
    scoresTo(w, strip, held[1], y, second);
    barrier(e);
    scoresTo(w, strip, held[0], x, 0, () => {
      readGiven();
      barrier(e);
    });
  }
  barrier(e);
  scoreGradients(w, strip, origin);
  const write = (): void => {
    if (weighted) writeHalves(w, strip, (b, i) => `p${b * perBlock + i} * ${lift}`, true);
    writeHalves(w, strip, (b, i) => `c${b * perBlock + i} * grow`);
  };
  if (perBlock < 4) barrier(e);
  write();
  e.open("if (workgroupUniformLoad(&rise) == 1u) {");
  const highest = together(w, "most", (a, b) => `max(${a}, ${b})`);
  if (sharing(t) === 1) barrier(e);
  e.line("if (lid == 0u) { atomicStore(&rise, 0u); }");
  raise(w, highest);
  scaleSums(w, changes, strip, "keep");
  write();
  barrier(e);
  e.close();
  addWeighted(w, changes, strip, x, 0);
  if (weighted) addWeighted(w, weighted, strip, y, second, true);
  barrier(e);
  e.close();
  if (w.grouped) e.close();

  const factor = e.literal(s.scale, "f32").text;
  e.line("if (part == 0u) { edge[row * 2u] = select(1.0f / grow, 0.0f, grow == 0.0f); }");
  const results: Finished[] = [
    {
      ...{ result: 0, depth: s.depth, sums: changes, strip: 0 },
      value: (sum, edge) => `${sum} * ${edge}.x * ${factor}`,
    },
  ];
  if (weighted) {
    const rest = { depth: s.valueDepth, sums: weighted, strip: stripVectors(t) };
    results.push({ ...rest, result: 1, value: (sum) => `${sum} * ${unlift}` });
  }
  // Results of one depth are there together, for what is computed from both.
  const groups = s.depth === s.valueDepth ? [results] : results.map((r) => [r]);
  for (const group of groups) storeFinished(w, group);
  const ownVectors = tileVectors(t.own, Math.max(...depths));
  const vectors = Math.max(strip + stripVectors(t), results.length * stripVectors(t), ownVectors);
  return closeFrame(frame, {
    variant: `attention_grad_${queries ? "query" : "key_value"}_${divisionName(t)}`,
    workgroupSize: [threadsOf(t), 1, 1],
    groups: w.groups,
    declarations: [
      ...declarationsOf(t, vectors),
      ...(pairs ? [`var<workgroup> pairs: array<vec4<f32>, ${rowVectors(t)}>;`] : []),
    ],
    workgroupBytes: 16 * (vectors + (pairs ? rowVectors(t) : 0)) + extraBytes(t),
    subgroupMatrix: true,
  });
}

/** The first step of the walk over queries: with `causal` that of the first one that sees any of the own keys. */
export const startOf = ({ s, t, first }: Walk): string =>
  s.causal ? `(max(${indexText(first)}, ${s.offset}u) - ${s.offset}u) / ${t.other}u` : "0u";

const clampTo = (w: Walk, x: Index, size: number): Index => {
  const { e } = w.frame;
  return x.max < size ? x : e.opaque(`min(${indexText(x)}, ${size - 1}u)`, size - 1, e.depthOf([x]));
};

/** lse, in units of log 2 or `natural`, and delta of the own query, which are stored too. */
export function readRows(w: Walk, { rows, dout, out }: ReturnType<typeof gradOperands>, natural = false): void {
  const { frame, s, lead } = w;
  const { e } = frame;
  const row = clampTo(w, w.at, s.rows);
  e.width = 1;
  const lse = e.value(rows, [...lead, row]).text;
  e.line(`let lse = ${lse}${natural ? "" : ` * ${e.literal(log2e, "f32").text}`};`);
  e.line("var share = 0.0f;");
  const by = sharing(w.t);
  overFeatures(
    frame,
    s.valueDepth,
    (_, d) => {
      const [a, b] = [dout, out as Node].map((n) => wide(e.value(n, [...lead, row, d]), s.valueDepth));
      e.line(`share += dot(${a}, ${b});`);
    },
    { from: "part", by },
  );
  const delta = together(w, "share", (a, b) => `(${a} + ${b})`);
  e.line(`let delta = ${delta};`);
  const inside = w.at.max < s.rows;
  e.open(`if (part == 0u${inside ? "" : ` && ${indexText(w.at)} < ${s.rows}u`}) {`);
  const at = inside ? w.at : e.opaque(indexText(w.at), s.rows - 1, e.depth);
  for (const [which, text] of [lse, "delta"].entries()) {
    storeAside(frame, s, pairAt(lead, which as 0 | 1, at), { text, width: 1, dtype: "f32", depth: e.depth });
  }
  e.close();
}

/** lse, in units of log 2 or `natural`, and delta of the queries at hand: to registers, and from there to workgroup memory. */
export function stageRows(w: Walk, rows: Node, natural = false): { load(origin: Index): void; store(): void } {
  const { frame, s, t, lead } = w;
  const { e } = frame;
  const slots = slotsOf(e, t.other / 2, threadsOf(t), (u) => {
    const register = e.fresh("r");
    e.line(`var ${register} = vec4<f32>();`);
    return { register, which: div(u, t.other / 4), row: scale(mod(u, t.other / 4), 4), u };
  });
  return {
    load: (origin) =>
      slots(({ register, which, row }) => {
        const four = readQuad(e, add(origin, row), s.rows, (r) => e.value(rows, [...lead, which, r]));
        e.width = 1;
        const scaled = ` * select(1.0f, ${e.literal(log2e, "f32").text}, ${indexText(which)} == 0u)`;
        e.line(`${register} = ${four}${natural ? "" : scaled};`);
      }),
    store: () => slots(({ register, u }) => e.line(`pairs[${indexText(u)}] = ${register};`)),
  };
}

/**
 * p: weights, 0 where hidden, of the scores in a strip; c: gradients of the scores, of those of the weights in g; `most`, the largest
 * magnitude of these, asks for a scale where the last does not do.
 */
function scoreGradients(w: Walk, strip: number, origin: Index): void {
  const { frame, s, t, queries } = w;
  const { e } = frame;
  const factor = e.literal(s.scale * log2e, "f32").text;
  const vectors = scoresEach(t) / 4;
  const each = sharing(t);
  const flat = quadsOf(w).flatMap((block, b) =>
    block.map((x, i) => {
      const pair = `part * ${vectors}u + ${b * each * vectors + i}u`;
      const [lse, delta] = queries
        ? ["vec4<f32>(lse)", "vec4<f32>(delta)"]
        : [`pairs[${pair}]`, `pairs[${pair} + ${t.other / 4}u]`];
      return { ...x, lse, delta };
    }),
  );
  flat.forEach((x, i) => {
    e.line(`var p${i} = exp2(bitcast<vec4<f32>>(${x.place(strip)}) * ${factor} - ${x.lse});`);
  });
  hide(w, origin, flat, fromOf(w));
  flat.forEach((x, i) => {
    e.line(`let c${i} = p${i} * (g${i} - ${x.delta});`);
  });
  const largest = flat.map((_, i) => `abs(c${i})`).reduce((a, b) => `max(${a}, ${b})`);
  e.line(`let most = hmax(${largest});`);
  e.line("if (most * grow > 32768.0f || (grow == 0.0f && most > 0.0f)) { atomicStore(&rise, 1u); }");
}

/** A new scale for positions whose gradients need one: 2^8 to 2^9 is the largest of them then. Sums follow by `keep`. */
function raise({ frame: { e } }: Walk, most: string): void {
  const exponent = `clamp(262u - bitcast<u32>(${most}) / 8388608u, 1u, 253u)`;
  e.line(`let due = ${most} * grow > 32768.0f || (grow == 0.0f && ${most} > 0.0f);`);
  e.line(`let grown = select(grow, bitcast<f32>(${exponent} * 8388608u), due);`);
  e.line("let keep = select(grown / grow, 0.0f, grow == 0.0f);");
  e.line("grow = grown;");
}

/**
 * Clears weights of positions past the end and, with `causal`, of keys after their query, where the tile has any, in p0, p1, …: a quad
 * each, whose positions count from `begin` on.
 */
export function hide(w: Walk, origin: Index, quads: readonly Pick<Quad, "first">[], begin: string): void {
  const { s, t, queries, otherSize } = w;
  const { e } = w.frame;
  const whole = otherSize % t.other === 0;
  if (whole && !s.causal) return;
  const end = add(origin, int(t.other - 1));
  const [seen, key] = queries
    ? [add(w.first, int(s.offset)), end]
    : [add(origin, int(s.offset)), add(w.first, int(t.own - 1))];
  const tests = [
    ...(whole ? [] : [`${indexText(end)} >= ${otherSize}u`]),
    ...(s.causal ? [`${indexText(key)} > ${indexText(seen)}`] : []),
  ];
  e.open(`if (${tests.join(" || ")}) {`);
  const from = `i32(${indexText(origin)}) - i32(${begin})`;
  const limit =
    queries && s.causal ? `min(${otherSize - 1}u, ${indexText(add(w.at, int(s.offset)))})` : `${otherSize - 1}u`;
  const bounds: ((places: string) => string)[] = [];
  if (!whole || queries) {
    e.line(`let far = i32(${limit}) - ${from};`);
    bounds.push((places) => `(${places} > vec4<i32>(far))`);
  }
  if (s.causal && !queries) {
    e.line(`let near = i32(${indexText(w.at)}) - ${s.offset} - ${from};`);
    bounds.push((places) => `(${places} < vec4<i32>(near))`);
  }
  quads.forEach(({ first }, i) => {
    const places = `vec4<i32>(${[0, 1, 2, 3].map((l) => first + l).join(", ")})`;
    e.line(`p${i} = select(p${i}, vec4<f32>(), ${bounds.map((b) => b(places)).join(" | ")});`);
  });
  e.close();
}
