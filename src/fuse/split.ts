import type { Node } from "../ir/graph.ts";
import { type Fuser, feedsItself, overLimit, storedSet, tooMany } from "./fuser.ts";
import type { Group } from "./groups.ts";
import { isElementwise, isStored, shapeOf } from "./pull.ts";

/** Where a kernel binds too many buffers, stores the part of it that reads most of them in a kernel of its own. */
export function splitOverLimit(f: Fuser): void {
  const { grouping } = f;
  for (let again = true; again; ) {
    again = false;
    let stored = storedSet(grouping);
    for (const g of [...grouping.groups]) {
      const outputs = [...g.members].filter((m) => stored.has(m));
      if (!f.bindings.exceeds(g, [...g.members], grouping.inputsOf(g), outputs)) continue;
      const part = largestPart(f, g);
      if (!part) continue;
      grouping.own(grouping.open("pointwise", shapeOf(part)), part);
      f.refusals.set(part, tooMany(f));
      stored = storedSet(grouping);
      again = true;
    }
  }
}

/** What is computed in kernels that bind more than the device allows. */
export const nodesOverLimit = (f: Fuser): Set<Node> => new Set(groupsOverLimit(f).flatMap((g) => [...g.members]));

/**
 * Of each kernel that binds more than the device allows the later half of what it makes of its anchors' results; where
 * nothing of that is left, of the anchors but the first. What is left with one anchor may read many results of a kernel that computes
 * on the way what could be stored in between: then the same of the kernels that it reads from.
 */
export const lastOverLimit = (f: Fuser, but: ReadonlySet<Node>): readonly Node[] => [
  ...new Set(
    groupsOverLimit(f).flatMap((g) => {
      const from = [...f.grouping.needs(g)];
      const left = [madeBy(g), g.anchors.slice(1), from.flatMap((h) => h.anchors.slice(1)), from.flatMap(madeBy)]
        .map((list) => list.filter((m) => !but.has(m)))
        .find((list) => list.length > 0);
      return left ? left.sort((a, b) => a.id - b.id).slice(left.length >> 1) : [];
    }),
  ),
];

const madeBy = (g: Group): Node[] => [...g.members].filter((m) => isElementwise(m) && !g.anchors.includes(m));

function groupsOverLimit({ grouping, bindings }: Fuser): readonly Group[] {
  const stored = storedSet(grouping);
  return grouping.groups.filter((g) =>
    bindings.exceeds(
      g,
      [...g.members],
      grouping.inputsOf(g),
      [...g.members].filter((m) => stored.has(m)),
    ),
  );
}

/**
 * Makes room in a kernel that would bind too much with `n`: what it computes on the way from several buffers, and what will
 * be stored anyway, gets a kernel of its own now rather than have `n` computed elsewhere.
 */
export function relieve(f: Fuser, g: Group, n: Node): boolean {
  const part = largestPart(f, g, (x) => f.expected?.has(x) ?? true);
  if (!part) return false;
  f.grouping.own(f.grouping.open("pointwise", shapeOf(part)), part);
  return !overLimit(f, g, [n]);
}

function largestPart(f: Fuser, g: Group, suits: (n: Node) => boolean = () => true): Node | undefined {
  const { grouping } = f;
  let best: { node: Node; leaves: number } | undefined;
  const seen = new Set<Node>();
  const visit = (n: Node): void => {
    if (seen.has(n) || isStored(n) || grouping.owner.has(n)) return;
    seen.add(n);
    const leaves = grouping.leavesOf(n).size;
    if (
      (isElementwise(n) || n.op === "concat") &&
      suits(n) &&
      !f.left.has(n) &&
      leaves > 1 &&
      leaves < f.bindings.limit &&
      (!best || leaves > best.leaves) &&
      !feedsItself(f, n)
    )
      best = { node: n, leaves };
    n.args.forEach(visit);
  };
  for (const m of g.members) m.args.forEach(visit);
  return best?.node;
}
