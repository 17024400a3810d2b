import type { Node } from "../ir/graph.ts";
import { type Fuser, sameRows, sameShape, storedSet, trailing } from "./fuser.ts";
import { type Group, pointOf, readsSamePoint, rowsOf } from "./groups.ts";
import { bytesOf, countOf, readsOf } from "./pull.ts";
import { recomputedBy } from "./recomputed.ts";

/** Columns of less than this are reduced together though they share nothing: it takes less time than a dispatch costs. */
const smallBytes = 2 ** 24;
/** Elements of a pointwise kernel that is not worth a dispatch where a row kernel has as many rows. */
const fewElements = 64;

/**
 * Independent kernels over one iteration space become one with several outputs, and so do pointwise ones of which one goes
 * on where the other ends.
 */
export function mergeSiblings(f: Fuser): void {
  const list = f.grouping.groups.filter((g) => g.family === "pointwise" || g.family === "row");
  const gone = new Set<Group>();
  let stored = storedSet(f.grouping);
  const each = (suits: (a: Group, b: Group) => boolean): void => {
    for (const a of list) {
      for (const b of list) {
        if (a === b || gone.has(a) || gone.has(b) || !suits(a, b) || !bindTogether(f, a, b, stored)) continue;
        f.grouping.merge(a, b);
        gone.add(b);
        stored = storedSet(f.grouping);
      }
    }
  };
  each(
    (a, b) => a.id < b.id && mergeable(f, a, b) && (independent(f, a, b) || continues(f, a, b) || continues(f, b, a)),
  );
  each((a, b) => isTrifle(a, b) && independent(f, a, b));
}

const sizeOf = (g: Group): number => g.space.reduce((p, d) => p * d, 1);

function mergeable(f: Fuser, a: Group, b: Group): boolean {
  if (a.family !== b.family || sizeOf(a) !== sizeOf(b) || sizeOf(a) === 0) return false;
  if (recomputedBy(f.grouping, a.members) !== recomputedBy(f.grouping, b.members)) return false;
  if (a.family === "pointwise") return true;
  if (!sameRows(a, b)) return false;
  if (f.mode === "legal") return true;
  // Rows that share no operand gain one dispatch but lose parallelism in flight.
  const [read, other] = [f.grouping.inputsOf(a), f.grouping.inputsOf(b)];
  const bytes = [...read, ...other].reduce((s, n) => s + bytesOf(n), 0);
  return [...read].some((n) => other.has(n)) || (!trailing(a) && bytes <= smallBytes);
}

/** A pointwise kernel of a few elements can be done by a row kernel of as many rows, beside them. */
const isTrifle = (row: Group, few: Group): boolean =>
  row.family === "row" &&
  few.family === "pointwise" &&
  rowsOf(row) === sizeOf(few) &&
  sizeOf(few) <= fewElements &&
  sizeOf(row) > sizeOf(few) &&
  [...few.members].every((n) => n.type.dtype !== "f16" && countOf(n) === sizeOf(few));

const independent = (f: Fuser, a: Group, b: Group): boolean =>
  !f.grouping.dependsOn(a, b) && !f.grouping.dependsOn(b, a);

/** Does `b` read of `a`'s results only the element that it computes next, and nothing else that comes from them? */
function continues(f: Fuser, a: Group, b: Group): boolean {
  if (a.family !== "pointwise" || !sameShape(a.space, b.space) || f.grouping.dependsOn(a, b)) return false;
  if ([...f.grouping.needs(b)].some((g) => g !== a && f.grouping.dependsOn(g, a))) return false;
  const point = pointOf(b);
  return [...b.members].every((n) => {
    const at = point.of(n);
    return at && readsOf(n, at).every((r) => readsSamePoint(f.grouping, a, r.arg, r.index));
  });
}

function bindTogether(f: Fuser, a: Group, b: Group, apart: ReadonlySet<Node>): boolean {
  const { grouping, bindings } = f;
  const members = [...a.members, ...b.members];
  const inside = new Set(members);
  const inputs = new Set([...grouping.inputsOf(a), ...grouping.inputsOf(b)].filter((n) => !inside.has(n)));
  const stored = independent(f, a, b) ? apart : storedSet(grouping, [a, b]);
  const outputs = members.filter((m) => stored.has(m));
  // The plan may not find a state dead where one kernel took more: what joins freely does not count on it.
  const [before] = [a, b].map((g) =>
    bindings.apart(
      grouping.inputsOf(g),
      [...g.members].filter((m) => stored.has(m)),
    ),
  );
  if ((before as number) <= bindings.limit) return bindings.apart(inputs, outputs) <= bindings.limit;
  return !bindings.exceeds({ ...a, anchors: [...a.anchors, ...b.anchors] }, members, inputs, outputs);
}
