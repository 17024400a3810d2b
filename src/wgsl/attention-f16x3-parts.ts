import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, lessThen, mod, scale } from "../ir/index-expr.ts";
import { halvesBias, largestExponent, leastExponent } from "../ir/ops/halves.ts";
import {
  type Blocks,
  barrier,
  declarationsOf,
  extraBytes,
  lanes,
  type MatrixAttention,
  stripPitch,
  threadsOf,
  unit,
  type Walk,
} from "./attention-matrix-parts.ts";
import { peaksDeclaration, writePeaks } from "./contraction-matrix-f16x3-scale.ts";
import { type StagedPair, stagePairs } from "./contraction-matrix-f16x3-stage.ts";

/** A workgroup owns `own` positions, 16 of them a subgroup, or two subgroups that divide the work for these. */
export interface PairAttention extends MatrixAttention {
  readonly each: 16;
  readonly by?: 2;
  /** With 32 an invocation has 16 or 8 scores of its own position with the others at hand; 16 are for gradients alone. */
  readonly other: 16 | 32;
  /** Others after which matrices are added to sums in registers: matrix units truncate where they add. A multiple of `other`. */
  readonly chunk: number;
}

export const pairAttention = (own: number, by: 1 | 2, other: 16 | 32 = 32, chunk = 128): PairAttention => ({
  ...{ own, other, each: unit, chunk },
  ...(by === 2 ? { by } : {}),
});

/** Features as staged: two subgroups take half of them each, in whole matrices. */
export const widened = (depth: number): number => Math.ceil(depth / 32) * 32;
export const subgroupsOf = (t: MatrixAttention): number => threadsOf(t) / lanes;
/** Vectors of the upper and the lower halves of staged positions. */
export const pairVectors = (positions: number, depth: number): number => (2 * positions * (widened(depth) + 8)) / 8;
/** Does a walk take so long that sums are kept in registers besides the matrices? */
export const keeps = (w: Walk, t: PairAttention): boolean => w.otherSize > t.chunk;

export const declarations = (t: PairAttention, vectors: number): readonly string[] => [
  ...declarationsOf(t, vectors),
  peaksDeclaration(subgroupsOf(t)),
];
/** Bytes of workgroup memory besides the tiles. */
export const moreBytes = (t: PairAttention): number => extraBytes(t) + 8 * subgroupsOf(t);

/** Stages positions of an operand as pairs of halves, own ones or others; past the end the last one is repeated. */
export function stageSide(w: Walk, operand: Node, depth: number, own: boolean, turned = false): StagedPair {
  const [size, limit, lead] = own ? [w.t.own, w.ownSize, w.ownLead] : [w.t.other, w.otherSize, w.otherLead];
  const at = (r: Index): Index => (turned ? lessThen(exchanged(r), limit, exchanged(r), int(limit - 1)) : r);
  return stagePairs(
    w.frame,
    {
      ...{ operand, size, depth: widened(depth), depthLimit: depth, beyond: false, threads: threadsOf(w.t), pad: 8 },
      limit: turned ? Math.ceil(limit / unit) * unit : limit,
      at: (r, d) => [...lead, at(r), d],
    },
    "inner",
  );
}

/** Features of two operands at the own positions that are staged at a time: as many as fit so many vectors. */
export function ownPart(t: PairAttention, depth: number, vectors: number): number {
  const all = widened(depth);
  if (all !== depth) return all;
  const parts = [all, 64].filter((p) => all % p === 0 && 2 * pairVectors(t.own, p) <= vectors);
  return parts[0] ?? 32;
}

/** The own positions of an operand, in tiles of so many features: each has of both halves of the features what blocks of all of them have. */
export function stageOwn(w: Walk, operand: Node, depth: number, part: number): StagedPair[] {
  if (part === widened(depth)) return [stageSide(w, operand, depth, true)];
  return Array.from({ length: depth / part }, (_, p) => {
    const feature = (d: Index): Index => add(add(d, int((p * part) / 2)), scale(div(d, part / 2), (depth - part) / 2));
    return stagePairs(
      w.frame,
      {
        ...{ operand, size: w.t.own, depth: part, depthLimit: part, beyond: false, threads: threadsOf(w.t), pad: 8 },
        limit: w.ownSize,
        at: (r, d) => [...w.ownLead, r, feature(d)],
      },
      "inner",
    );
  });
}

/** An operand's tiles as one for {@link peaksOf}. */
export const joined = (tiles: readonly StagedPair[]): StagedPair => ({
  ...(tiles[0] as StagedPair),
  peak: () => tiles.map((x) => x.peak()).reduce((a, b) => `max(${a}, ${b})`),
});

/** A position whose second and third bits are exchanged: the order in which weights of two subgroups come to lie. */
const exchanged = (x: Index): Index =>
  add(add(scale(div(x, 16), 16), mod(x, 4)), add(scale(mod(div(x, 4), 2), 8), scale(mod(div(x, 8), 2), 4)));

/** Which four features lie at a place of staged lines, and so of sums. */
export const featuresAt = (place: Index, depth: number): Index =>
  add(div(place, 2), scale(mod(place, 2), widened(depth) / 8));

/** Largest magnitudes of the tiles in registers, to workgroup memory. */
export function peaksOf({ frame: { e } }: Walk, sides: readonly StagedPair[]): void {
  e.open("{");
  writePeaks(e, sides);
  e.close();
}

/** The exponents of the largest magnitudes of the two tiles in registers, as text. */
export const exponentsOf = ({ t }: Walk): string =>
  `clamp(subgroupMax(peaks[lid % ${subgroupsOf(t)}u]) >> vec2<u32>(23u), vec2<u32>(${leastExponent}u), vec2<u32>(${largestExponent}u))`;

/** Multiplies matrices by 2 to the minus `up`. */
export function lower({ frame: { e } }: Walk, sums: Blocks, up: string): void {
  e.line(`let ratio = bitcast<f32>((${halvesBias}u - min(${up}, ${halvesBias}u)) << 23u);`);
  for (const name of sums.flat()) e.line(`${name} = subgroupMatrixScalarMultiply(${name}, ratio);`);
}

/** The exponent of a magnitude that is given as bits, as scales have it. */
export const exponentOf = (bits: string): string => `clamp((${bits}) >> 23u, ${leastExponent}u, ${largestExponent}u)`;

type Kind = "left" | "right";
const loaded = (kind: Kind, major: "row_major" | "col_major", at: Index, pitch: number): string =>
  `subgroupMatrixLoad<subgroup_matrix_${kind}<f16, ${unit}, ${unit}>, ${major}>(&sh, ${indexText(at)}, ${pitch}u)`;

/** Matrices of upper and of lower halves. */
export interface PairBlocks {
  readonly upper: readonly string[];
  readonly lower: readonly string[];
}

/** The subgroup's own positions, of a tile of so many features that begins at `base`, as matrices in registers for good. */
export function holdPairs(w: Walk, staged: StagedPair, base: Index, features: number): PairBlocks {
  const { e } = w.frame;
  const hold = (from: number): string[] =>
    Array.from({ length: features / unit }, (_, d) => {
      const name = e.fresh("own");
      const at = add(add(staged.block(w.subgroupAt, d * unit), base), int(from));
      e.line(`let ${name} = ${loaded("left", "row_major", at, staged.pitch)};`);
      return name;
    });
  return { upper: hold(0), lower: hold(staged.vectors) };
}

type Halves = readonly [upper: string, lower: string];

/** lo hi + hi lo + hi hi added to a sum, the small ones first; `turned` begins with the lower half of the right side. */
const threeProducts = (sum: string, [a, la]: Halves, [b, lb]: Halves, turned = false): string[] => {
  const small = [
    [la, b],
    [a, lb],
  ];
  const all = [...(turned ? small.reverse() : small), [a, b]];
  return all.map(([x, y]) => `${sum} = subgroupMatrixMultiplyAccumulate(${x}, ${y}, ${sum});`);
};

/** Statements of several sums in turns: a matrix unit need not wait for the one before. */
const inTurns = (lines: readonly (readonly string[])[]): string[] =>
  (lines[0] ?? []).flatMap((_, i) => lines.map((l) => l[i] as string));

/**
 * Inner products of the own positions with blocks of 16 others from `first` on, in f32 to a strip of workgroup memory. Their bits are the
 * same whichever of both the queries are: weights that are computed again of scores far beyond 1 must be what they were.
 */
export function pairScores(
  w: Walk,
  own: PairBlocks,
  staged: StagedPair,
  place: { readonly base: Index; readonly strip: Index; readonly first: Index; readonly blocks: number },
): void {
  const { e } = w.frame;
  const { base, strip, first, blocks } = place;
  e.open("{");
  const sums = Array.from({ length: blocks }, () => e.fresh("s"));
  for (const name of sums) e.line(`var ${name} = subgroup_matrix_result<f32, ${unit}, ${unit}>();`);
  own.upper.forEach((upper, d) => {
    e.open("{");
    const lines = sums.map((sum, c) => {
      const at = add(staged.block(add(scale(first, unit), int(c * unit)), d * unit), base);
      e.line(`let y${c} = ${loaded("right", "col_major", at, staged.pitch)};`);
      e.line(`let ly${c} = ${loaded("right", "col_major", add(at, int(staged.vectors)), staged.pitch)};`);
      return threeProducts(sum, [upper, own.lower[d] as string], [`y${c}`, `ly${c}`], !w.queries);
    });
    for (const line of inTurns(lines)) e.line(line);
    e.close();
  });
  sums.forEach((name, c) => {
    storeAt(w, name, strip, add(first, int(c)));
  });
  e.close();
}

const blockAt = (w: Walk, strip: Index, column: Index): Index =>
  add(add(scale(w.subgroupAt, stripPitch(w.t)), strip), scale(column, unit / 4));

function storeAt(w: Walk, name: string, strip: Index, column: Index): void {
  const at = indexText(blockAt(w, strip, column));
  w.frame.e.line(`subgroupMatrixStore<row_major>(&sh, ${at}, ${name}, ${stripPitch(w.t)}u);`);
}

/** Adds a strip of pairs times the other positions' features, from the 16 at `first` on, to sums. */
export function addPairs(
  w: Walk,
  sums: readonly string[],
  staged: StagedPair,
  place: { readonly base: Index; readonly strip: Index; readonly first: Index },
): void {
  const { e } = w.frame;
  for (let c = 0; c < w.t.other / unit; c++) {
    e.open("{");
    const at = blockAt(w, place.strip, int(c));
    e.line(`let x = ${loaded("left", "row_major", at, stripPitch(w.t))};`);
    e.line(`let lx = ${loaded("left", "row_major", add(at, int(2)), stripPitch(w.t))};`);
    for (let d = 0; d < sums.length; d += 2) {
      const lines = sums.slice(d, d + 2).map((sum, i) => {
        const from = add(staged.block(int(c * unit), (d + i) * unit), add(place.base, scale(place.first, unit / 8)));
        e.line(`let y${d + i} = ${loaded("right", "row_major", from, staged.pitch)};`);
        e.line(`let ly${d + i} = ${loaded("right", "row_major", add(from, int(staged.vectors)), staged.pitch)};`);
        return threeProducts(sum, ["x", "lx"], [`y${d + i}`, `ly${d + i}`]);
      });
      for (const line of inTurns(lines)) e.line(line);
    }
    e.close();
  }
}

/** Sums in matrices, and what was added to sums in registers so far, by rounds: what of them fits a strip at a time. */
export interface KeptSums {
  readonly matrices: readonly string[];
  readonly each: number;
  readonly kept: readonly (readonly string[])[];
}

/** Declares `count` matrices of sums and, for each round of `each` of them, the vectors that an invocation has of it. */
export function declareKept({ frame: { e } }: Walk, count: number, each: number): KeptSums {
  const declare = (prefix: string, value: string): string => {
    const name = e.fresh(prefix);
    e.line(`var ${name} = ${value};`);
    return name;
  };
  const matrices = Array.from({ length: count }, () => declare("acc", zero));
  const rounds = Math.ceil(count / each);
  const inRound = (r: number): number => Math.min(each, count - r * each);
  const kept = Array.from({ length: rounds }, (_, r) =>
    Array.from({ length: (unit * unit * inRound(r)) / 4 / lanes }, () => declare("kept", "vec4<f32>()")),
  );
  return { matrices, each, kept };
}

const zero = `subgroup_matrix_result<f32, ${unit}, ${unit}>()`;

/** Where the matrices of a round lie: their strip, the first one's column of blocks, and how many subgroups fill a line. */
export interface Rounds {
  readonly strip: Index;
  readonly first: Index;
  readonly filling: number;
  /** The vector of a strip that is the invocation's i-th of a round of so many matrices, as text. */
  place(i: number, matrices: number): string;
}

/** Stores the matrices of one round after the other to their strip, and has `body` read them once they are there. */
function eachRound(
  w: Walk,
  sums: KeptSums,
  r: Rounds,
  body: (kept: readonly string[], matrices: readonly string[]) => void,
): void {
  sums.kept.forEach((names, round) => {
    const matrices = sums.matrices.slice(round * sums.each, (round + 1) * sums.each);
    matrices.forEach((name, j) => {
      storeAt(w, name, r.strip, add(r.first, int(j)));
    });
    barrier(w.frame.e);
    body(names, matrices);
  });
}

/** Adds the matrices to the sums in registers, each value as `value` has it, and begins with them anew. Ends with a barrier. */
export function keepSums(w: Walk, sums: KeptSums, r: Rounds, add4: (kept: string, value: string) => string): void {
  const { e } = w.frame;
  eachRound(w, sums, r, (names, matrices) => {
    names.forEach((name, i) => {
      e.line(`${name} = ${add4(name, `bitcast<vec4<f32>>(${r.place(i, matrices.length)})`)};`);
    });
    barrier(e);
  });
  for (const name of sums.matrices) e.line(`${name} = ${zero};`);
}

/** Multiplies the matrices' rows by the invocations' `factor`, through a strip. Ends with a barrier. */
export function rescaleSums(w: Walk, sums: KeptSums, r: Rounds, factor: string): void {
  const { e } = w.frame;
  const type = `subgroup_matrix_result<f32, ${unit}, ${unit}>`;
  eachRound(w, sums, r, (names, matrices) => {
    names.forEach((_, i) => {
      const at = r.place(i, matrices.length);
      e.line(`${at} = bitcast<vec4<u32>>(bitcast<vec4<f32>>(${at}) * ${factor});`);
    });
    barrier(e);
    matrices.forEach((name, j) => {
      const at = indexText(blockAt(w, r.strip, add(r.first, int(j))));
      e.line(`${name} = subgroupMatrixLoad<${type}, row_major>(&sh, ${at}, ${stripPitch(w.t)}u);`);
    });
    barrier(e);
  });
}

/** Writes the sums of a round to where their matrices would lie; the caller sees to barriers. */
export function showSums({ frame: { e } }: Walk, sums: KeptSums, r: Rounds, round: number): void {
  const names = sums.kept[round] as readonly string[];
  const matrices = Math.min(sums.each, sums.matrices.length - round * sums.each);
  names.forEach((name, i) => {
    e.line(`${r.place(i, matrices)} = bitcast<vec4<u32>>(${name});`);
  });
}
