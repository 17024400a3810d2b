import { type Fuser, sameRows, storedSet } from "./fuser.ts";
import type { Group } from "./groups.ts";

/** Independent kernels over one iteration space become one with several outputs. */
export function mergeSiblings(f: Fuser): void {
  const { grouping } = f;
  const list = grouping.groups.filter((g) => g.family === "pointwise" || g.family === "row");
  const gone = new Set<Group>();
  const bind = new Map<Group, Set<Group>>();
  const needs = (g: Group): Set<Group> => {
    const known = bind.get(g);
    if (known) return known;
    const set = grouping.needs(g);
    bind.set(g, set);
    return set;
  };
  for (let i = 0; i < list.length; i++) {
    const a = list[i] as Group;
    if (gone.has(a)) continue;
    for (let j = i + 1; j < list.length; j++) {
      const b = list[j] as Group;
      if (gone.has(b) || a.family !== b.family || !mergeable(f, a, b)) continue;
      if (grouping.dependsOn(a, b, needs) || grouping.dependsOn(b, a, needs)) continue;
      const stored = storedSet(grouping);
      const both = new Set([...grouping.inputsOf(a), ...grouping.inputsOf(b)]);
      const outs = [...a.members, ...b.members].filter((m) => stored.has(m)).length;
      if (both.size + outs > f.limit) continue;
      grouping.merge(a, b);
      gone.add(b);
      bind.clear();
    }
  }
}

function mergeable(f: Fuser, a: Group, b: Group): boolean {
  const size = (g: Group): number => g.space.reduce((p, d) => p * d, 1);
  if (a.family === "pointwise") return size(a) === size(b) && size(a) > 0;
  if (!sameRows(a, b)) return false;
  // Rows that share no operand gain one dispatch but lose parallelism in flight; only `legal` takes them.
  const shared = [...f.grouping.inputsOf(a)].some((n) => f.grouping.inputsOf(b).has(n));
  return shared || f.mode === "legal";
}
