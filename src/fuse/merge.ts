import type { Node } from "../ir/graph.ts";
import { ravel, unravel } from "../ir/index-expr.ts";
import { type Fuser, permutesHalves, sameRows, sameShape, storedSet, trailing } from "./fuser.ts";
import { type Group, pointOf, readsSamePoint, rowsOf } from "./groups.ts";
import { heldApart } from "./measured.ts";
import { bytesOf, countOf, isAnchor, readsOf, shapeOf } from "./pull.ts";
import { recomputedBy } from "./recomputed.ts";

/** Columns of less than this are reduced together though they share nothing: it takes less time than a dispatch costs. */
const smallBytes = 2 ** 24;
/** More would keep what is summed in memory for longer: those of two normalisations. */
const fewSums = 4;
/** Elements of a pointwise kernel that is not worth a dispatch where a row kernel has as many rows. */
const fewElements = 64;

/**
 * Kernels of which one goes on where the other ends become one, then independent kernels over one iteration space become one
 * with several outputs.
 */
export function mergeSiblings(f: Fuser): void {
  const list = f.grouping.groups.filter((g) => g.family === "pointwise" || g.family === "row");
  const gone = new Set<Group>();
  let stored = storedSet(f.grouping);
  const each = (suits: (a: Group, b: Group) => boolean): void => {
    for (const a of list) {
      for (const b of list) {
        if (a === b || gone.has(a) || gone.has(b) || !suits(a, b) || heldApart(f, a, b)) continue;
        if (permutesHalves(f, [...a.members, ...b.members]) || !bindTogether(f, a, b, stored)) continue;
        f.grouping.merge(a, b);
        gone.add(b);
        stored = storedSet(f.grouping);
      }
    }
  };
  each((a, b) => sameSpace(a, b) && f.grouping.dependsOn(b, a) && continues(f, a, b));
  each((a, b) => a.id < b.id && sameSpace(a, b) && worthwhile(f, a, b) && independent(f, a, b));
  each((a, b) => isTrifle(a, b) && independent(f, a, b));
}

const sizeOf = (g: Group): number => g.space.reduce((p, d) => p * d, 1);

const sameSpace = (a: Group, b: Group): boolean =>
  a.family === b.family && sizeOf(a) > 0 && (a.family === "pointwise" ? sizeOf(a) === sizeOf(b) : sameRows(a, b));

function worthwhile(f: Fuser, a: Group, b: Group): boolean {
  if (recomputedBy(f.grouping, a.members) !== recomputedBy(f.grouping, b.members)) return false;
  if (a.family === "pointwise" || f.mode === "legal") return true;
  // Rows that share no operand gain one dispatch but lose parallelism in flight.
  const [read, other] = [f.grouping.inputsOf(a), f.grouping.inputsOf(b)];
  const bytes = [...read, ...other].reduce((s, n) => s + bytesOf(n), 0);
  const columns = !trailing(a) && bytes <= smallBytes && a.anchors.length + b.anchors.length <= fewSums;
  return [...read].some((n) => other.has(n)) || columns;
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

/** Does `b` read of `a`'s results only what belongs to the point (or row) that it computes, and nothing else that comes from them? */
function continues(f: Fuser, a: Group, b: Group): boolean {
  if (!sameShape(a.space, b.space) || !sameShape(a.axes, b.axes) || f.grouping.dependsOn(a, b)) return false;
  if ([...f.grouping.needs(b)].some((g) => g !== a && f.grouping.dependsOn(g, a))) return false;
  const point = pointOf(b);
  return [...b.members].every((n) => {
    if (n.op === "result") return true;
    if (isAnchor(n)) {
      const space = shapeOf(n.args[0] as Node);
      const at = sameShape(space, b.space) ? point.index : unravel(ravel(point.index, b.space), space);
      return n.args.every((x) => readsSamePoint(f.grouping, a, x, at));
    }
    const at = point.of(n);
    return at && readsOf(n, at).every((r) => readsSamePoint(f.grouping, a, r.arg, r.index));
  });
}

/** May one kernel bind what the two do? `apart`: what is stored while they are two. */
export function bindTogether(f: Fuser, a: Group, b: Group, apart: ReadonlySet<Node> = storedSet(f.grouping)): boolean {
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
  if (independent(f, a, b) && (before as number) <= bindings.limit)
    return bindings.apart(inputs, outputs) <= bindings.limit;
  return !bindings.exceeds({ ...a, anchors: [...a.anchors, ...b.anchors] }, members, inputs, outputs);
}
