import type { Node } from "../ir/graph.ts";
import { type Fuser, feedsItself, storedSet } from "./fuser.ts";
import type { Group } from "./groups.ts";
import { isElementwise, isStored, shapeOf } from "./pull.ts";

/** Where a kernel binds too many buffers, stores the part of it that reads most of them in a kernel of its own. */
export function splitOverLimit(f: Fuser): void {
  const { grouping } = f;
  for (let again = true; again; ) {
    again = false;
    for (const g of [...grouping.groups]) {
      const stored = storedSet(grouping);
      const count = (): number => grouping.inputsOf(g).size + [...g.members].filter((m) => stored.has(m)).length;
      if (count() <= f.limit) continue;
      const part = largestPart(f, g);
      if (!part) continue;
      grouping.own(grouping.open("pointwise", shapeOf(part)), part);
      f.refusals.set(part, {
        reason: "bindings",
        detail: `the kernel would bind more than ${f.limit} storage buffers`,
      });
      again = true;
    }
  }
}

function largestPart(f: Fuser, g: Group): Node | undefined {
  const { grouping } = f;
  let best: { node: Node; leaves: number } | undefined;
  const seen = new Set<Node>();
  const visit = (n: Node): void => {
    if (seen.has(n) || isStored(n) || grouping.owner.has(n)) return;
    seen.add(n);
    const leaves = grouping.leavesOf(n).size;
    if (
      (isElementwise(n) || n.op === "concat") &&
      leaves > 1 &&
      leaves < f.limit &&
      (!best || leaves > best.leaves) &&
      !feedsItself(f, n)
    )
      best = { node: n, leaves };
    n.args.forEach(visit);
  };
  for (const m of g.members) m.args.forEach(visit);
  return best?.node;
}
