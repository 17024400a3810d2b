import { isConcrete } from "../ir/dim.ts";
import { type Graph, type GraphBuilder, type Node, usersOf } from "../ir/graph.ts";
import { count } from "../ir/ndarray.ts";
import { reshape } from "../ir/ops/composite-helpers.ts";
import { rowOf } from "../ir/ops.ts";
import { replaceNodes } from "./rewrite.ts";

/** Takes a decision that sizes suggest, or another one. */
export type Decide = <T>(suggested: T) => T;

export interface SplitOptions {
  /** Reductions of at most this many elements into one stay whole. */
  readonly minElements?: number;
  /** The same where the result goes back to every element it was made from (softmax, layerNorm): two stages cost such a row kernel its fusion. */
  readonly minRowElements?: number;
  /** Reductions with at least this many results stay whole: they occupy the device. */
  readonly maxRows?: number;
  /** How many partial results a run gets, whatever its length; by default what suits the length. */
  readonly parts?: number;
  /** Sees what sizes suggest: whether a reduction is split, and along which run of axes. What it returns is done. */
  readonly decide?: Decide;
}

/**
 * Rewrites a reduction of very many elements into few results as two: the longest run of reduced axes is reshaped to
 * P x L, the first stage reduces L (and the other axes), the second P. A length that does not divide is padded by the
 * identity. So a full reduction is two kernels that both have enough parallel work.
 */
export function splitReductions(graph: Graph, options: SplitOptions = {}): Graph {
  const {
    minElements = 8192,
    minRowElements = 131_072,
    maxRows = 256,
    parts,
    decide = (suggested) => suggested,
  } = options;
  const users = usersOf(graph);
  return replaceNodes(graph, (n, args, b) => {
    const runs = rowOf(n.op).kind === "reduction" ? runsOf(n) : undefined;
    // A tensor has at most eight axes, and one run becomes two.
    if (!runs || runs.sizes.length === 8 || !mayReorder(n, runs)) return undefined;
    const long = runs.rows < maxRows && runs.elements > (feedsRow(n, users) ? minRowElements : minElements);
    return decide(long) ? split(b, n, args, runs, parts, decide) : undefined;
  });
}

/** The axes of a reduction's argument, merged where neighbours are both reduced or both kept. */
export interface Runs {
  readonly sizes: readonly number[];
  readonly reduced: readonly boolean[];
  /** Results, and elements that are reduced into each. */
  readonly rows: number;
  readonly elements: number;
}

export function runsOf(n: Node): Runs | undefined {
  const { shape } = (n.args[0] as Node).type;
  if (!isConcrete(shape)) return undefined;
  const axes = n.attrs.axes as readonly number[];
  const sizes: number[] = [];
  const reduced: boolean[] = [];
  shape.forEach((size, axis) => {
    const own = axes.includes(axis);
    if (size === 1) return;
    if (reduced.at(-1) === own) sizes.push((sizes.pop() as number) * size);
    else {
      sizes.push(size);
      reduced.push(own);
    }
  });
  const product = (want: boolean): number => count(sizes.filter((_, i) => reduced[i] === want));
  return { sizes, reduced, rows: product(false), elements: product(true) };
}

/** A user's combine need not be commutative across separate runs of axes. */
export const mayReorder = (n: Node, runs: Runs): boolean =>
  n.op !== "reduce" || runs.reduced.filter(Boolean).length === 1;

/** Whether the result is broadcast back over the axes it was reduced from. */
function feedsRow(n: Node, users: ReadonlyMap<Node, readonly Node[]>): boolean {
  const size = n.type.shape.length === 0 ? 1 : count(n.type.shape as readonly number[]);
  const seen = new Set<Node>();
  const visit = (x: Node): boolean =>
    (users.get(x) ?? []).some((u) => {
      if (seen.has(u)) return false;
      seen.add(u);
      const { elementwise, kind } = rowOf(u.op);
      if (!elementwise && kind !== "view" && u.op !== "result") return false;
      return !isConcrete(u.type.shape) || count(u.type.shape) > size || visit(u);
    });
  return visit(n);
}

/** Partial results, and elements of a run that are reduced into each; the last is filled up. */
export interface Parts {
  readonly parts: number;
  readonly length: number;
}

/**
 * How many partial results a run of `n` elements gets: a divisor near the square root when there is one, best one that
 * leaves lengths in fours (rows then load as vectors), else a padded count.
 */
function partials(n: number, wanted: number | Parts | undefined): Parts {
  if (typeof wanted === "object") return wanted;
  if (wanted !== undefined) return { parts: wanted, length: Math.ceil(n / wanted / 4) * 4 };
  const ideal = Math.min(4096, Math.ceil(Math.sqrt(n)));
  for (const unit of [4, 1]) {
    for (let d = 0; d < ideal / 2; d++) {
      for (const parts of [ideal - d, ideal + d]) if (n % (parts * unit) === 0) return { parts, length: n / parts };
    }
  }
  const length = Math.ceil(n / ideal / 4) * 4;
  return { parts: Math.ceil(n / length), length };
}

export function split(
  b: GraphBuilder,
  n: Node,
  args: readonly Node[],
  { sizes, reduced }: Runs,
  wanted: number | Parts | undefined,
  decide: Decide,
): Node[] {
  const longest = Math.max(...sizes.filter((_, i) => reduced[i]));
  const at = decide(sizes.findIndex((s, i) => reduced[i] && s === longest));
  const size = sizes[at] as number;
  const { parts, length } = partials(size, wanted);
  const identity = identitiesOf(n);
  const blocks = args.map((x, i) => {
    // Partial results of f16 values must not be rounded to f16 between the stages.
    const wide = x.type.dtype === "f16" ? b.add("cast", [x], { dtype: "f32" }) : x;
    const flat = reshape(b, wide, sizes);
    const missing = parts * length - size;
    const high = sizes.map((_, k) => (k === at ? missing : 0));
    const padding = { low: sizes.map(() => 0), high, mode: "constant", value: identity[i] };
    const full = missing ? b.add("pad", [flat], padding) : flat;
    return reshape(b, full, [...sizes.slice(0, at), parts, length, ...sizes.slice(at + 1)]);
  });
  // Axes of the block: the runs before `at`, P, L, the runs after it.
  const first = reduced.flatMap((r, i) => (r ? [i < at ? i : i + 1] : []));
  const second = reduced.slice(0, at).filter((r) => !r).length;
  const partial = b.results(b.add(n.op, blocks, { ...n.attrs, keepDims: false, axes: first }));
  const whole = b.results(b.add(n.op, partial, { ...n.attrs, keepDims: false, axes: [second] }));
  return whole.map((r, i) => {
    const { dtype, shape } = n.results?.[i] ?? n.type;
    return reshape(b, r.type.dtype === dtype ? r : b.add("cast", [r], { dtype }), shape);
  });
}

const identitiesOf = (n: Node): readonly number[] =>
  (n.attrs.identity as readonly number[] | undefined) ?? [rowOf(n.op).reduction?.identity(n.type.dtype) ?? 0];
