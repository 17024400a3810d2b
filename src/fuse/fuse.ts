import { tensorBytes } from "../base/dtype.ts";
import { type Graph, type Node, usersOf } from "../ir/graph.ts";
import { ravel, unravel } from "../ir/index-expr.ts";
import { rowOf } from "../ir/ops.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { type Group, Grouping, pointOf, readsSamePoint, rowsOf } from "./groups.ts";
import { countOf, isAnchor, isElementwise, isStored, keepsOrder, permutedFrom, shapeOf } from "./pull.ts";
import type { Family, Region } from "./region.ts";

/** `legal` fuses everything that is legal; `profit` also asks whether it moves fewer bytes; `off` makes a kernel of every primitive. */
export type FuseMode = "profit" | "legal" | "off";

export interface FuseResult {
  readonly regions: readonly Region[];
  /** Why a node did not join the kernel of one of its arguments. */
  readonly refusals: ReadonlyMap<Node, Refusal>;
}

export interface Refusal {
  readonly reason: string;
  readonly detail: string;
}

const familyOf: Readonly<Record<string, Family>> = {
  matmul: "contraction",
  attention: "attention",
  cumSum: "scan",
  scatterElements: "scatter",
  scatterND: "scatter",
};

/** Groups the nodes of a graph of primitive rows into regions, in an order in which they can run. */
export function fuse(graph: Graph, capabilities: Capabilities, mode: FuseMode): FuseResult {
  const roots = new Set(graph.outputs.map((o) => storedRoot(o.node)));
  const grouping = new Grouping(graph, usersOf(graph), roots);
  const f: Fuser = {
    grouping,
    capabilities,
    mode,
    refusals: new Map(),
    limit: capabilities.limits.maxStorageBuffersPerShaderStage,
  };
  for (const n of graph.nodes) place(f, n);
  for (const n of graph.nodes) if (roots.has(n) && !grouping.owner.has(n) && needsKernel(n, graph)) home(f, n);
  if (mode === "profit") shareExpensive(f, graph);
  splitOverLimit(f);
  if (mode !== "off") mergeSiblings(f);
  return { regions: inOrder(f), refusals: f.refusals };
}

interface Fuser {
  readonly grouping: Grouping;
  readonly capabilities: Capabilities;
  readonly mode: FuseMode;
  readonly refusals: Map<Node, Refusal>;
  readonly limit: number;
}

/** The node whose buffer an output shares: views that keep the order of elements are the same memory. */
export function storedRoot(n: Node): Node {
  let at = n;
  while (keepsOrder(at)) at = at.args[0] as Node;
  return at;
}

const needsKernel = (n: Node, graph: Graph): boolean =>
  !isStored(n) || graph.outputs.some((o) => storedRoot(o.node) === n);

function place(f: Fuser, n: Node): void {
  const { grouping } = f;
  if (n.op === "result") {
    grouping.own(grouping.owner.get(n.args[0] as Node) as Group, n);
    return;
  }
  if (isAnchor(n)) {
    const reduces = rowOf(n.op).kind === "reduction";
    if (reduces && f.mode !== "off" && joinRow(f, n)) return;
    const family = familyOf[n.op] ?? "row";
    const space = reduces ? shapeOf(n.args[0] as Node) : shapeOf(n);
    const g = grouping.open(family, space, reduces ? (n.attrs.axes as number[]) : []);
    grouping.own(g, n);
    return;
  }
  if (f.mode === "off") {
    if (needsOwnKernelUnfused(n)) grouping.own(grouping.open("pointwise", shapeOf(n)), n);
    return;
  }
  if (isElementwise(n)) absorb(f, n);
}

const unfusedPulled = new Set(["const", "iota", "reshape", "transpose", "expand", "slice"]);
const needsOwnKernelUnfused = (n: Node): boolean => !isStored(n) && !unfusedPulled.has(n.op);

/** Groups that own something the node reads, latest first. */
function producerGroups(f: Fuser, n: Node): Group[] {
  const found = new Set<Group>();
  for (const a of n.args) {
    for (const l of f.grouping.leavesOf(a)) {
      const g = f.grouping.owner.get(l);
      if (g) found.add(g);
    }
  }
  return [...found].sort((a, b) => b.id - a.id);
}

/** Would joining close a cycle: does anything else the node reads need the group? */
function closesCycle(f: Fuser, g: Group, n: Node): boolean {
  return producerGroups(f, n).some((h) => h !== g && f.grouping.dependsOn(h, g));
}

const overLimit = (f: Fuser, g: Group, extra: readonly Node[]): boolean =>
  f.grouping.inputsOf(g, extra).size + Math.max(1, f.grouping.storedOf(g, extra).size) > f.limit;

function absorb(f: Fuser, n: Node): void {
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
  if (g.family === "scan" || g.family === "scatter") {
    return { reason: "family", detail: `a ${g.family} kernel has no epilogue` };
  }
  const at = pointOf(g).of(n);
  if (!at) {
    return {
      reason: "space",
      detail: `${n.op} has ${countOf(n)} elements, the kernel computes [${g.space.join(", ")}]`,
    };
  }
  if (!readsSamePoint(f.grouping, g, n, at)) {
    return {
      reason: "index",
      detail: `${n.op} reads other elements of the kernel's result than the one being computed`,
    };
  }
  if (!canStoreHalf(f, g, n)) {
    return { reason: "half-words", detail: "without shader-f16 an f16 result must be written in whole words" };
  }
  if (closesCycle(f, g, n)) return { reason: "cycle", detail: "another operand is computed from this kernel's result" };
  if (overLimit(f, g, [n])) {
    return { reason: "bindings", detail: `the kernel would bind more than ${f.limit} storage buffers` };
  }
  return undefined;
}

/** Without shader-f16 every invocation must write whole words: two neighbouring elements of a row. */
function canStoreHalf(f: Fuser, g: Group, n: Node): boolean {
  if (n.type.dtype !== "f16" || f.capabilities.features.f16) return true;
  if (g.family === "pointwise") return true;
  const inner = g.space[g.space.length - 1] ?? 1;
  if (g.family === "contraction") return inner % 2 === 0;
  if (g.family !== "row" || countOf(n) !== g.space.reduce((p, d) => p * d, 1)) return false;
  const cols = countOf(n) / Math.max(1, rowsOf(g));
  const trailing = g.axes.length > 0 && (g.axes[0] as number) === g.space.length - g.axes.length;
  return trailing ? cols % 2 === 0 : inner % 4 === 0 && !g.axes.includes(g.space.length - 1);
}

/** A reduction joins a row kernel over the same rows that computes its operand. */
function joinRow(f: Fuser, n: Node): boolean {
  const space = shapeOf(n.args[0] as Node);
  const axes = n.attrs.axes as number[];
  for (const g of [...producerGroups(f, n), ...rowSiblings(f, n, { space, axes })]) {
    if (g.family !== "row") {
      f.refusals.set(n, { reason: "family", detail: `a reduction needs whole rows of a ${g.family} kernel's result` });
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
      f.refusals.set(n, { reason: "bindings", detail: `the kernel would bind more than ${f.limit} storage buffers` });
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
  return grouping.groups
    .filter((g) => g.family === "row" && sameRows(g, rows) && [...grouping.inputsOf(g)].some((l) => reads.has(l)))
    .reverse();
}

const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

type Rows = { readonly space: readonly number[]; readonly axes: readonly number[] };
const trailing = (g: Rows): boolean => g.axes.length > 0 && g.axes[0] === g.space.length - g.axes.length;

function sameRows(g: Rows, h: Rows): boolean {
  if (sameShape(g.space, h.space) && sameShape(g.axes, h.axes)) return true;
  const size = (s: Rows): number => s.space.reduce((p, d) => p * d, 1);
  return trailing(g) && trailing(h) && rowsOf(g) === rowsOf(h) && size(g) === size(h);
}

/** A kernel for a node that must be stored: one that computes it anyway at its own elements, or one of its own. */
function home(f: Fuser, n: Node): void {
  const { grouping } = f;
  if (f.mode !== "off" && isElementwise(n)) {
    absorb(f, n);
    if (grouping.owner.has(n)) return;
  }
  if (f.mode !== "off" && storeThroughView(f, n)) return;
  if (f.mode !== "off" && !isStored(n)) {
    for (const g of grouping.groups) {
      const computes = g.family === "row" ? countOf(n) === g.space.reduce((p, d) => p * d, 1) : false;
      if (!computes || !pulls(grouping, g, n) || !canStoreHalf(f, g, n) || overLimit(f, g, [n])) continue;
      const at = pointOf(g).of(n);
      if (!at || !readsSamePoint(grouping, g, n, at)) continue;
      const readers = grouping.groups.filter((h) => h !== g && pulls(grouping, h, n));
      if (readers.some((h) => grouping.dependsOn(g, h))) continue;
      grouping.own(g, n);
      return;
    }
  }
  const g = grouping.open("pointwise", shapeOf(n));
  if (feedsItself(f, n)) grouping.adopt(g, n);
  else grouping.own(g, n);
}

/**
 * Is the node computed from the result of a kernel that also reads it on the way to something else? Then that kernel
 * must go on computing it: reading it from another kernel would close a cycle.
 */
function feedsItself(f: Fuser, n: Node): boolean {
  const readers = f.grouping.groups.filter((g) => pulls(f.grouping, g, n));
  return producerGroups(f, n).some((p) => readers.some((r) => f.grouping.dependsOn(p, r)));
}

/** A permuted result is written to its place by the kernel that computes it, instead of being copied there. */
function storeThroughView(f: Fuser, n: Node): boolean {
  const base = permutedFrom(n);
  const g = f.grouping.owner.get(base);
  if (base === n || !g || g.family === "scan" || g.family === "scatter") return false;
  const words = n.type.dtype !== "f16" || f.capabilities.features.f16;
  if (!words || countOf(base) !== g.space.reduce((p, d) => p * d, 1) || overLimit(f, g, [n])) return false;
  if (g.axes.length && countOf(base) === rowsOf(g)) return false;
  f.grouping.own(g, n);
  return true;
}

/** Does the group compute the unowned node on the way to a member? */
function pulls(grouping: Grouping, g: Group, target: Node): boolean {
  const seen = new Set<Node>();
  const visit = (n: Node): boolean => {
    if (n === target) return true;
    if (seen.has(n) || isStored(n) || grouping.owner.has(n)) return false;
    seen.add(n);
    return n.args.some(visit);
  };
  return [...g.members].some((m) => m.args.some(visit));
}

const bytesOf = (n: Node): number => tensorBytes(n.type.dtype, countOf(n));
const expensive = new Set([
  "exp",
  "exp2",
  "expm1",
  "log",
  "log2",
  "log1p",
  "sin",
  "cos",
  "tan",
  "asin",
  "acos",
  "atan",
  "sinh",
  "cosh",
  "tanh",
  "erf",
  "sigmoid",
  "logSigmoid",
  "silu",
  "gelu",
  "softplus",
  "elu",
  "pow",
  "atan2",
  "philox",
]);

/**
 * Stores an elementwise node that several kernels would compute again, where storing moves fewer bytes, and one with
 * transcendental work that a contraction would repeat for every tile.
 */
function shareExpensive(f: Fuser, graph: Graph): void {
  const { grouping } = f;
  for (const n of graph.nodes) {
    if (!isElementwise(n) || grouping.owner.has(n) || isStored(n)) continue;
    const readers = grouping.groups.filter((g) => pulls(grouping, g, n));
    if (readers.length === 0) continue;
    const read = [...grouping.leavesOf(n)].reduce((s, l) => s + bytesOf(l), 0);
    const own = bytesOf(n);
    const storing = read + own + readers.length * own;
    const again = readers.length * read;
    const repeated =
      readers.some((g) => g.family === "contraction" || g.family === "attention") &&
      hasExpensive(grouping, n) &&
      countOf(n) >= 4096;
    if ((storing < again || repeated) && !feedsItself(f, n)) home(f, n);
  }
}

function hasExpensive(grouping: Grouping, n: Node): boolean {
  if (expensive.has(n.op)) return true;
  return n.args.some((a) => !isStored(a) && !grouping.owner.has(a) && hasExpensive(grouping, a));
}

/** Where a kernel binds too many buffers, stores the part of it that reads most of them in a kernel of its own. */
function splitOverLimit(f: Fuser): void {
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

/** Members that some other group reads, or that are graph outputs. */
function storedSet(grouping: Grouping): Set<Node> {
  const out = new Set<Node>();
  for (const g of grouping.groups) {
    for (const l of grouping.inputsOf(g)) if (grouping.owner.has(l)) out.add(l);
    for (const m of g.members) if (grouping.outputs.has(m)) out.add(m);
  }
  return out;
}

/** Independent kernels over one iteration space become one with several outputs. */
function mergeSiblings(f: Fuser): void {
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

function inOrder(f: Fuser): Region[] {
  const { grouping } = f;
  const stored = storedSet(grouping);
  const done = new Set<Group>();
  const out: Region[] = [];
  const visit = (g: Group): void => {
    if (done.has(g)) return;
    done.add(g);
    for (const h of [...grouping.needs(g)].sort((a, b) => a.id - b.id)) visit(h);
    const members = [...g.members].sort((a, b) => a.id - b.id);
    const outputs = members.filter((m) => stored.has(m));
    if (outputs.length === 0) return;
    const { id: _, ...rest } = g;
    out.push({
      id: out.length,
      ...rest,
      members,
      outputs,
      inputs: [...grouping.inputsOf(g)].sort((a, b) => a.id - b.id),
    });
  };
  for (const g of grouping.groups) visit(g);
  return out;
}
