import type { Node } from "../ir/graph.ts";
import { add, div, type Index, indexText, int, scale, variable } from "../ir/index-expr.ts";
import { lowest, overFeatures, type Sizes, wide } from "./attention-parts.ts";
import { type Emitter, lane, type Value } from "./emitter.ts";
import type { Frame } from "./kernel.ts";
import type { Staged } from "./stage.ts";

/** Positions of either axis a workgroup takes at a time. */
export const tile = 32;
/** Vectors of a line of 32 positions, padded by one. */
export const pitch = tile / 4 + 1;
export const lineBytes = 16 * pitch;
export const lanes = ["x", "y", "z", "w"] as const;

/** One of the sums a workgroup keeps for its own positions: weights, or changes of scores, times an operand of the other axis. */
export interface Sum {
  readonly weights: "changes" | "weights";
  /** Which operand of the other axis: 0 of the scores, 1 of the weights' gradient. */
  readonly operand: 0 | 1;
  readonly depth: number;
  /** Variables: column j holds features a + 8 j of four positions. */
  readonly names: readonly string[];
  /** Which half of the invocations keeps it; undefined: all do, each half for half of the other positions where there are two. */
  readonly role?: 0 | 1;
}

/** One axis of the scores. Invocation (a, b) has four positions of each: its own ones by b, others by a. */
export interface Axis {
  readonly size: number;
  readonly lead: readonly Index[];
  /** First position of the tile, and of the invocation's. */
  readonly first: Index;
  readonly at: Index;
  readonly tiles: readonly Staged[];
}

/** A tiled kernel of the gradient: it owns positions of one axis and walks over the other. */
export interface Tiling {
  readonly frame: Frame;
  readonly s: Sizes;
  /** Are the own positions queries? */
  readonly queries: boolean;
  /** Leading index of the queries. */
  readonly lead: readonly Index[];
  readonly own: Axis;
  readonly other: Axis;
  /** Features in workgroup memory at a time; undefined: all. */
  readonly block: number | undefined;
  /** Delta is summed during the walk. */
  readonly late: boolean;
  /** Halves of the invocations: one multiplies for the scores while the other does for the weights' gradient. */
  readonly roles: 1 | 2;
}

export const columnsOf = (depth: number): number => Math.ceil(depth / 8);

export function fill(t: Staged, outer: Index, inner: Index): void {
  t.load(outer, inner);
  t.store();
}

/** A position as one that exists: past the end the last one. */
const clamped = (e: Emitter, x: Index, n: number): Index =>
  x.max < n ? x : e.opaque(`min(${indexText(x)}, ${n - 1}u)`, n - 1, e.depth);

/** Adds the products of `length` features of the tiles at hand to four variables. */
function multiply(t: Tiling, operand: 0 | 1, name: string, length: number): void {
  const { e } = t.frame;
  const [x, y] = [t.own.tiles[operand], t.other.tiles[operand]] as [Staged, Staged];
  e.open(`for (var d = 0u; d < ${length}u; d++) {`);
  e.line(`let x = ${x.name}[d * ${pitch}u + b];`);
  e.line(`let y = ${y.name}[d * ${pitch}u + a];`);
  lanes.forEach((l, i) => {
    e.line(`${name}${i} = fma(x, vec4<f32>(y.${l}), ${name}${i});`);
  });
  e.close();
}

/** s0 … s3 of the scores, or t0 … t3 of the weights' gradient: for each of four other positions a vector along the own ones. */
export function product(t: Tiling, operand: 0 | 1): void {
  const { s, own, other, block } = t;
  const { e } = t.frame;
  const name = "st"[operand] as string;
  const [x, y] = [own.tiles[operand], other.tiles[operand]] as [Staged, Staged];
  const depth = operand === 0 ? s.depth : s.valueDepth;
  for (let i = 0; i < 4; i++) e.line(`var ${name}${i} = vec4<f32>();`);
  if (!block) {
    multiply(t, operand, name, depth);
    return;
  }
  const parts = Math.ceil(depth / block);
  e.open(`for (var part = 0u; part < ${parts}u; part++) {`, ["part"]);
  const inner = scale(variable("part", parts - 1), block);
  fill(x, own.first, inner);
  fill(y, other.first, inner);
  e.line("workgroupBarrier();");
  multiply(t, operand, name, block);
  e.line("workgroupBarrier();");
  e.close();
}

/** The text of what each half of the invocations does. */
export function byRole(e: Emitter, body: (role: 0 | 1) => void): void {
  for (const role of [0, 1] as const) {
    e.open(`if (role == ${role}u) {`);
    body(role);
    e.close();
  }
}

/** lse or delta as a vector: along the own queries, or read along the other ones. */
export type Rows = (which: 0 | 1) => string;

/**
 * Both products at a time, by halves of the invocations: one computes the weights and hands them over, the other computes
 * the weights' gradient and of both the changes of the scores. A barrier between them.
 */
export function changesByRole(t: Tiling, rows: Rows, mask: Node | undefined, both: boolean): void {
  const { s, queries } = t;
  const { e } = t.frame;
  const weights = both ? "weights" : "changes";
  const ofRow = (x: string, i: number): string => (queries ? x : `vec4<f32>(${x}.${lanes[i]})`);
  for (let i = 0; i < 4; i++) e.line(`var s${i} = vec4<f32>();`);
  if (!queries) e.line("var row = vec4<f32>();");
  byRole(e, (role) => {
    // What is read from memory is on its way during the product.
    if (!queries) e.line(`row = ${rows(role)};`);
    multiply(t, role, "s", role === 0 ? s.depth : s.valueDepth);
    if (role === 1) return;
    addMask(t, mask);
    const lse = queries ? rows(0) : "row";
    for (let i = 0; i < 4; i++) {
      const shown = hideIn(t, i, mask !== undefined);
      e.line(`${weights}[${lineAt(i)}] = ${shown(`exp(s${i} - ${ofRow(lse, i)})`)};`);
    }
  });
  e.line("workgroupBarrier();");
  e.open("if (role == 1u) {");
  const delta = queries ? rows(1) : "row";
  for (let i = 0; i < 4; i++) {
    const shown = hideIn(t, i, false);
    e.line(`changes[${lineAt(i)}] = ${shown(`${weights}[${lineAt(i)}] * (s${i} - ${ofRow(delta, i)})`)};`);
  }
  e.close();
}

/** Where the vector of the i-th other position lies in the memory of weights. */
const lineAt = (i: number): string => `(a * 4u + ${i}u) * ${pitch}u + b`;

/** Four neighbouring values from a multiple of 4 on as a vector; positions past the end repeat the last ones. */
export function readQuad(e: Emitter, at: Index, size: number, read: (at: Index) => Value): string {
  if (size % 4 === 0) {
    e.width = 4;
    const v = read(add(scale(clamped(e, div(at, 4), size / 4), 4), lane(4)));
    e.width = 1;
    return v.width === 4 ? v.text : `vec4<f32>(${v.text})`;
  }
  e.width = 1;
  return `vec4<f32>(${lanes.map((_, i) => read(clamped(e, add(at, int(i)), size)).text).join(", ")})`;
}

/** Scales the scores and adds the mask, which is read along the keys. */
export function addMask({ frame: { e }, s, queries, lead, own, other }: Tiling, mask: Node | undefined): void {
  const factor = e.literal(s.scale, "f32").text;
  if (!mask) {
    for (let i = 0; i < 4; i++) e.line(`s${i} = s${i} * ${factor};`);
    return;
  }
  const [row, key] = queries ? [own.at, other.at] : [other.at, own.at];
  const lines = lanes.map((_, i) => {
    const r = clamped(e, add(row, int(i)), s.rows);
    const text = readQuad(e, key, s.keys, (c) => {
      const index = [...lead, r, c];
      return e.value(mask, index.slice(index.length - mask.type.shape.length));
    });
    return e.let(text, 4, "f32").text;
  });
  lanes.forEach((c, i) => {
    const along = queries ? `vec4<f32>(${lines.map((l) => `${l}.${c}`).join(", ")})` : lines[i];
    e.line(`s${i} = s${i} * ${factor} + ${along};`);
  });
}

/**
 * The weights of the i-th other position and the changes of its scores, 0 where a key is hidden, to workgroup memory. `lse`
 * and `delta` are vectors along the queries.
 */
export function writeWeights(t: Tiling, i: number, lse: string, masked: boolean, both: boolean): void {
  const { queries, late } = t;
  const { e } = t.frame;
  const shown = hideIn(t, i, masked);
  const ofRow = (x: string): string => (queries ? x : `vec4<f32>(${x}.${lanes[i]})`);
  e.line(`let p${i} = ${shown(`exp(s${i} - ${ofRow(lse)})`)};`);
  e.line(`let c${i} = ${shown(late ? `p${i} * t${i}` : `p${i} * (t${i} - ${ofRow("delta")})`)};`);
  if (late) e.line(`delta += c${i};`);
  e.line(`changes[${lineAt(i)}] = c${i};`);
  if (both) e.line(`weights[${lineAt(i)}] = p${i};`);
}

/** Finds out which own positions the i-th other one is hidden from; gives a vector with 0 for these. */
function hideIn(t: Tiling, i: number, masked: boolean): (x: string) => string {
  const { s, queries, own, other } = t;
  const { e } = t.frame;
  const at = add(other.at, int(i));
  const owned = `vec4<u32>(${indexText(own.at)}) + vec4<u32>(0u, 1u, 2u, 3u)`;
  const hidden = [
    ...(other.size % tile === 0 ? [] : [`vec4<bool>(${indexText(at)} >= ${other.size}u)`]),
    ...(!s.causal
      ? []
      : queries
        ? [`vec4<u32>(${indexText(at)}) > ${owned} + vec4<u32>(${s.offset}u)`]
        : [`${owned} > vec4<u32>(${indexText(add(at, int(s.offset)))})`]),
    // A mask of -inf; a NaN score is not below anything and stays.
    ...(masked ? [`s${i} < vec4<f32>(${lowest})`] : []),
  ];
  if (hidden.length) e.line(`let none${i} = ${hidden.map((h) => `(${h})`).join(" | ")};`);
  return (x) => (hidden.length ? `select(${x}, vec4<f32>(), none${i})` : x);
}

/** Adds what the tile at hand gives to a sum. */
export function accumulate({ frame: { e }, other, block, roles }: Tiling, sum: Sum): void {
  const halved = roles === 2 && sum.role === undefined;
  const [vectors, first] = halved ? [tile / 8, `(c + role * ${tile / 8}u)`] : [tile / 4, "c"];
  const from = other.tiles[sum.operand] as Staged;
  const multiply = (names: readonly string[], depth: number): void => {
    e.open(`for (var c = 0u; c < ${vectors}u; c++) {`);
    for (let i = 0; i < 4; i++) e.line(`let w${i} = ${sum.weights}[(${first} * 4u + ${i}u) * ${pitch}u + b];`);
    names.forEach((name, j) => {
      const line = 8 * j + 7 < depth ? `(a + ${8 * j}u)` : `min(a + ${8 * j}u, ${depth - 1}u)`;
      e.line(`let x${j} = ${from.name}[${line} * ${pitch}u + ${first}];`);
      lanes.forEach((l, i) => {
        e.line(`${name} = fma(w${i}, vec4<f32>(x${j}.${l}), ${name});`);
      });
    });
    e.close();
  };
  if (!block) {
    multiply(sum.names, sum.depth);
    return;
  }
  const columns = block / 8;
  for (let j = 0; j < sum.names.length; j += columns) {
    fill(from, other.first, int(j * 8));
    e.line("workgroupBarrier();");
    multiply(sum.names.slice(j, j + columns), block);
    e.line("workgroupBarrier();");
  }
}

/** Adds dout * out of the own queries to delta, every eighth vector of features. */
export function addDelta({ frame, s, lead, own, roles }: Tiling, dout: Node, out: Node): void {
  const { e } = frame;
  const rows = lanes.map((_, i) => clamped(e, add(own.at, int(i)), s.rows));
  const body = (_: string, d: Index): void => {
    const terms = rows.map((r) => {
      const [x, y] = [dout, out].map((n) => wide(e.value(n, [...lead, r, d]), s.valueDepth)) as [string, string];
      return e.width === 1 ? `${x} * ${y}` : `dot(${x}, ${y})`;
    });
    e.line(`delta += vec4<f32>(${terms.join(", ")});`);
  };
  overFeatures(frame, s.valueDepth, body, { from: roles === 2 ? "a + role * 8u" : "a", by: 8 * roles });
}

/** Sums delta over the invocations that share four queries, in order. */
export function reduceDelta(e: Emitter, roles: 1 | 2): void {
  e.line(`changes[${roles === 2 ? "(a + role * 8u)" : "a"} * ${pitch}u + b] = delta;`);
  e.line("workgroupBarrier();");
  e.line("delta = vec4<f32>();");
  for (let i = 0; i < 8 * roles; i++) e.line(`delta += changes[${i * pitch}u + b];`);
}
