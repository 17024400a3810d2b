import { type Graph, type Node, usersOf } from "../ir/graph.ts";
import { rowOf } from "../ir/ops.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { type FuseMode, type Fuser, type Refusal, storedSet } from "./fuser.ts";
import { type Group, Grouping } from "./groups.ts";
import { home } from "./home.ts";
import { absorb, joinRow } from "./join.ts";
import { mergeSiblings } from "./merge.ts";
import { shareExpensive } from "./profit.ts";
import { isAnchor, isElementwise, isStored, shapeOf, storedRoot } from "./pull.ts";
import type { Family, Region } from "./region.ts";
import { splitOverLimit } from "./split.ts";

export interface FuseResult {
  readonly regions: readonly Region[];
  /** Why a node did not join the kernel of one of its arguments. */
  readonly refusals: ReadonlyMap<Node, Refusal>;
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
