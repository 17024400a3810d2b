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
import { type Staged, stage } from "./stage.ts";

/** Own positions of a workgroup, and others taken at a time. */
export const side = 64;
/** Invocations along the other positions, four for each, and the features, vectors of four for each: each of them has 8 own positions. */
export const across = 16;
const threads = 8 * across;
/** Features of both sides in workgroup memory at a time. */
const chunk = 32;
/** Vectors of a line along positions of one side. */
const pitch = side / 4;
export const lanes = ["x", "y", "z", "w"] as const;
/** Of the own positions an invocation has two vectors: b and b + 8. */
export const halves = [0, 1] as const;

/** Invocation (a, b) has 8 own positions by b, other ones by a, and features by a. */
export interface Block {
  readonly frame: Frame;
  readonly s: Sizes;
  /** Are the own positions queries? */
  readonly queries: boolean;
  readonly groups: number;
  /** Vectors of features that an invocation has: a, a + 16. */
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

/** Vectors of padding after each four lines of a chunk. */
const skew = 1;
const staged = chunk * pitch + (chunk / 4) * skew;
/**
 * Where pieces of workgroup memory begin, in vectors. What is never used at a time shares it: operands of the scores, and weights with
 * the features that these are multiplied by, or with what invocations tell each other.
 */
const layout = { own: 0, other: staged, weights: 0, features: side * pitch, peak: side * pitch } as const;
/** Features of 32 other positions where heads are up to 64 deep, else of 16. */
const vectors = layout.features + chunk * across;
/** Half of what a multiprocessor of an H200 has for all workgroups on it. */
export const blockBytes = 16 * vectors;

/** What all kernels by these tiles are. */
export const blockKernel = {
  workgroupSize: [threads, 1, 1],
  declarations: [`var<workgroup> tiles: array<vec4<f32>, ${vectors}>;`],
  workgroupBytes: blockBytes,
} as const;

export function openBlock(frame: Frame, s: Sizes, queries: boolean): Block {
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
  // Neighbours differ in b, then in a, as in squareAt.
  e.index("a", across - 1, `lid / 2u % 2u + lid / 8u % ${across / 2}u * 2u`);
  e.index("b", 7, `lid % 2u + lid / 4u % 2u * 2u + lid / ${4 * across}u % 2u * 4u`);
  // Weights of every other four positions are turned by half a line: what neighbours write at a time lies in different banks.
  e.line("let turned = (b + a % 2u * 4u) % 8u;");
  return {
    ...{ frame, s, queries, groups: blocks * all, ownLead, lead, ownSize, otherSize, grouped },
    features: Math.ceil(Math.max(s.depth, s.valueDepth) / 4 / across),
    otherLead: queries ? keyHeads(s, lead) : lead,
    first: scale(queries ? sub(int(blocks - 1), nth) : nth, side),
    steps: Math.ceil(otherSize / side),
  };
}

/** The first of four own positions of the invocation: of its vector b or b + 8. */
export const ownAt = ({ first }: Block, half: 0 | 1): Index =>
  add(first, add(scale(variable("b", 7), 4), int(32 * half)));
/** The first of four others of the invocation, from `origin` on. */
export const otherAt = (origin: Index): Index => add(origin, scale(variable("a", across - 1), 4));

/** Features of positions: a chunk of `features` along the depth. */
function stageScores(t: Block, operand: Node, depth: number, own: boolean): Staged {
  const [limit, lead] = own ? [t.ownSize, t.ownLead] : [t.otherSize, t.otherLead];
  return stage(t.frame, {
    name: "tiles",
    origin: `${own ? layout.own : layout.other}u + `,
    operand,
    dtype: "f32",
    // A vector that reaches past the end repeats the last position: what is there is multiplied by 0, so it must be a number.
    at: (r, d) => [...lead, lessThen(r, limit, r, int(limit - 1)), d],
    ...{
      size: side,
      depth: chunk,
      limit,
      depthLimit: depth,
      threads,
      skew,
    },
  });
}

/** Other positions whose features are in workgroup memory at a time. */
const linesOf = ({ features }: Block): number => chunk / features;

/** A chunk of other positions with all their features. */
function stageFeatures(t: Block, operand: Node, depth: number): Staged {
  return stage(t.frame, {
    name: "tiles",
    origin: `${layout.features}u + `,
    operand,
    dtype: "f32",
    at: (d, r) => [...t.otherLead, r, d],
    ...{ size: 4 * t.features * across, depth: linesOf(t), limit: depth, depthLimit: t.otherSize, threads },
    packed: true,
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

/** Where line 4 k + i of a tile begins. */
interface Lines {
  readonly from: string;
  readonly pitch: number;
  readonly skew?: number;
}
const lineOf = ({ from, pitch, skew = 0 }: Lines, i: number, at: string): string =>
  `tiles[${from}k * ${4 * pitch + skew}u + ${i * pitch}u + ${at}]`;

/** Adds the products of each of `count` lines of `left`, along the own positions, and the same of `right`, to sums. */
function multiply({ frame: { e } }: Block, sums: Sums, count: number, left: Lines, right: Lines, turned = false): void {
  e.open(`for (var k = 0u; k < ${count / 4}u; k++) {`);
  if (turned) e.line("let at = (b + k % 2u * 4u) % 8u;");
  for (let n = 0; n < 4; n++) {
    for (const h of halves) e.line(`let x${n}_${h} = ${lineOf(left, n, `${turned ? "at" : "b"} + ${8 * h}u`)};`);
    for (let j = 0; j < sums.length / 4; j++) {
      e.line(`let y${n}_${j} = ${lineOf(right, n, `a + ${across * j}u`)};`);
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
  step: number,
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
        load(scale(e.index(e.fresh("next"), count - 1, "c + 1u"), step));
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
  return chunked(t, Math.ceil(depth / chunk), chunk, load, store, (sums) =>
    multiply(t, sums, chunk, { ...x, from: `${layout.own}u + ` }, { ...y, from: `${layout.other}u + ` }),
  );
}

/** Weights of the other positions times their features. */
export function weightedBy(t: Block, other: Node, depth: number, origin: Index): Chunked {
  const y = stageFeatures(t, other, depth);
  const load = (r: Index): void => y.load(int(0), add(origin, r));
  const lines = linesOf(t);
  const from = `${layout.weights}u + c * ${lines * pitch}u + `;
  return chunked(
    t,
    side / lines,
    lines,
    load,
    () => y.store(),
    (sums) => multiply(t, sums, lines, { from, pitch }, { ...y, from: `${layout.features}u + ` }, true),
  );
}

/** Writes a value for each of an invocation's pairs of positions to the memory of weights, with no barrier. */
export function writeWeights(t: Block, value: (o: number, half: 0 | 1) => string): void {
  forPairs((o, h) => t.frame.e.line(`${weightAt(o, h)} = ${value(o, h)};`));
}

export const weightAt = (o: number, h: 0 | 1): string =>
  `tiles[${layout.weights}u + (a * 4u + ${o}u) * ${pitch}u + turned + ${8 * h}u]`;

export function forPairs(body: (o: number, half: 0 | 1) => void): void {
  for (let o = 0; o < 4; o++) for (const h of halves) body(o, h);
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
  forPairs((o, h) => {
    const other = add(otherAt(origin), int(o));
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
  const { peak } = layout;
  for (const h of halves) e.line(`tiles[a * 16u + b + ${peak + 8 * h}u] = ${names[h]};`);
  e.line("workgroupBarrier();");
  for (const h of halves) {
    const parts = Array.from({ length: across }, (_, i) => `tiles[b + ${peak + i * 16 + 8 * h}u]`);
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
      const d = add(variable("a", across - 1), int(across * j));
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
