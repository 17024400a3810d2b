import type { Node } from "../ir/graph.ts";
import { type Fuser, feedsItself, overLimit, storedSet } from "./fuser.ts";
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
      f.refusals.set(part, {
        reason: "bindings",
        detail: `the kernel would bind more than ${f.bindings.limit} storage buffers`,
      });
      stored = storedSet(grouping);
      again = true;
    }
  }
}

/** What is computed in kernels that bind more than the device allows. */
export function nodesOverLimit({ grouping, bindings }: Fuser): Set<Node> {
  const stored = storedSet(grouping);
  const exceeds = (g: Group): boolean =>
    bindings.exceeds(
      g,
      [...g.members],
      grouping.inputsOf(g),
      [...g.members].filter((m) => stored.has(m)),
    );
  return new Set(grouping.groups.filter(exceeds).flatMap((g) => [...g.members]));
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
