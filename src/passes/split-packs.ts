import { storageBytes } from "../base/dtype.ts";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../ir/graph.ts";
import { count } from "../ir/ndarray.ts";
import { packLayout } from "../ir/ops/memory.ts";
import { rowOf } from "../ir/ops.ts";

const countOf = (n: Node): number => count(n.type.shape as readonly number[]);

/** A part of a flat tensor: `size` elements from `start`, which are whole arguments of its packs, a piece of one, or padding. */
interface Chunk {
  readonly start: number;
  readonly size: number;
  /** The arguments it holds, first and the one after the last; none for padding. */
  readonly args: readonly [number, number];
  /** Where it begins in its only argument, if that is cut. */
  readonly from?: number;
}

/**
 * Where tensors are packed into more bytes than a binding may have, what is computed from the packs is computed chunk by
 * chunk: elementwise rows of chunks of whole arguments, or of windows of an argument that is too large by itself. A window of
 * a result is a window of the chunk's result; a cut argument's is a pack of them. Reductions combine those of the chunks.
 */
export function splitPacks(graph: Graph, largestBytes: number): Graph {
  const flats = findFlats(graph, largestBytes);
  if (flats.size === 0) return graph;
  const b = new GraphBuilder();
  const map = new Map<Node, Node>();
  const made = new Map<Node, Node[]>();
  const now = (n: Node): Node => map.get(n) as Node;

  const part = (n: Node, chunk: Chunk, c: number): Node => {
    const parts = made.get(n) ?? [];
    made.set(n, parts);
    const known = parts[c];
    if (known) return known;
    b.place = n.place;
    return (parts[c] = build(n, chunk, c));
  };
  const build = (n: Node, chunk: Chunk, c: number): Node => {
    if (!flats.has(n))
      return countOf(n) === 1 ? now(n) : b.add("window", [now(n)], { start: chunk.start, shape: [chunk.size] });
    if (n.op === "pack") return packPart(b, n.args.map(now), chunk);
    if (n.op === "segments") return segmentsPart(b, n, chunk);
    if (n.op === "gather") return b.add("gather", [now(n.args[0] as Node), part(n.args[1] as Node, chunk, c)], n.attrs);
    const args = n.args.map((a) => part(a, chunk, c));
    b.place = n.place;
    return b.add(n.op, args, n.attrs);
  };

  for (const n of graph.nodes) {
    if (flats.has(n)) continue;
    const flat = n.args.find((a) => flats.has(a));
    const chunks = flat && (flats.get(flat) as readonly Chunk[]);
    if (!flat || !chunks) {
      b.place = n.place;
      const args = n.args.map(now);
      map.set(n, args.every((a, i) => a === n.args[i]) ? n : b.add(n.op, args, n.attrs));
    } else if (n.op === "window") {
      const start = n.attrs.start as number;
      const over = chunks.filter((k) => k.start < start + countOf(n) && start < k.start + k.size);
      const parts = over.map((k) => part(flat, k, chunks.indexOf(k)));
      const whole = parts.length === 1 ? (parts[0] as Node) : b.add("pack", parts);
      map.set(n, b.add("window", [whole], { ...n.attrs, start: start - (over[0] as Chunk).start }));
    } else {
      const parts = chunks.map((k, c) => b.add(n.op, [part(flat, k, c)], n.attrs));
      map.set(
        n,
        parts.reduce((x, y) => b.add((rowOf(n.op).reduction as { combine: string }).combine, [x, y])),
      );
    }
  }
  return makeGraph(
    graph.inputs,
    graph.outputs.map((o) => ({ name: o.name, node: now(o.node) })),
  );
}

function packPart(b: GraphBuilder, args: readonly Node[], { args: [first, end], from, size }: Chunk): Node {
  if (first === end) return b.const(0, (args[0] as Node).type.dtype, [size]);
  return from === undefined
    ? b.add("pack", args.slice(first, end))
    : b.add("window", [args[first] as Node], { start: from, shape: [size] });
}

/** The numbers of the segments that lie in the chunk. */
function segmentsPart(b: GraphBuilder, n: Node, { start, size }: Chunk): Node {
  let at = 0;
  let first = 0;
  const sizes: number[] = [];
  (n.attrs.sizes as readonly number[]).forEach((length, i) => {
    const own = Math.min(at + length, start + size) - Math.max(at, start);
    at += length;
    if (sizes.length === 0 && own <= 0) first = i + 1;
    else sizes.push(Math.max(0, own));
  });
  while (sizes.at(-1) === 0) sizes.pop();
  if (sizes.length === 1) return b.const(first, "u32", [size]);
  const numbers = b.add("segments", [], { sizes });
  return first === 0 ? numbers : b.add("add", [numbers, b.const(first, "u32")]);
}

/** Nodes of the size of a pack that is too large, as far as all that is done with them can be done in chunks; with the chunks. */
function findFlats(graph: Graph, largestBytes: number): Map<Node, readonly Chunk[]> {
  const layouts = new Map<number, string>();
  const refused = new Set<number>();
  const tooLarge = new Set<number>();
  const layoutOf = (n: Node): string => n.args.map(countOf).join();
  for (const n of graph.nodes) {
    if (n.op !== "pack") continue;
    const size = countOf(n);
    if (size * storageBytes[n.type.dtype] > largestBytes) tooLarge.add(size);
    if (layouts.has(size) && layouts.get(size) !== layoutOf(n)) refused.add(size);
    layouts.set(size, layoutOf(n));
  }
  const sized = new Map<Node, number>();
  if (tooLarge.size === 0) return new Map();
  for (const n of graph.nodes) {
    const size = n.type.shape.length === 1 ? (n.type.shape[0] as number) : -1;
    const flatArgs = n.args.filter((a) => sized.has(a));
    if (tooLarge.has(size) && isFlat(n, flatArgs)) sized.set(n, size);
    else if (n.op !== "window" && !isWholeReduction(n)) for (const a of flatArgs) refused.add(sized.get(a) as number);
  }
  for (const o of graph.outputs) if (sized.has(o.node)) refused.add(sized.get(o.node) as number);
  const chunks = new Map<number, readonly Chunk[]>();
  for (const n of graph.nodes) {
    const size = n.op === "pack" ? sized.get(n) : undefined;
    if (size !== undefined && !refused.has(size) && !chunks.has(size)) chunks.set(size, chunksOf(n, largestBytes));
  }
  return new Map(
    [...sized].flatMap(([n, size]) => (chunks.has(size) ? [[n, chunks.get(size) as readonly Chunk[]]] : [])),
  );
}

function isFlat(n: Node, flatArgs: readonly Node[]): boolean {
  if (n.op === "pack" || n.op === "segments") return true;
  if (n.op === "gather") return flatArgs.length === 1 && n.args[1] === flatArgs[0];
  return rowOf(n.op).elementwise !== undefined && flatArgs.length > 0;
}

/** A reduction of all elements of one axis to a number; f16 sums would round between chunks. */
const isWholeReduction = (n: Node): boolean =>
  rowOf(n.op).reduction !== undefined && n.args[0]?.type.shape.length === 1 && n.type.dtype !== "f16";

/** Whole arguments as long as they fit, an argument that does not fit at all in even pieces. */
function chunksOf(pack: Node, largestBytes: number): Chunk[] {
  const sizes = pack.args.map(countOf);
  const { offsets, total } = packLayout(pack.args.map((a) => a.type));
  const end = (i: number): number => offsets[i + 1] ?? total;
  // A multiple of the alignment of every dtype.
  const most = Math.floor(largestBytes / 4 / 128) * 128;
  const chunks: Chunk[] = [];
  for (let i = 0; i < sizes.length; ) {
    const [start, size] = [offsets[i] as number, sizes[i] as number];
    if (size > most) {
      const piece = Math.ceil(size / Math.ceil(size / most) / 128) * 128;
      for (let from = 0; from < size; from += piece) {
        chunks.push({ start: start + from, size: Math.min(piece, size - from), args: [i, i + 1], from });
      }
      if (end(i) > start + size) chunks.push({ start: start + size, size: end(i) - start - size, args: [i, i] });
      i++;
      continue;
    }
    let j = i + 1;
    while (j < sizes.length && end(j) - start <= most) j++;
    chunks.push({ start, size: end(j - 1) - start, args: [i, j] });
    i = j;
  }
  return chunks;
}
