import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, type Index, ravel, scale, variable } from "../ir/index-expr.ts";
import { lane, shapeOf, type Value } from "./emitter.ts";
import { type Frame, writeAt } from "./kernel.ts";
import { typeOf } from "./storage.ts";

/** Sizes of attention: q [batch…, heads, T, D], k [batch…, kvHeads, S, D], v [batch…, kvHeads, S, Dv]. */
export interface Sizes {
  readonly node: Node;
  readonly lead: readonly number[];
  readonly keyLead: readonly number[];
  readonly rows: number;
  readonly keys: number;
  readonly depth: number;
  readonly valueDepth: number;
  readonly group: number;
  /** What scores are multiplied by: 1/√D unless given. */
  readonly scale: number;
  readonly causal: boolean;
  /** Keys that the first query sees besides its own, with `causal`. */
  readonly offset: number;
}

export function sizesOf(node: Node): Sizes {
  const [q, k, v] = node.args.map(shapeOf) as [readonly number[], readonly number[], readonly number[]];
  const r = q.length;
  const [rows, keys] = [q[r - 2] as number, k[r - 2] as number];
  return {
    node,
    lead: q.slice(0, -2),
    keyLead: k.slice(0, -2),
    rows,
    keys,
    depth: q[r - 1] as number,
    valueDepth: v[r - 1] as number,
    scale: (node.attrs.scale as number | undefined) ?? 1 / Math.sqrt(q[r - 1] as number),
    group: (q[r - 3] as number) / Math.max(1, k[r - 3] as number),
    causal: node.attrs.causal === true,
    offset: Math.max(0, keys - rows),
  };
}

/** Leading index of k or v: query heads share key heads in groups of neighbours. */
export const keyHeads = (s: Sizes, lead: readonly Index[]): Index[] =>
  lead.map((x, i) => (i === lead.length - 1 ? div(x, s.group) : x));

/** Hidden keys score the lowest f32; a key of a NaN score is not hidden. */
export const lowest = "bitcast<f32>(0xff7fffffu)";

const widthFor = (depth: number): number => (depth % 4 === 0 ? 4 : depth % 2 === 0 ? 2 : 1);

/** The row's vectors live in arrays that are walked by loops: written out, a head of 128 compiles for half a minute. */
export function declareRow(frame: Frame, name: string, depth: number): void {
  const width = widthFor(depth);
  frame.e.line(`var ${name}: array<${typeOf("f32", width)}, ${depth / width}>;`);
}

/** A loop over the features of a row; `body` gets the position in a declared row and the features as an index. From the `from`-th vector every `by`-th. */
export function overFeatures(
  frame: Frame,
  depth: number,
  body: (at: string, d: Index) => void,
  { from = "0u", by = 1 } = {},
): void {
  const { e } = frame;
  const width = widthFor(depth);
  const d = e.fresh("d");
  const parts = depth / width;
  e.width = width;
  e.open(`for (var ${d} = ${from}; ${d} < ${frame.end(parts)}; ${d} += ${by}u) {`, [d]);
  body(d, add(scale(variable(d, parts - 1), width), lane(width)));
  e.close();
  e.width = 1;
}

/**
 * Reads a row over and over: from a variable that it is copied into once, or from memory again where that would be too
 * long for a function's variables (8192 bytes in all).
 */
export function heldRow(
  frame: Frame,
  name: string,
  depth: number,
  held: boolean,
  read: (d: Index) => Value,
): (at: string, d: Index) => string {
  if (!held) return (_, d) => wide(read(d), depth);
  declareRow(frame, name, depth);
  overFeatures(frame, depth, (at, d) => frame.e.line(`${name}[${at}] = ${wide(read(d), depth)};`));
  return (at) => `${name}[${at}]`;
}

/** The value as a vector of as many features as {@link overFeatures} takes at a time. */
export const wide = (v: Value, depth: number): string => `${typeOf("f32", widthFor(depth))}(${v.text})`;

/** Adds the inner product of two rows to the variable `into`. */
export function addProduct(
  frame: Frame,
  into: string,
  depth: number,
  a: (at: string, d: Index) => string,
  b: (at: string, d: Index) => string,
): void {
  overFeatures(frame, depth, (at, d) => {
    const [x, y] = [a(at, d), b(at, d)];
    frame.e.line(`${into} += ${widthFor(depth) === 1 ? `${x} * ${y}` : `dot(${x}, ${y})`};`);
  });
}

/**
 * Place of an invocation in a square of 8 × 8, as text over `lid`: neighbours differ in y, then in x, so that on NVIDIA two lanes of
 * a vector's load from workgroup memory share an address along either axis; it then takes half as long.
 */
export const squareAt = {
  x: "lid / 2u % 2u + lid / 8u % 4u * 2u",
  y: "lid % 2u + lid / 4u % 2u * 2u + lid / 32u % 2u * 4u",
};

/** The nodes of a region that stand for result `i` of its anchor. */
const resultsOf = (region: Region, node: Node, i: number): Node[] =>
  node.results ? region.members.filter((n) => n.op === "result" && n.args[0] === node && n.attrs.index === i) : [node];

/** Makes reads of result `i` of the anchor give `value` in the current block. */
export function provideResult(frame: Frame, node: Node, i: number, value: Value): void {
  for (const n of resultsOf(frame.region, node, i)) frame.e.provide(n, () => value);
}

/** Is the second result one that is not of the space's points: a number or two for each row, values of another depth? */
const secondAside = (s: Sizes): boolean => s.node.op !== "attentionGradKeyValue" || s.depth !== s.valueDepth;

/** Stores the second result at an index, if it is one that goes aside. */
export function storeAside(frame: Frame, s: Sizes, index: readonly Index[], value: Value): void {
  if (!secondAside(s)) return;
  for (const n of resultsOf(frame.region, s.node, 1)) {
    const binding = frame.outputs.get(n);
    if (binding) frame.e.store(binding, ravel(index, shapeOf(n)), value);
  }
}

/** Stores every output of the space's points, whose results have been provided. */
export function storeAt(frame: Frame, s: Sizes, index: readonly Index[]): void {
  const not = secondAside(s) ? resultsOf(frame.region, s.node, 1) : [];
  writeAt(
    frame,
    frame.region.outputs.filter((n) => s.node === n || !not.includes(n)),
    index,
  );
}
