import type { Node } from "../ir/graph.ts";
import {
  add,
  div,
  type Index,
  indexText,
  int,
  lessThen,
  mod,
  scale,
  sub,
  unravel,
  variable,
} from "../ir/index-expr.ts";
import { keyHeads, type Sizes } from "./attention-parts.ts";
import { halves, type StagedHalves, stageHalves } from "./contraction-matrix-stage.ts";
import type { Emitter } from "./emitter.ts";
import type { Frame } from "./kernel.ts";

/** A workgroup owns positions of one axis, `each` of them a subgroup, and takes `other` positions of the other axis at a time. */
export interface MatrixAttention {
  readonly own: number;
  readonly other: number;
  readonly each: 16 | 32;
  /** Subgroups that share the same own positions: they divide the others between them, and the features. Default 1. */
  readonly by?: 2 | 4;
}

export const unit = 16;
export const lanes = 32;
export const log2e = Math.LOG2E;
export const padded = (depth: number): number => Math.ceil(depth / unit) * unit;
export const threadsOf = (t: MatrixAttention): number => (t.own / t.each) * lanes * (t.by ?? 1);
export const divisionName = (t: MatrixAttention): string =>
  `matrix_${t.own}x${t.other}${t.each > unit ? `_each${t.each}` : ""}${t.by ? `_by${t.by}` : ""}`;
/** Invocations that share an own position. */
export const sharing = (t: MatrixAttention): number => (lanes / t.each) * (t.by ?? 1);
/** Vectors from one line of scores to the next: lines of eight positions lie in different banks. */
export const stripPitch = (t: MatrixAttention): number => t.other / 4 + 1;
/** Vectors of the scores of all own positions with the others at hand. */
export const stripVectors = (t: MatrixAttention): number => t.own * stripPitch(t);
/** Vectors of staged halves, whichever way their operand lies. */
export const tileVectors = (positions: number, depth: number): number =>
  Math.max(positions * (padded(depth) + 8), padded(depth) * (positions + 8)) / 8;
/** Scores of an own position that neighbour each other in one invocation. */
export const scoresEach = (t: MatrixAttention): number => Math.min(unit, t.other / sharing(t));

/** What the three kernels have in common: which positions a workgroup owns, and its walk over the others. */
export interface Walk {
  readonly frame: Frame;
  readonly s: Sizes;
  readonly t: MatrixAttention;
  /** Are the own positions queries? */
  readonly queries: boolean;
  readonly groups: number;
  /** Leading indices: of the own operands, of the others, and of the queries. */
  readonly ownLead: readonly Index[];
  readonly otherLead: readonly Index[];
  readonly lead: readonly Index[];
  readonly ownSize: number;
  readonly otherSize: number;
  /** The first own position of the workgroup and of the subgroup within it, and the invocation's own one. */
  readonly first: Index;
  readonly subgroupAt: Index;
  readonly row: Index;
  readonly at: Index;
  /** Which of the invocations that share a position this is, and which of the subgroups. */
  readonly part: Index;
  readonly role: Index;
  readonly steps: number;
  readonly grouped: boolean;
}

export function openWalk(frame: Frame, s: Sizes, t: MatrixAttention, queries: boolean): Walk {
  const { e } = frame;
  const heads = queries ? s.lead : s.keyLead;
  const [ownSize, otherSize] = queries ? [s.rows, s.keys] : [s.keys, s.rows];
  const blocks = Math.ceil(ownSize / t.own);
  const all = heads.reduce((p, d) => p * d, 1);
  const g = e.index("g", Math.max(0, blocks * all - 1), "group");
  // With `causal` the last queries and the first keys have most to do: these workgroups start first.
  const nth = div(g, Math.max(1, all));
  const first = scale(queries ? sub(int(blocks - 1), nth) : nth, t.own);
  const ownLead = unravel(mod(g, Math.max(1, all)), heads);
  const grouped = !queries && s.group > 1;
  const lead = grouped
    ? ownLead.map((x, i) => (i === ownLead.length - 1 ? add(scale(x, s.group), variable("h", s.group - 1)) : x))
    : ownLead;
  const by = t.by ?? 1;
  const across = lanes / t.each;
  const inSubgroup = across > 1 ? `lid % ${lanes}u / ${across}u` : `lid % ${lanes}u`;
  const row = e.index(
    "row",
    t.own - 1,
    by > 1 ? `lid / ${by * lanes}u * ${t.each}u + ${inSubgroup}` : `lid / ${sharing(t)}u`,
  );
  return {
    ...{ frame, s, t, queries, groups: blocks * all, ownLead, lead, ownSize, otherSize, first, row, grouped },
    otherLead: queries ? keyHeads(s, lead) : lead,
    subgroupAt: scale(e.index("sg", t.own / t.each - 1, `lid / ${lanes * by}u`), t.each),
    at: add(first, row),
    part: e.index(
      "part",
      sharing(t) - 1,
      by > 1 ? `lid % ${across}u + lid / ${lanes}u % ${by}u * ${across}u` : `lid % ${sharing(t)}u`,
    ),
    role: by > 1 ? e.index("role", by - 1, `lid / ${lanes}u % ${by}u`) : int(0),
    steps: Math.ceil(otherSize / t.other),
  };
}

/** Stages positions of an operand, own ones or others. Past the end the last one is repeated. */
export function stagePositions(w: Walk, operand: Node, depth: number, own: boolean): StagedHalves {
  const [size, limit, lead] = own ? [w.t.own, w.ownSize, w.ownLead] : [w.t.other, w.otherSize, w.otherLead];
  return stageHalves(w.frame, {
    operand,
    // A vector that reaches past the end repeats the last position: what is there is multiplied by 0, so it must be a number.
    at: (r, d) => [...lead, lessThen(r, limit, r, int(limit - 1)), d],
    size,
    depth: padded(depth),
    limit,
    depthLimit: depth,
    beyond: false,
    threads: threadsOf(w.t),
    pad: 8,
  });
}

/** How a matrix is loaded from a tile: as (position, feature) or as (feature, position). */
function loadBlock(
  kind: "left" | "right",
  s: StagedHalves,
  base: number,
  { position, feature, turned = false }: { position: Index; feature: Index; turned?: boolean },
): string {
  const major = (s.along === "inner") !== turned ? "row_major" : "col_major";
  const perFeatures = s.along === "inner" ? unit / 8 : unit * s.pitch;
  const at = indexText(add(add(s.block(position, 0), scale(feature, perFeatures)), int(base)));
  return `subgroupMatrixLoad<subgroup_matrix_${kind}<f16, ${unit}, ${unit}>, ${major}>(&sh, ${at}, ${s.pitch}u)`;
}

export const barrier = (e: Emitter): void => e.line("workgroupBarrier();");

/** Names of matrices by rows of blocks and columns. */
export type Blocks = readonly (readonly string[])[];

/** The own positions of an operand, as matrices in registers for good. */
export function holdOwn(w: Walk, operand: Node, depth: number): Blocks {
  const { e } = w.frame;
  const staged = stagePositions(w, operand, depth, true);
  staged.load(w.first, int(0));
  staged.store("sh", 0);
  barrier(e);
  const held = Array.from({ length: w.t.each / unit }, (_, i) =>
    Array.from({ length: padded(depth) / unit }, (_, d) => {
      const name = e.fresh("own");
      const position = add(w.subgroupAt, int(i * unit));
      e.line(`let ${name} = ${loadBlock("left", staged, 0, { position, feature: int(d) })};`);
      return name;
    }),
  );
  barrier(e);
  return held;
}

/** Sums in f32: one for each own position and feature. Subgroups that share positions have every `by`-th block of features each. */
export const declareSums = ({ frame: { e }, t }: Walk, depth: number): Blocks =>
  Array.from({ length: t.each / unit }, () =>
    Array.from({ length: padded(depth) / unit / (t.by ?? 1) }, () => {
      const name = e.fresh("acc");
      e.line(`var ${name} = subgroup_matrix_result<f32, ${unit}, ${unit}>();`);
      return name;
    }),
  );

/** The block of columns, or of features, that is the subgroup's c-th. */
export const blockOf = (w: Walk, c: number): Index => add(int(c * (w.t.by ?? 1)), w.role);
/** Blocks of columns of a strip that a subgroup has. */
export const columnsOf = (t: MatrixAttention): number => t.other / unit / (t.by ?? 1);

/** Where the matrix at block row i and a block of columns of a strip begins. */
const stripBlock = (w: Walk, strip: number, i: number, column: Index): string =>
  indexText(add(add(scale(add(w.subgroupAt, int(i * unit)), stripPitch(w.t)), int(strip)), scale(column, unit / 4)));

export function storeBlock(w: Walk, name: string, strip: number, i: number, column: Index): void {
  const at = stripBlock(w, strip, i, column);
  w.frame.e.line(`subgroupMatrixStore<row_major>(&sh, ${at}, ${name}, ${stripPitch(w.t)}u);`);
}

/**
 * Inner products of the own positions with the others at hand, in f32 to a strip of workgroup memory. `free` is for what must
 * be done before the strip may be written.
 */
export function scoresTo(
  w: Walk,
  strip: number,
  own: Blocks,
  other: StagedHalves,
  base: number,
  free: () => void = () => {},
): void {
  const { e } = w.frame;
  const columns = columnsOf(w.t);
  e.open("{");
  const acc = own.map(() => Array.from({ length: columns }, () => e.fresh("s")));
  for (const name of acc.flat()) e.line(`var ${name} = subgroup_matrix_result<f32, ${unit}, ${unit}>();`);
  own[0]?.forEach((_, d) => {
    e.open("{");
    for (let c = 0; c < columns; c++) {
      const place = { position: scale(blockOf(w, c), unit), feature: int(d), turned: true };
      e.line(`let y${c} = ${loadBlock("right", other, base, place)};`);
      acc.forEach((names, i) => {
        e.line(`${names[c]} = subgroupMatrixMultiplyAccumulate(${own[i]?.[d]}, y${c}, ${names[c]});`);
      });
    }
    e.close();
  });
  free();
  acc.forEach((names, i) => {
    names.forEach((name, c) => {
      storeBlock(w, name, strip, i, blockOf(w, c));
    });
  });
  e.close();
}

/** Adds a strip of halves times the other positions' features to sums. */
export function addWeighted(
  w: Walk,
  sums: Blocks,
  strip: number,
  other: StagedHalves,
  base: number,
  aside = false,
): void {
  const { e } = w.frame;
  for (let c = 0; c < w.t.other / unit; c++) {
    e.open("{");
    sums.forEach((_, i) => {
      const type = `subgroup_matrix_left<f16, ${unit}, ${unit}>`;
      const at = stripBlock(w, strip + (aside ? 2 : 0), i, int(c));
      e.line(`let x${i} = subgroupMatrixLoad<${type}, row_major>(&sh, ${at}, ${stripPitch(w.t)}u);`);
    });
    sums[0]?.forEach((_, d) => {
      const place = { position: int(c * unit), feature: blockOf(w, d) };
      e.line(`let y${d} = ${loadBlock("right", other, base, place)};`);
      sums.forEach((names, i) => {
        e.line(`${names[d]} = subgroupMatrixMultiplyAccumulate(x${i}, y${d}, ${names[d]});`);
      });
    });
    e.close();
  }
}

/** One of the vectors of four scores that an invocation has: of its own position with the others from `first` on. */
export interface Quad {
  /** Position among the others at hand, less 16 times the invocation's part. */
  readonly first: number;
  /** Vector of a strip, and of its block. */
  place(strip: number): string;
}

/** The scores of an invocation: as many as it has of a block neighbour each other, and invocations share a position block by block. */
export function quadsOf(w: Walk): Quad[][] {
  const each = sharing(w.t);
  const per = scoresEach(w.t);
  return Array.from({ length: w.t.other / per / each }, (_, b) =>
    Array.from({ length: per / 4 }, (_, q) => ({
      first: b * each * per + q * 4,
      place: (strip: number) => inStrip(w, `part * ${per / 4}u + ${strip + (b * each * per) / 4 + q}u`),
    })),
  );
}

const inStrip = ({ t }: Walk, at: string): string => `sh[row * ${stripPitch(t)}u + ${at}]`;

/** The first of an invocation's scores among the others at hand, as text. */
export const fromOf = ({ t }: Walk): string => `part * ${scoresEach(t)}u`;

/**
 * Writes an invocation's values as halves where scores were: 16 of a block in its first two vectors, or with `aside` in the other two. Where
 * an invocation has 8 scores of a block they may have been another's.
 */
export function writeHalves(w: Walk, strip: number, value: (b: number, q: number) => string, aside = false): void {
  const { e } = w.frame;
  const per = scoresEach(w.t);
  const part = per === unit ? "part * 4u" : "part / 2u * 4u + part % 2u";
  quadsOf(w).forEach((block, b) => {
    for (let i = 0; i < block.length / 2; i++) {
      const pair = [2 * i, 2 * i + 1].map((q) => halves(w.frame, value(b, q)));
      const at = strip + (b * sharing(w.t) * per) / 4 + i + (aside ? 2 : 0);
      e.line(`${inStrip(w, `${part} + ${at}u`)} = vec4<u32>(${pair.join(", ")});`);
    }
  });
}

/** Multiplies the sums of each own position by the invocations' `factor`, through a strip. Ends with a barrier. */
export function scaleSums(w: Walk, sums: Blocks, strip: number, factor: string): void {
  const { e } = w.frame;
  const columns = columnsOf(w.t);
  const count = sums[0]?.length ?? 0;
  for (let d = 0; d < count; d += columns) {
    const chunk = sums.map((names) => names.slice(d, d + columns));
    chunk.forEach((names, i) => {
      names.forEach((name, c) => {
        storeBlock(w, name, strip, i, blockOf(w, c));
      });
    });
    barrier(e);
    for (const block of quadsOf(w)) {
      for (const q of block) {
        const at = q.place(strip);
        e.line(`${at} = bitcast<vec4<u32>>(bitcast<vec4<f32>>(${at}) * ${factor});`);
      }
    }
    barrier(e);
    chunk.forEach((names, i) => {
      names.forEach((name, c) => {
        const type = `subgroup_matrix_result<f32, ${unit}, ${unit}>`;
        const at = stripBlock(w, strip, i, blockOf(w, c));
        e.line(`${name} = subgroupMatrixLoad<${type}, row_major>(&sh, ${at}, ${stripPitch(w.t)}u);`);
      });
    });
    barrier(e);
  }
}

/** What the invocations that share a position have, put together; two barriers. */
export function together(w: Walk, name: string, combine: (a: string, b: string) => string): string {
  const { e } = w.frame;
  const each = sharing(w.t);
  if (each === 1) return name;
  e.line(`edge[${w.t.by ? `row * ${each}u + part` : "lid"}] = ${name};`);
  barrier(e);
  const parts = Array.from({ length: each }, (_, i) => `edge[row * ${each}u + ${i}u]`);
  const whole = e.let(parts.reduce(combine), 1, "f32").text;
  barrier(e);
  return whole;
}

/** Workgroup memory besides the tiles and strips. */
export const declarationsOf = (t: MatrixAttention, vectors: number): readonly string[] => [
  `var<workgroup> sh: array<vec4<u32>, ${vectors}>;`,
  `var<workgroup> edge: array<f32, ${edges(t)}>;`,
  "var<workgroup> rise: atomic<u32>;",
  "fn hmax(v: vec4<f32>) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }",
  "fn hsum(v: vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }",
];
export const extraBytes = (t: MatrixAttention): number => 4 * edges(t) + 4;
const edges = (t: MatrixAttention): number => Math.max(2, sharing(t)) * t.own;

/** Statements for the step after this one, where there is one: loads that are under way while this one computes. */
export function forNextStep({ frame: { e }, steps }: Walk, body: () => void): void {
  if (steps <= 1) return;
  e.open("if (step + 1u < end) {");
  body();
  e.close();
}

export const nextStep = ({ frame: { e }, steps }: Walk): Index => e.index("next", steps - 1, "step + 1u");
