import { type Graph, GraphBuilder, type Node, usersOf } from "../ir/graph.ts";
import { attentionKernels } from "../ir/ops/attention-type.ts";
import { rowOf } from "../ir/ops.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import type { TuningTable } from "../manifest/tuning.ts";
import { cheaperAgain } from "./again.ts";
import { BindingCount } from "./bindings.ts";
import { carryColumns } from "./carry-columns.ts";
import { type FuseMode, type Fuser, type Refusal, storedSet, tooMany } from "./fuser.ts";
import { type Group, Grouping } from "./groups.ts";
import { home } from "./home.ts";
import { absorb, joinRow, ride } from "./join.ts";
import { type Measured, measuredBy } from "./measured.ts";
import { mergeSiblings } from "./merge.ts";
import { shareExpensive } from "./profit.ts";
import { findPrologues } from "./prologue.ts";
import { joinProduct, rideUpdate } from "./prologue-join.ts";
import { isAnchor, isElementwise, isStored, isZero, shapeOf, storedRoot, widensHalf } from "./pull.ts";
import type { Family, Region } from "./region.ts";
import { findRides, type Rides } from "./riders.ts";
import { lastOverLimit, nodesOverLimit, splitOverLimit } from "./split.ts";
import { ownSums } from "./sums-of-parts.ts";

export interface FuseResult {
  readonly regions: readonly Region[];
  /** Why a node did not join the kernel of one of its arguments. */
  readonly refusals: ReadonlyMap<Node, Refusal>;
  /** What a tuning table decided, where there is one. */
  readonly measured?: Measured;
}

const familyOf: Readonly<Record<string, Family>> = {
  matmul: "contraction",
  ...Object.fromEntries(attentionKernels.map((op) => [op, "attention" as const])),
  cumSum: "scan",
  exclusiveScan: "scan",
  scatterElements: "scatter",
  scatterND: "scatter",
  dynamicUpdateSlice: "scatter",
  wgsl: "opaque",
};

/**
 * Groups the nodes of a graph of primitive rows into regions, in an order in which they can run. `uniform`: the kernels are to
 * hold for other sizes too, so that nothing may follow from how few rows a product has.
 */
export function fuse(
  graph: Graph,
  capabilities: Capabilities,
  mode: FuseMode,
  tuning?: TuningTable,
  uniform = false,
): FuseResult {
  // What must be in memory: results, and the arguments of packs and of the user's own kernels.
  const whole = graph.nodes.flatMap(storedWhole);
  const roots = new Set([...graph.outputs.map((o) => o.node), ...whole].map(storedRoot));
  const users = usersOf(graph);
  const bindings = new BindingCount(graph, capabilities);
  const rides: Rides = mode === "off" ? { nodes: graph.nodes, productOf: new Map() } : findRides(graph);
  const few = mode !== "off" && !uniform;
  let left: ReadonlySet<Node> = few ? findPrologues(rides.nodes, users, roots, capabilities) : new Set();
  const group = (settings: Pick<Fuser, "again" | "unlimited" | "expected" | "tight" | "apart">): Fuser => {
    const grouping = new Grouping(rides.nodes, users, roots);
    const measured = tuning && measuredBy(tuning.fusions);
    const f: Fuser = {
      ...{ grouping, capabilities, mode, refusals: new Map(), bindings, left, ...settings },
      ...(measured ? { measured } : {}),
    };
    for (const n of rides.nodes) {
      grouping.advance(n);
      const product = rides.productOf.get(n);
      if (product && !f.apart?.has(n) && ride(f, n, product)) continue;
      if (!few || f.apart?.has(n) || !(joinProduct(f, n) || rideUpdate(f, n, graph))) place(f, n);
    }
    for (const n of graph.nodes) if (roots.has(n)) store(f, n);
    if (mode === "profit") shareExpensive(f, graph);
    if (!f.unlimited) splitOverLimit(f);
    return f;
  };
  const all = (): Fuser => {
    let f = group({ again: new Set(), unlimited: mode !== "off" });
    if (!f.unlimited) return f;
    // Only when all kernels are known is it known what is in memory anyway.
    const { again, stored } = cheaperAgain(f, rides.nodes);
    let tight = nodesOverLimit(f);
    if (again.size > 0 || tight.size > 0) f = group({ again, unlimited: false, expected: stored });
    // Where that was too hopeful, the nodes at hand are placed with care.
    for (tight = nodesOverLimit(f); tight.size > 0; ) {
      f = group({ again, unlimited: false, expected: stored, tight });
      const more = nodesOverLimit(f);
      if ([...more].every((n) => tight.has(n))) break;
      tight = new Set([...tight, ...more]);
    }
    // What fits in no way is computed elsewhere, the last results of a kernel first.
    const apart = new Set<Node>();
    for (;;) {
      const last = lastOverLimit(f, apart);
      if (last.length === 0) return f;
      for (const n of last) apart.add(n);
      f = group({ again, unlimited: false, expected: stored, tight, apart });
      for (const n of apart) f.refusals.set(n, tooMany(f));
    }
  };
  let f = all();
  if (left.size > 0 && nodesOverLimit(f).size > 0) {
    // With kernels of their own for the reductions, products bind less.
    left = new Set();
    f = all();
  }
  if (mode !== "off") mergeSiblings(f);
  if (few) carryColumns(f);
  const { measured } = f;
  for (const [n, { refusal }] of measured?.apart ?? []) f.refusals.set(n, refusal);
  return { regions: inOrder(f), refusals: f.refusals, ...(measured ? { measured } : {}) };
}

/** Arguments that are read from memory as they are. */
const storedWhole = (n: Node): readonly Node[] =>
  n.op === "wgsl" ? n.args : n.op === "pack" ? n.args.filter((a) => !isZero(a)) : [];

function store(f: Fuser, n: Node): void {
  if (!isStored(n) && !f.grouping.writes(n)) home(f, n);
}

function place(f: Fuser, n: Node): void {
  const { grouping } = f;
  if (n.op === "result") {
    grouping.own(grouping.owner.get(n.args[0] as Node) as Group, n);
    return;
  }
  if (f.left.has(n)) return;
  // Before anything reads it: who does must know the kernels that it depends on.
  for (const a of storedWhole(n)) store(f, storedRoot(a));
  if (n.op === "pack") return;
  if (isAnchor(n)) {
    const reduces = rowOf(n.op).kind === "reduction";
    if (reduces && f.mode !== "off" && !f.apart?.has(n) && joinRow(f, n)) return;
    const family = familyOf[n.op] ?? "row";
    const space = reduces ? shapeOf(n.args[0] as Node) : shapeOf(n);
    const g = grouping.open(family, space, reduces ? (n.attrs.axes as number[]) : []);
    if (reduces && f.mode !== "off") ownSums(f, g, n);
    grouping.own(g, n);
    return;
  }
  if (f.mode === "off") {
    if (needsOwnKernelUnfused(n)) grouping.own(grouping.open("pointwise", shapeOf(n)), n);
    return;
  }
  if (isElementwise(n) && !f.again.has(n) && !f.apart?.has(n) && !isWidening(f, n)) absorb(f, n);
}

/**
 * An f16 value as f32: who reads it loads the half and widens it, so that no kernel stores it with twice the bytes. A scatter in
 * place is written over it.
 */
const isWidening = ({ grouping }: Fuser, n: Node): boolean =>
  widensHalf(n) && !grouping.users.get(n)?.some((u) => familyOf[u.op] === "scatter");

const unfusedPulled = new Set([
  "const",
  "iota",
  "segments",
  "reshape",
  "transpose",
  "expand",
  "slice",
  "recompute",
  "window",
]);

const needsOwnKernelUnfused = (n: Node): boolean => !isStored(n) && !unfusedPulled.has(n.op);

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
    const outputs = g.family === "opaque" ? everyResult(g) : members.filter((m) => stored.has(m));
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

/** A kernel of the user's binds all its results, those that nobody reads too. */
function everyResult(g: Group): Node[] {
  const [node] = g.anchors as [Node];
  const known = new Map([...g.members].flatMap((m) => (m.op === "result" ? [[m.attrs.index, m] as const] : [])));
  const b = new GraphBuilder(node.place);
  return b.results(node).map((r, i) => known.get(i) ?? r);
}
