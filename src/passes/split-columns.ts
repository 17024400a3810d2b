import { type Graph, type Node, usersOf } from "../ir/graph.ts";
import { count } from "../ir/ndarray.ts";
import { rowOf } from "../ir/ops.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { replaceNodes } from "./rewrite.ts";
import { splitOddColumns } from "./split-odd-columns.ts";
import { mayReorder, type Parts, type Runs, runsOf, split } from "./split-reductions.ts";

/** Reductions of fewer elements than this take less time than another kernel. */
const enough = 2 ** 22;
/** The same of sums that a row kernel may compute of the rows that it reads anyway: they save a pass over them. */
const enoughCarried = 2 ** 20;
/** Vectors of columns of all parts together: more of them leave more sums to be added up, fewer leave a GPU idle. */
const readers = 3 * 2 ** 14;
/** So many vectors of columns occupy a GPU as they are, by invocations that share a column. */
const enoughShared = 2 ** 12;
/** Rows of each part at least. */
const shortest = 16;
/**
 * Blocks of rows that row kernels carry sums over: at least so many where there are as many rows, more where an invocation loads single elements and has less
 * under way; fewer leave a GPU idle. Of at most so many rows each: longer ones of narrow rows leave it idle too.
 */
const blocks = { ofVectors: 256, ofSingle: 1024, fewest: 64, longest: 64 };
/** Columns of which a workgroup keeps sums in registers, as vectors and one by one. */
const widest = { vectors: 8192, single: 2048 };

/**
 * Sums along columns of very many elements in two stages, on GPUs: few columns are few invocations, and those that share a
 * column read rows far apart. In parts, neighbours read whole rows; and what reduces the rows too can add up the columns of a
 * part (`src/fuse/carry-columns.ts`).
 */
export function splitColumns(graph: Graph, { software }: Pick<Capabilities, "software">, least = enough): Graph {
  if (software) return graph;
  const users = usersOf(graph);
  const rows = rowReductions(graph);
  return replaceNodes(graph, (n, args, b) => {
    if (rowOf(n.op).kind !== "reduction" || mayRide(n, users)) return undefined;
    const runs = runsOf(n);
    const last = runs?.reduced.at(-1);
    if (!runs || last || !mayReorder(n, runs) || runs.sizes.length === 8) return undefined;
    const elements = runs.rows * runs.elements;
    const carried = elements >= Math.min(least, enoughCarried) && mayBeCarried(n, runs, rows);
    if (carried) return split(b, n, args, runs, blocksOf(runs), (suggested) => suggested);
    const inner = runs.sizes.at(-1) as number;
    if (elements < least) return undefined;
    if (inner % 4 !== 0) return splitOddColumns(b, n, args, runs);
    if (runs.rows / 4 >= enoughShared) return undefined;
    const size = Math.max(...runs.sizes.filter((_, i) => runs.reduced[i]));
    const parts = partsOf(size, Math.floor(readers / (runs.rows / 4)));
    const length = Math.ceil(size / parts);
    if (parts < 2) return undefined;
    return split(b, n, args, runs, { parts: Math.ceil(size / length), length }, (suggested) => suggested);
  });
}

/** A product that reads the same operand may compute the sum beside it. */
function mayRide(n: Node, users: ReadonlyMap<Node, readonly Node[]>): boolean {
  const moves = (x: Node): boolean => x.op === "reshape" || x.op === "transpose" || x.op === "cast";
  let source = n.args[0] as Node;
  while (moves(source)) source = source.args[0] as Node;
  const reads = (x: Node): boolean => (users.get(x) ?? []).some((u) => u.op === "matmul" || (moves(u) && reads(u)));
  return reads(source);
}

/** A reduction along the last axes, and the tensors of its size that it is computed from. */
interface RowReduction {
  readonly runs: Runs;
  readonly reads: ReadonlySet<Node>;
}

const rowReductions = (graph: Graph): readonly RowReduction[] =>
  graph.nodes.flatMap((n) => {
    const runs = rowOf(n.op).kind === "reduction" ? runsOf(n) : undefined;
    return runs?.sizes.length === 2 && runs.reduced[1] ? [{ runs, reads: readsOf(n) }] : [];
  });

/** Is there a reduction along the rows that reads all that the sum along the columns reads? */
function mayBeCarried(n: Node, runs: Runs, rows: readonly RowReduction[]): boolean {
  if (n.op !== "sum" || runs.sizes.length !== 2) return false;
  const most = runs.rows % 4 === 0 ? widest.vectors : widest.single;
  if (runs.rows > most || blocksOf(runs).parts < blocks.fewest) return false;
  const same = rows.filter((r) => r.runs.sizes.every((d, i) => d === runs.sizes[i]));
  const reads = readsOf(n);
  return same.some((r) => [...reads].every((x) => r.reads.has(x)));
}

/** What a reduction reads, elementwise and through reshapes, of as many elements as its argument has. */
function readsOf(n: Node): ReadonlySet<Node> {
  const size = count((n.args[0] as Node).type.shape as readonly number[]);
  const out = new Set<Node>();
  const seen = new Set<Node>();
  const visit = (x: Node): void => {
    if (seen.has(x) || count(x.type.shape as readonly number[]) !== size) return;
    seen.add(x);
    if (rowOf(x.op).elementwise || x.op === "reshape") x.args.forEach(visit);
    else if (x.op !== "expand" && x.op !== "const") out.add(x);
  };
  n.args.forEach(visit);
  return out;
}

function blocksOf({ elements, rows: columns }: Runs): Parts {
  const wanted = columns % 4 === 0 ? blocks.ofVectors : blocks.ofSingle;
  const even = 2 ** Math.floor(Math.log2(Math.max(1, elements / wanted)));
  const length = Math.max(shortest, Math.min(blocks.longest, even));
  return { parts: Math.ceil(elements / length), length };
}

/** The number nearest to `wanted` that divides `size` into parts that are long enough; parts of unequal length are filled up. */
function partsOf(size: number, wanted: number): number {
  const most = Math.min(wanted, Math.floor(size / shortest));
  for (let p = most; p > most / 2; p--) if (size % p === 0) return p;
  return Math.max(1, most);
}
