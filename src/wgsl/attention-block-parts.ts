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
import { keyHeads, provideResult, type Sizes, storeAside, storeAt } from "./attention-parts.ts";
import { type Emitter, lane, type Value } from "./emitter.ts";
import type { Frame } from "./kernel.ts";
import { type Side, type Staged, stage } from "./stage.ts";

/** Own positions of a workgroup, and others taken at a time. */
export const side = 64;
/** Vectors of a line of weights: one for each other position, along the own ones. */
export const pitch = side / 4 + 1;
export const lanes = ["x", "y", "z", "w"] as const;
/** Of the own positions an invocation has two vectors: b and b + 8. */
export const halves = [0, 1] as const;

/** How the work on a tile is divided. */
export interface BlockTile {
  /** Invocations along the other positions and the features, eight for each; each of them has 8 own positions. */
  readonly across: 8 | 16;
  /** Features, or other positions, in workgroup memory at a time. */
  readonly chunk: 16 | 32;
}

/** Invocation (a, b) has 8 own positions by b, other ones by a, and features by a. */
export interface Block extends BlockTile {
  readonly frame: Frame;
  readonly s: Sizes;
  /** Are the own positions queries? */
  readonly queries: boolean;
  readonly groups: number;
  readonly threads: number;
  /** Vectors of four other positions, and of features, that an invocation has: a, a + across, … */
  readonly quads: number;
  readonly features: number;
  readonly ownLead: readonly Index[];
  readonly otherLead: readonly Index[];
  /** Leading index of the queries. */
  readonly lead: readonly Index[];
  readonly ownSize: number;
  readonly otherSize: number;
  readonly first: Index;
  readonly steps: number;
  readonly grouped: boolean;
}

/** Vectors of features that an invocation has. */
const featureQuads = (s: Sizes, { across }: BlockTile): number =>
  Math.ceil(Math.max(s.depth, s.valueDepth) / 4 / across);

/** Vectors of the pieces of workgroup memory: a chunk of each side, the weights, and what invocations tell each other. */
function memoryOf(s: Sizes, tile: BlockTile): Readonly<Record<"own" | "other" | "weights" | "peak", number>> {
  const { across, chunk } = tile;
  const features = across * featureQuads(s, tile) + 1;
  return { own: chunk * pitch, other: chunk * Math.max(pitch, features), weights: side * pitch, peak: 16 * across };
}
export const blockBytes = (s: Sizes, tile: BlockTile): number =>
  16 * Object.values(memoryOf(s, tile)).reduce((a, b) => a + b, 0);
export const declarationsOf = (s: Sizes, tile: BlockTile): readonly string[] =>
  Object.entries(memoryOf(s, tile)).map(([name, n]) => `var<workgroup> ${name}: array<vec4<f32>, ${n}>;`);

export function openBlock(frame: Frame, s: Sizes, tile: BlockTile, queries: boolean): Block {
  const { e } = frame;
  const heads = queries ? s.lead : s.keyLead;
  const [ownSize, otherSize] = queries ? [s.rows, s.keys] : [s.keys, s.rows];
  const blocks = Math.ceil(ownSize / side);
  const all = heads.reduce((p, d) => p * d, 1);
  const g = e.index("g", Math.max(0, blocks * all - 1), "group");
  // With `causal` the last queries and the first keys have most to do: these workgroups start first.
  const nth = div(g, Math.max(1, all));
  const ownLead = unravel(mod(g, Math.max(1, all)), heads);
  const grouped = !queries && s.group > 1;
  const lead = grouped
    ? ownLead.map((x, i) => (i === ownLead.length - 1 ? add(scale(x, s.group), variable("h", s.group - 1)) : x))
    : ownLead;
  const { across } = tile;
  // Neighbours differ in b, then in a, as in squareAt.
  e.index("a", across - 1, `lid / 2u % 2u + lid / 8u % ${across / 2}u * 2u`);
  e.index("b", 7, `lid % 2u + lid / 4u % 2u * 2u + lid / ${4 * across}u % 2u * 4u`);
  return {
    ...{ frame, s, queries, groups: blocks * all, threads: 8 * across, quads: side / 4 / across },
    ...{ ...tile, features: featureQuads(s, tile), ownLead, lead, ownSize, otherSize, grouped },
    otherLead: queries ? keyHeads(s, lead) : lead,
    first: scale(queries ? sub(int(blocks - 1), nth) : nth, side),
    steps: Math.ceil(otherSize / side),
  };
}

/** The first of four own positions of the invocation: of its vector b or b + 8. */
export const ownAt = ({ first }: Block, half: 0 | 1): Index =>
  add(first, add(scale(variable("b", 7), 4), int(32 * half)));
/** The first of four others of the invocation, from `origin` on. */
export const otherAt = (t: Block, origin: Index, quad: number): Index =>
  add(origin, add(scale(variable("a", t.across - 1), 4), int(4 * t.across * quad)));

/** How a tile shares what others of the workgroup use. */
export type Sharing = Pick<Side, "lid" | "origin" | "like"> & { readonly name?: string };

/** Features of positions: a chunk of `features` along the depth. */
export function stageScores(t: Block, operand: Node, depth: number, own: boolean, sharing: Sharing = {}): Staged {
  const [limit, lead] = own ? [t.ownSize, t.ownLead] : [t.otherSize, t.otherLead];
  return stage(t.frame, {
    name: own ? "own" : "other",
    operand,
    dtype: "f32",
    // A vector that reaches past the end repeats the last position: what is there is multiplied by 0, so it must be a number.
    at: (r, d) => [...lead, lessThen(r, limit, r, int(limit - 1)), d],
    ...{
      size: side,
      depth: t.chunk,
      limit,
      depthLimit: depth,
      threads: t.threads,
      skewed: true,
    },
    ...sharing,
  });
}

/** A chunk of other positions with all their features. */
export function stageFeatures(t: Block, operand: Node, depth: number, sharing: Sharing = {}): Staged {
  return stage(t.frame, {
    name: "other",
    operand,
    dtype: "f32",
    at: (d, r) => [...t.otherLead, r, d],
    ...{ size: 4 * t.features * t.across, depth: t.chunk, limit: depth, depthLimit: t.otherSize, threads: t.threads },
    ...sharing,
  });
}

/** Names of sums: by a's positions (or features), each along the own positions b and b + 8. */
export type Sums = readonly (readonly [string, string])[];

export const declareSums = (e: Emitter, name: string, count: number): Sums =>
  Array.from({ length: count }, (_, i) => {
    const names = [`${name}${i}_0`, `${name}${i}_1`] as const;
    for (const n of names) e.line(`var ${n} = vec4<f32>();`);
    return names;
  });

/** Where line k + i of a tile begins, k a multiple of four. */
export interface Lines {
  readonly array: string;
  readonly from?: string;
  readonly pitch: number;
  readonly skew?: number;
}
const lineOf = ({ array, from = "", pitch, skew = 0 }: Lines, i: number, at: string): string =>
  `${array}[${from}k * ${4 * pitch + skew}u + ${i * pitch}u + ${at}]`;

/** Adds the products of each line of `left`, along the own positions, and the same of `right`, to sums. */
export function multiply(t: Block, sums: Sums, left: Lines, right: Lines): void {
  const { e } = t.frame;
  e.open(`for (var k = 0u; k < ${t.chunk / 4}u; k++) {`);
  for (let n = 0; n < 4; n++) {
    for (const h of halves) e.line(`let x${n}_${h} = ${lineOf(left, n, `b + ${8 * h}u`)};`);
    for (let j = 0; j < sums.length / 4; j++) {
      e.line(`let y${n}_${j} = ${lineOf(right, n, `a + ${t.across * j}u`)};`);
      lanes.forEach((l, i) => {
        for (const h of halves) {
          const name = sums[4 * j + i]?.[h] as string;
          e.line(`${name} = fma(x${n}_${h}, vec4<f32>(y${n}_${j}.${l}), ${name});`);
        }
      });
    }
  }
  e.close();
}

/** A product by chunks: the first is loaded by `begin`, so that something else may be done until it has come. */
export interface Chunked {
  begin(): void;
  run(sums: Sums): void;
}

/** Chunks go through registers, one ahead. Ends with a barrier. */
function chunked(
  t: Block,
  count: number,
  load: (at: Index) => void,
  store: () => void,
  go: (sums: Sums) => void,
): Chunked {
  const { e } = t.frame;
  return {
    begin: () => load(int(0)),
    run(sums) {
      e.open(`for (var c = 0u; c < ${count}u; c++) {`, ["c"]);
      store();
      e.line("workgroupBarrier();");
      if (count > 1) {
        e.open(`if (c + 1u < ${count}u) {`);
        load(scale(e.index(e.fresh("next"), count - 1, "c + 1u"), t.chunk));
        e.close();
      }
      go(sums);
      e.line("workgroupBarrier();");
      e.close();
    },
  };
}

/** Scores, or gradients of weights: products of own and other positions over the features. */
export function scoresBy(t: Block, own: Node, other: Node, depth: number, origin: Index): Chunked {
  const [x, y] = [stageScores(t, own, depth, true), stageScores(t, other, depth, false)];
  const load = (d: Index): void => {
    x.load(t.first, d);
    y.load(origin, d);
  };
  const store = (): void => {
    x.store();
    y.store();
  };
  return chunked(t, Math.ceil(depth / t.chunk), load, store, (sums) =>
    multiply(t, sums, { array: "own", pitch: x.pitch, skew: x.skew }, { array: "other", pitch: y.pitch, skew: y.skew }),
  );
}

/** Weights of the other positions times their features. */
export function weightedBy(t: Block, other: Node, depth: number, origin: Index): Chunked {
  const y = stageFeatures(t, other, depth);
  const load = (r: Index): void => y.load(int(0), add(origin, r));
  const line = `c * ${t.chunk * pitch}u + `;
  return chunked(
    t,
    side / t.chunk,
    load,
    () => y.store(),
    (sums) =>
      multiply(t, sums, { array: "weights", from: line, pitch }, { array: "other", pitch: y.pitch, skew: y.skew }),
  );
}

/** Writes a value for each of an invocation's pairs of positions to the memory of weights, with no barrier. */
export function writeWeights(t: Block, value: (o: number, half: 0 | 1) => string): void {
  forPairs(t, (o, h) => t.frame.e.line(`${weightAt(t, o, h)} = ${value(o, h)};`));
}

export const weightAt = (t: Block, o: number, h: 0 | 1): string =>
  `weights[(a * 4u + ${4 * t.across * Math.floor(o / 4) + (o % 4)}u) * ${pitch}u + b + ${8 * h}u]`;

export function forPairs(t: Block, body: (o: number, half: 0 | 1) => void): void {
  for (let o = 0; o < 4 * t.quads; o++) for (const h of halves) body(o, h);
}

/** Hides pairs where the tile has any to hide: others past the end and, with `causal`, keys after their query. */
export function hidePairs(t: Block, origin: Index, hide: (o: number, half: 0 | 1, hidden: string) => void): void {
  const { s, queries, otherSize, frame } = t;
  const { e } = frame;
  const whole = otherSize % side === 0;
  if (whole && !s.causal) return;
  const end = add(origin, int(side - 1));
  const [seen, key] = queries
    ? [add(t.first, int(s.offset)), end]
    : [add(origin, int(s.offset)), add(t.first, int(side - 1))];
  const tests = [
    ...(whole ? [] : [`${indexText(end)} >= ${otherSize}u`]),
    ...(s.causal ? [`${indexText(key)} > ${indexText(seen)}`] : []),
  ];
  e.open(`if (${tests.join(" || ")}) {`);
  for (const h of halves) {
    e.line(`let at${h} = vec4<u32>(${indexText(ownAt(t, h))}) + vec4<u32>(0u, 1u, 2u, 3u);`);
  }
  forPairs(t, (o, h) => {
    const other = add(otherAt(t, origin, Math.floor(o / 4)), int(o % 4));
    const hidden = [
      ...(whole ? [] : [`vec4<bool>(${indexText(other)} >= ${otherSize}u)`]),
      ...(!s.causal
        ? []
        : queries
          ? [`(vec4<u32>(${indexText(other)}) > at${h} + vec4<u32>(${s.offset}u))`]
          : [`(at${h} > vec4<u32>(${indexText(add(other, int(s.offset)))}))`]),
    ];
    hide(o, h, hidden.join(" | "));
  });
  e.close();
}

/** The first step, and that after the last one, in which own and other positions see each other. */
export const stepsOf = ({ s, queries, first, steps }: Block): readonly [string, string] =>
  !s.causal
    ? ["0u", `${steps}u`]
    : queries
      ? ["0u", `min(${steps}u, (${indexText(add(first, int(2 * side + s.offset - 1)))}) / ${side}u)`]
      : [`(max(${indexText(first)}, ${s.offset}u) - ${s.offset}u) / ${side}u`, `${steps}u`];

/** Combines a vector for each half over the invocations that share own positions. Two barriers. */
export function together(t: Block, names: readonly [string, string], join: (a: string, b: string) => string): void {
  const { e } = t.frame;
  for (const h of halves) e.line(`peak[a * 16u + b + ${8 * h}u] = ${names[h]};`);
  e.line("workgroupBarrier();");
  for (const h of halves) {
    const parts = Array.from({ length: t.across }, (_, i) => `peak[b + ${i * 16 + 8 * h}u]`);
    e.line(`${names[h]} = ${parts[0]};`);
    for (const p of parts.slice(1)) e.line(`${names[h]} = ${join(names[h], p)};`);
  }
  e.line("workgroupBarrier();");
}

/** The body for each own position of the invocation that there is: which vector and component, and its index. */
export function forOwn(t: Block, body: (half: 0 | 1, component: string, row: Index) => void, guard = ""): void {
  const { e } = t.frame;
  for (const h of halves) {
    lanes.forEach((l, i) => {
      const r = add(ownAt(t, h), int(i));
      const inside = r.max < t.ownSize;
      const tests = [...(guard ? [guard] : []), ...(inside ? [] : [`${indexText(r)} < ${t.ownSize}u`])];
      e.open(tests.length ? `if (${tests.join(" && ")}) {` : "{");
      body(h, l, inside ? r : e.opaque(indexText(r), t.ownSize - 1, e.depth));
      e.close();
    });
  }
}

/** A result of the kernel: its sums by feature, and the value at one own position given the text of four features. */
export interface Finished {
  readonly result: 0 | 1;
  readonly depth: number;
  readonly sums: Sums;
  value(four: string, half: 0 | 1, component: string): string;
}

/** Stores results of one depth with what is computed from them. `more` provides what else is known of a position. */
export function storeFinished(
  t: Block,
  group: readonly Finished[],
  more?: (half: 0 | 1, component: string) => Value,
): void {
  const { frame, s } = t;
  const { e } = frame;
  const { depth } = group[0] as Finished;
  forOwn(t, (h, l, row) => {
    if (more) provideResult(frame, s.node, 1, more(h, l));
    for (let j = 0; j < t.features; j++) {
      const d = add(variable("a", t.across - 1), int(t.across * j));
      if (d.min >= depth / 4) continue;
      const inside = d.max < depth / 4;
      e.open(inside ? "{" : `if (${indexText(d)} < ${depth / 4}u) {`);
      const feature = inside ? d : e.opaque(indexText(d), depth / 4 - 1, e.depth);
      const index = [...t.ownLead, row, add(scale(feature, 4), lane(4))];
      e.width = 4;
      for (const f of group) {
        const four = `vec4<f32>(${lanes.map((_, i) => `${f.sums[4 * j + i]?.[h]}.${l}`).join(", ")})`;
        const value = e.let(f.value(four, h, l), 4, "f32");
        provideResult(frame, s.node, f.result, value);
        if (f.result === 1) storeAside(frame, s, index, value);
      }
      if (group[0]?.result === 0) storeAt(frame, s, index);
      e.width = 1;
      e.close();
    }
  });
}
