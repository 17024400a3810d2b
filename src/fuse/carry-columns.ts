import type { Node } from "../ir/graph.ts";
import { ravel, unravel } from "../ir/index-expr.ts";
import { rowOf } from "../ir/ops.ts";
import { type ColumnSum, columnSumOf, columnSumsOf, sharingSums } from "./columns.ts";
import { type Fuser, sameShape, trailing } from "./fuser.ts";
import { type Group, pointOf, readsSamePoint, rowsOf } from "./groups.ts";
import { heldApart, joinText, keepApart, pays } from "./measured.ts";
import { bindTogether } from "./merge.ts";
import { bytesOf, countOf, shapeOf } from "./pull.ts";
import { recomputedBy } from "./recomputed.ts";

/** Fewer blocks than this leave a GPU idle; longer ones too, and sums of more terms lose accuracy. */
const fewestParts = 64;
const longest = 1024;
/** Bytes that are read once instead of twice, at least: less takes less time than what else there is to do. */
const leastSaved = 2 ** 21;

/**
 * Lets row kernels on GPUs add up columns of the rows that they have in registers, which other kernels would read again: gradients of
 * gamma and beta beside that of a normalisation's input. Each workgroup adds up one block of rows.
 */
export function carryColumns(f: Fuser): void {
  if (f.capabilities.software) return;
  const rows = f.grouping.groups.filter((g) => g.family === "row" && trailing(g));
  for (const b of f.grouping.groups.filter(isColumns)) {
    const best = rows
      .map((a) => ({ a, saved: savedBy(f, a, b) }))
      .filter(({ a, saved }) => saved >= (f.mode === "legal" ? 1 : leastSaved) && carries(f, a, b))
      .sort((p, q) => q.saved - p.saved || p.a.id - q.a.id);
    for (const { a } of best) {
      const [first] = b.anchors as [Node];
      const name = (): string => joinText(first, a);
      if (!pays(f, name)) keepApart(f, first, name(), a.members);
      if (heldApart(f, a, b) || !bindTogether(f, a, b)) continue;
      f.grouping.merge(a, b);
      break;
    }
  }
}

/** Is all that a kernel computes sums along columns of blocks of rows? */
const isColumns = (g: Group): boolean =>
  g.family === "row" && !trailing(g) && [...g.members].every((n) => columnSumOf(n) !== undefined);

/** Bytes that the two read, or one writes and the other reads, and that one kernel would read once. */
function savedBy({ grouping }: Fuser, a: Group, b: Group): number {
  const read = grouping.inputsOf(a);
  return [...grouping.inputsOf(b)].reduce((n, x) => n + (read.has(x) || a.members.has(x) ? bytesOf(x) : 0), 0);
}

function carries(f: Fuser, a: Group, b: Group): boolean {
  const { grouping } = f;
  const elements = a.space.reduce((p, d) => p * d, 1);
  const rows = rowsOf(a);
  const sums = [...b.members].flatMap((n) => columnSumOf(n) ?? []);
  const [{ parts, length }] = sums as [ColumnSum];
  const all = [...columnSumsOf({ ...a, family: "row" }), ...sums];
  const fits =
    sharingSums(elements / rows, all.length) !== undefined &&
    length > 1 &&
    (f.mode === "legal" || (parts >= fewestParts && length <= longest)) &&
    all.every((s) => s.parts === parts && s.length === length && shapeOf(s.sum).at(-1) === elements / rows) &&
    // Else sums, or what is made of them, would be taken for values of a row or of an element.
    sums.every((s) => countOf(s.of) === elements && ![rows, elements].includes(countOf(s.sum)));
  if (!fits || !a.anchors.every((n) => n.op !== "reduce" && rowOf(n.op).reduction !== undefined)) return false;
  if (recomputedBy(grouping, a.members) !== recomputedBy(grouping, b.members)) return false;
  if (grouping.dependsOn(a, b) || [...grouping.needs(b)].some((g) => g !== a && grouping.dependsOn(g, a))) return false;
  const { index } = pointOf(a);
  return sums.every(({ of }) => {
    const at = sameShape(a.space, shapeOf(of)) ? index : unravel(ravel(index, a.space), shapeOf(of));
    return readsSamePoint(grouping, a, of, at);
  });
}
