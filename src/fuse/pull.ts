import { tensorBytes } from "../base/dtype.ts";
import type { Node } from "../ir/graph.ts";
import { div, type Index, indexAlgebra, int, sub, variable } from "../ir/index-expr.ts";
import { attentionKernels } from "../ir/ops/attention-type.ts";
import { halvesBlock, wordAt } from "../ir/ops/halves.ts";
import { windowAlignment } from "../ir/ops/memory.ts";
import { rowOf } from "../ir/ops.ts";

/** Rows that get a kernel built around them. Everything else is computed where it is read. */
const anchorOps = new Set([
  "matmul",
  ...attentionKernels,
  "cumSum",
  "exclusiveScan",
  "scatterElements",
  "scatterND",
  "dynamicUpdateSlice",
  "reduce",
  "wgsl",
]);
export const isAnchor = (n: Node): boolean => anchorOps.has(n.op) || rowOf(n.op).reduction !== undefined;

/**
 * Nodes that no kernel computes: what is in memory before the program runs, packs (their arguments are placed inside
 * them) and ranges of these.
 */
export const isStored = (n: Node): boolean =>
  n.op === "input" || n.op === "literal" || n.op === "pack" || (isRange(n) && isStored(placeOf(n).root));
/** An f16 value as f32: who reads it can load the half. */
export const widensHalf = (n: Node): boolean =>
  n.op === "cast" && n.type.dtype === "f32" && n.args[0]?.type.dtype === "f16";

export const isElementwise = (n: Node): boolean => rowOf(n.op).elementwise !== undefined;
/** Views whose result has the same elements in the same order. */
const keepsOrder = (n: Node): boolean => n.op === "reshape";

/** The node below the transposes and reshapes that `n` is: the same elements in another order. */
export function permutedFrom(n: Node): Node {
  let at = n;
  while (at.op === "reshape" || at.op === "transpose") at = at.args[0] as Node;
  return at;
}

/** A window that a binding may begin at: of a tensor in memory it is a part of that memory. */
export const isRange = (n: Node): boolean =>
  n.op === "window" && (n.attrs.start as number) % windowAlignment(n.type.dtype) === 0;

/** Where a node lies: in the memory of `root`, `offset` elements from its start. */
export interface MemoryPlace {
  readonly root: Node;
  readonly offset: number;
}

/**
 * The memory of a node, if it is in memory: that of what it is a reshape or an aligned window of. The root is an input, a
 * literal, a pack or a node that some kernel stores.
 */
export function placeOf(n: Node): MemoryPlace {
  let root = n;
  let offset = 0;
  for (;;) {
    if (isRange(root)) offset += root.attrs.start as number;
    else if (!keepsOrder(root)) return { root, offset };
    root = root.args[0] as Node;
  }
}

/** A tensor of zeros: as an argument of a pack it needs no kernel. */
export const isZero = (n: Node): boolean => n.op === "const" && Object.is(n.attrs.value, 0);

/** What a kernel of the user's binds for an argument: the tensor in memory, which reshapes leave as it is. */
export function boundBy(arg: Node): Node {
  let n = arg;
  while (keepsOrder(n)) n = n.args[0] as Node;
  return n;
}

/** The node whose memory an output shares. */
export const storedRoot = (n: Node): Node => placeOf(n).root;

/** The nodes that must have been stored before `n` can be read from memory: through a pack those of all its arguments. */
export function storesOf(n: Node): readonly Node[] {
  const { root } = placeOf(n);
  if (root.op !== "pack") return [root];
  const known = packed.get(root) ?? root.args.flatMap((a) => (isZero(a) ? [] : storesOf(a)));
  packed.set(root, known);
  return known;
}
const packed = new WeakMap<Node, readonly Node[]>();

export const shapeOf = (n: Node): readonly number[] => n.type.shape as readonly number[];
/** Bytes of the node in a GPU buffer. */
export const bytesOf = (n: Node): number => tensorBytes(n.type.dtype, countOf(n));
export const countOf = (n: Node): number => shapeOf(n).reduce((p, d) => p * d, 1);

let opaque = 0;
const unknown = (size: number): Index => variable(`?${opaque++}`, Math.max(0, size - 1));

/** The arguments a node that is computed in place reads, each with the index it is read at. */
export function readsOf(node: Node, index: readonly Index[]): { arg: Node; index: readonly Index[] }[] {
  const row = rowOf(node.op);
  if (row.elementwise) {
    return node.args.map((arg) => ({ arg, index: broadcast(arg, index) }));
  }
  const special = specialReads[node.op];
  if (special) return special(node, index);
  // By each kernel that reads it, from whole rows.
  if (row.reduction) return node.args.map((arg) => ({ arg, index: shapeOf(arg).map(unknown) }));
  const [x] = node.args;
  if (!row.view || !x) return [];
  return [
    { arg: x, index: row.view.map(indexAlgebra, index, { attrs: node.attrs, from: shapeOf(x), to: shapeOf(node) }) },
  ];
}

const broadcast = (arg: Node, index: readonly Index[]): Index[] =>
  index.slice(index.length - arg.type.shape.length).map((e, i) => (shapeOf(arg)[i] === 1 ? int(0) : e));

const specialReads: Readonly<
  Record<string, (n: Node, index: readonly Index[]) => { arg: Node; index: readonly Index[] }[]>
> = {
  concat: (n, index) => {
    const axis = n.attrs.axis as number;
    let begin = 0;
    return n.args.map((arg) => {
      const at = begin;
      begin += shapeOf(arg)[axis] as number;
      return { arg, index: index.map((e, i) => (i === axis ? sub(e, int(at)) : e)) };
    });
  },
  gather: (n, index) => {
    const [data, indices] = n.args as [Node, Node];
    const axis = n.attrs.axis as number;
    const rank = indices.type.shape.length;
    return [
      {
        arg: data,
        index: [...index.slice(0, axis), unknown(shapeOf(data)[axis] as number), ...index.slice(axis + rank)],
      },
      { arg: indices, index: index.slice(axis, axis + rank) },
    ];
  },
  gatherElements: (n, index) => {
    const [data, indices] = n.args as [Node, Node];
    const axis = n.attrs.axis as number;
    return [
      { arg: data, index: index.map((e, i) => (i === axis ? unknown(shapeOf(data)[axis] as number) : e)) },
      { arg: indices, index },
    ];
  },
  gatherND: (n, index) => {
    const [data, indices] = n.args as [Node, Node];
    return [
      { arg: data, index: shapeOf(data).map(unknown) },
      {
        arg: indices,
        index: [...index.slice(0, indices.type.shape.length - 1), unknown(shapeOf(indices).at(-1) as number)],
      },
    ];
  },
  fromHalves: (n, index) => {
    const [words, exponents] = n.args as [Node, Node];
    return [
      { arg: words, index: wordAt(indexAlgebra, index[0] as Index, index[1] as Index) },
      { arg: exponents, index: index.map((e) => div(e, halvesBlock)) },
    ];
  },
  dynamicSlice: (n, index) => {
    const [x, ...starts] = n.args as [Node, ...Node[]];
    const at = index.map((e, i) => (shapeOf(x)[i] === shapeOf(n)[i] ? e : unknown(shapeOf(x)[i] as number)));
    return [{ arg: x, index: at }, ...starts.map((arg) => ({ arg, index: [] }))];
  },
  // Kept apart from x: the kernel that computes x does not go on with what a backward pass computes from it again.
  recompute: (n) => [{ arg: n.args[0] as Node, index: shapeOf(n).map(unknown) }],
  philox: (n) => [{ arg: n.args[0] as Node, index: [unknown(2)] }],
  words: (n) => n.args.map((arg) => ({ arg, index: [] })),
  result: () => [],
};
