import type { Node } from "../ir/graph.ts";
import { type Fuser, storedSet } from "./fuser.ts";
import type { Group } from "./groups.ts";
import { keepApart, pays, repeatText } from "./measured.ts";
import { isExpensive } from "./profit.ts";
import { bytesOf, countOf, isElementwise, isStored } from "./pull.ts";

/** Ops that may be repeated to spare a tensor. */
const longest = 8;
/** A value that has this many times fewer elements than the tensor is stored in its place: one a row. */
const smaller = 16;

/**
 * Elementwise results that are better computed again by the kernels that read them, from what these read anyway or what is
 * in memory anyway: they are neither stored nor read then. So a normalisation leaves its mean and its deviation behind, two
 * numbers a row, instead of what it normalised. Not what a contraction or attention reads as operands: their tiles
 * would repeat it. `stored` is what is left to store.
 */
export function cheaperAgain(
  f: Fuser,
  nodes: readonly Node[],
): { readonly again: ReadonlySet<Node>; readonly stored: ReadonlySet<Node> } {
  const { grouping } = f;
  const stored = storedSet(grouping);
  const again = new Set<Node>();
  const sources = new Map<Node, ReadonlySet<Node>>();
  for (const n of nodes) {
    if (!stored.has(n) || !isElementwise(n) || grouping.outputs.has(n)) continue;
    const readers = [...grouping.readersOf(n)].filter((g) => g !== grouping.owner.get(n));
    if (readers.length === 0 || readers.some((g) => readsWhole(f, g, n))) continue;
    const found = findSources(f, n, stored, again, sources);
    if (!found) continue;
    const { from, through } = found;
    const size = (list: Iterable<Node>): number => [...list].reduce((s, x) => s + bytesOf(x), 0);
    const extra = [...from].filter((x) => grouping.owner.has(x) && !stored.has(x));
    const reads = readers.map((g) => {
      const has = new Set([...grouping.inputsOf(g)].flatMap((x) => [...(sources.get(x) ?? [x])]));
      return size([...from].filter((x) => !has.has(x)));
    });
    const storing = bytesOf(n) * (1 + readers.length);
    const instead = size(extra) + reads.reduce((p, x) => p + x, 0);
    // A tie is worth it: it spares memory, and kernels that read the same merge.
    if (size(extra) >= bytesOf(n) || instead > storing * 1.05) continue;
    const name = (): string => repeatText(n, readers);
    if (!pays(f, name)) {
      keepApart(f, n, name());
      continue;
    }
    for (const x of through) again.add(x);
    for (const x of extra) stored.add(x);
    stored.delete(n);
    sources.set(n, from);
  }
  return { again, stored };
}

/** Does the group read the node as an operand of its anchor, many times for each element? */
function readsWhole(f: Fuser, g: Group, n: Node): boolean {
  if (g.family === "pointwise" || g.family === "row") return false;
  return g.family !== "contraction" || g.anchors.some((a) => a.args.some((x) => f.grouping.leavesOf(x).has(n)));
}

/** What a node would be computed from, and the nodes on the way that would be computed again. */
function findSources(
  f: Fuser,
  node: Node,
  stored: ReadonlySet<Node>,
  again: ReadonlySet<Node>,
  sources: ReadonlyMap<Node, ReadonlySet<Node>>,
): { from: Set<Node>; through: Set<Node> } | undefined {
  const { grouping } = f;
  const from = new Set<Node>();
  const through = new Set<Node>();
  const visit = (n: Node): boolean => {
    if (through.has(n) || from.has(n)) return true;
    const own = grouping.owner.has(n);
    const kept =
      n !== node &&
      !again.has(n) &&
      own &&
      (stored.has(n) || !isElementwise(n) || countOf(n) * smaller <= countOf(node));
    if (kept || (!own && (isStored(n) || grouping.inMemory(n)))) {
      from.add(n);
      return true;
    }
    if (sources.has(n)) {
      for (const x of sources.get(n) as ReadonlySet<Node>) from.add(x);
      return true;
    }
    if (isExpensive(n) || (own && !isElementwise(n))) return false;
    if (isElementwise(n)) through.add(n);
    return through.size <= longest && n.args.every(visit);
  };
  return visit(node) ? { from, through } : undefined;
}
