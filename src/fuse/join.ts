import type { Node } from "../ir/graph.ts";
import { type Index, ravel, unravel, variable } from "../ir/index-expr.ts";
import {
  bindsMore,
  canStoreHalf,
  closesCycle,
  type Fuser,
  overLimit,
  producerGroups,
  type Refusal,
  type Rows,
  sameRows,
  sameShape,
  tooMany,
} from "./fuser.ts";
import { type Group, pointOf, readsSamePoint } from "./groups.ts";
import { epilogueText, followsApart, joinText, keepApart, pays, riderText } from "./measured.ts";
import { isFewRows } from "./prologue.ts";
import { countOf, readsOf, shapeOf } from "./pull.ts";
import { recomputedBy } from "./recomputed.ts";
import { relieve } from "./split.ts";

export function absorb(f: Fuser, n: Node): void {
  for (const g of producerGroups(f, n)) {
    const refusal = refuse(f, g, n);
    if (!refusal) {
      f.grouping.own(g, n);
      f.refusals.delete(n);
      return;
    }
    if (!f.refusals.has(n)) f.refusals.set(n, refusal);
  }
}

function refuse(f: Fuser, g: Group, n: Node): Refusal | undefined {
  if (g.family === "scan" || g.family === "scatter" || g.family === "opaque") {
    return { reason: "family", detail: `${kernelOf(g)} has no epilogue` };
  }
  const at = pointOf(g).of(n);
  const rides = !at && followsRider(f, g, n);
  if (!at && !rides) {
    return {
      reason: "space",
      detail: `${n.op} has ${countOf(n)} elements, the kernel computes [${g.space.join(", ")}]`,
    };
  }
  if (at && !readsSamePoint(f.grouping, g, n, at)) {
    return {
      reason: "index",
      detail: `${n.op} reads other elements of the kernel's result than the one being computed`,
    };
  }
  if (rides ? needsWords(f, n) && countOf(n) % 4 !== 0 : !canStoreHalf(f, g, n)) {
    return { reason: "half-words", detail: "without shader-f16 an f16 result must be written in whole words" };
  }
  if (closesCycle(f, g, n)) return { reason: "cycle", detail: "another operand is computed from this kernel's result" };
  if (overLimit(f, g, [n]) && !relieve(f, g, n) && bindsMore(f, g, n)) {
    return tooMany(f);
  }
  // What follows an epilogue follows it.
  const first = g.family !== "pointwise" && [...g.members].every((m) => g.anchors.includes(m) || m.op === "result");
  const name = (): string => epilogueText(n, g);
  if (first && !pays(f, name)) return keepApart(f, n, name(), g.members);
  return followsApart(f, n, g);
}

const kernelOf = (g: Group): string =>
  g.family === "opaque" ? "a kernel in WGSL of your own" : `a ${g.family} kernel`;

const needsWords = (f: Fuser, n: Node): boolean => n.type.dtype === "f16" && !f.capabilities.features.f16;

/** Does a node read, of all that the contraction computes, only one sum that rides with it, at its own element? */
function followsRider(f: Fuser, g: Group, n: Node): boolean {
  if (g.family !== "contraction" || g.anchors.length < 2) return false;
  const shape = shapeOf(n);
  const here = shape.map((d, i) => variable(`r${i}`, Math.max(0, d - 1)));
  const element = ravel(here, shape).key;
  const sums = new Set<Node>();
  const visit = (x: Node, index: readonly Index[]): boolean => {
    if (!f.grouping.comesFrom(x, g)) return true;
    if (f.grouping.owner.get(x) !== g) return readsOf(x, index).every((r) => visit(r.arg, r.index));
    if (x.op === "matmul" || ravel(index, shapeOf(x)).key !== element) return false;
    if (x.op !== "sum") return readsOf(x, index).every((r) => visit(r.arg, r.index));
    return sums.add(x).size === 1;
  };
  return visit(n, here) && sums.size === 1;
}

/** A sum over the axis that a contraction contracts joins it: its operand passes through anyway. */
export function ride(f: Fuser, sum: Node, product: Node): boolean {
  const g = f.grouping.owner.get(product);
  const alone = g?.anchors.filter((n) => n.op === "matmul").length === 1;
  // What computes its operand's rows by itself has no kernel that adds them up besides.
  if (!alone || (f.left.size > 0 && isFewRows(product, f.capabilities))) return false;
  if (g?.family !== "contraction" || closesCycle(f, g, sum) || overLimit(f, g, [sum])) return false;
  const name = (): string => riderText(sum, product);
  if (!pays(f, name)) {
    keepApart(f, sum, name(), g.members);
    return false;
  }
  f.grouping.own(g, sum);
  return true;
}

/** A reduction joins a row kernel over the same rows that computes its operand. */
export function joinRow(f: Fuser, n: Node): boolean {
  const space = shapeOf(n.args[0] as Node);
  const axes = n.attrs.axes as number[];
  for (const g of [...producerGroups(f, n), ...rowSiblings(f, n, { space, axes })]) {
    if (g.family !== "row") {
      f.refusals.set(n, { reason: "family", detail: `a reduction needs whole rows of the result of ${kernelOf(g)}` });
      continue;
    }
    if (!sameRows(g, { space, axes })) {
      f.refusals.set(n, {
        reason: "rows",
        detail: `reduces axes [${axes}] of [${space}], the kernel axes [${g.axes}] of [${g.space}]`,
      });
      continue;
    }
    const point = pointOf(g);
    const at = sameShape(g.space, space) ? point.index : unravel(ravel(point.index, g.space), space);
    if (!n.args.every((a) => readsSamePoint(f.grouping, g, a, at))) {
      f.refusals.set(n, { reason: "index", detail: "reads other elements of the kernel than the row at hand" });
      continue;
    }
    if (closesCycle(f, g, n)) {
      f.refusals.set(n, { reason: "cycle", detail: "another operand is computed from this kernel's result" });
      continue;
    }
    if (overLimit(f, g, [n])) {
      f.refusals.set(n, tooMany(f));
      continue;
    }
    const name = (): string => joinText(n, g);
    if (!pays(f, name)) {
      f.refusals.set(n, keepApart(f, n, name(), g.members));
      continue;
    }
    f.grouping.own(g, n);
    f.refusals.delete(n);
    return true;
  }
  return false;
}

/** Row kernels over the same rows that read something the reduction reads too, latest first. */
function rowSiblings(f: Fuser, n: Node, rows: Rows): Group[] {
  const { grouping } = f;
  const reads = new Set(n.args.flatMap((a) => [...grouping.leavesOf(a)]));
  const again = recomputedBy(grouping, [n]);
  return grouping.groups
    .filter((g) => g.family === "row" && sameRows(g, rows) && [...grouping.inputsOf(g)].some((l) => reads.has(l)))
    .filter((g) => recomputedBy(grouping, g.members) === again)
    .reverse();
}
