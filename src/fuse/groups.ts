import type { Graph, Node } from "../ir/graph.ts";
import { type Index, ravel, unravel, variable } from "../ir/index-expr.ts";
import { rowOf } from "../ir/ops.ts";
import { countOf, isAnchor, isStored, readsOf, shapeOf } from "./pull.ts";
import type { Family } from "./region.ts";

/** A region while it grows. */
export interface Group {
  readonly id: number;
  readonly family: Family;
  readonly space: readonly number[];
  readonly axes: readonly number[];
  readonly anchors: Node[];
  readonly members: Set<Node>;
}

/**
 * Which group computes which node. Nodes without an owner are computed again by each group that reads them; what a
 * group reads from memory are inputs, literals and nodes that another group owns.
 */
export class Grouping {
  readonly groups: Group[] = [];
  readonly owner = new Map<Node, Group>();
  readonly users: ReadonlyMap<Node, readonly Node[]>;
  readonly outputs: ReadonlySet<Node>;
  private readonly leaves = new Map<Node, ReadonlySet<Node>>();
  private nextId = 0;

  constructor(graph: Graph, users: ReadonlyMap<Node, readonly Node[]>, outputs: ReadonlySet<Node>) {
    this.users = users;
    this.outputs = outputs;
    for (const n of graph.nodes) if (isStored(n)) this.leaves.set(n, new Set([n]));
  }

  open(family: Family, space: readonly number[], axes: readonly number[] = []): Group {
    const g: Group = { id: this.nextId++, family, space, axes, anchors: [], members: new Set() };
    this.groups.push(g);
    return g;
  }

  own(group: Group, node: Node): void {
    group.members.add(node);
    if (isAnchor(node)) group.anchors.push(node);
    this.owner.set(node, group);
    // A node computed on the way to another one is stored from now on: what was known of its readers is out of date.
    this.leaves.clear();
  }

  /** The group stores a copy of the node; other groups that read it go on computing it themselves. */
  adopt(group: Group, node: Node): void {
    group.members.add(node);
  }

  /** Moves every member of `from` into `into`. */
  merge(into: Group, from: Group): void {
    for (const n of from.members) {
      into.members.add(n);
      if (this.owner.get(n) === from) this.owner.set(n, into);
    }
    into.anchors.push(...from.anchors);
    this.groups.splice(this.groups.indexOf(from), 1);
    this.leaves.clear();
  }

  /** What reading `node` reads from memory: the node itself where it is stored or owned. */
  leavesOf(node: Node): ReadonlySet<Node> {
    if (isStored(node) || this.owner.has(node)) return new Set([node]);
    const known = this.leaves.get(node);
    if (known) return known;
    const set = new Set<Node>();
    for (const a of node.args) for (const l of this.leavesOf(a)) set.add(l);
    this.leaves.set(node, set);
    return set;
  }

  /** What the group reads from memory with `extra` nodes as members too. */
  inputsOf(group: Group, extra: readonly Node[] = []): Set<Node> {
    const inside = (n: Node): boolean => group.members.has(n) || extra.includes(n);
    const out = new Set<Node>();
    const visit = (n: Node): void => {
      for (const a of n.args) {
        if (inside(a)) continue;
        for (const l of this.leavesOf(a)) if (!inside(l)) out.add(l);
      }
    };
    for (const n of group.members) visit(n);
    for (const n of extra) visit(n);
    return out;
  }

  /** Members that something outside reads, or may read: graph outputs and nodes with a reader that is not a member. */
  storedOf(group: Group, extra: readonly Node[] = []): Set<Node> {
    const inside = (n: Node): boolean => group.members.has(n) || extra.includes(n);
    const out = new Set<Node>();
    for (const n of [...group.members, ...extra]) {
      if (n.results) continue;
      if (this.outputs.has(n) || this.users.get(n)?.some((u) => !inside(u))) out.add(n);
    }
    return out;
  }

  /** Groups whose results the group reads, directly. */
  needs(group: Group): Set<Group> {
    const out = new Set<Group>();
    for (const l of this.inputsOf(group)) {
      const g = this.owner.get(l);
      if (g && g !== group) out.add(g);
    }
    return out;
  }

  /** Does `from` need `target`, directly or through others? */
  dependsOn(from: Group, target: Group, needs: (g: Group) => Set<Group> = (g) => this.needs(g)): boolean {
    const seen = new Set<Group>();
    const stack = [from];
    for (let g = stack.pop(); g; g = stack.pop()) {
      if (g === target) return true;
      if (seen.has(g)) continue;
      seen.add(g);
      stack.push(...needs(g));
    }
    return false;
  }
}

/** Rows of the row family's space: elements with one value each. */
export const rowsOf = (g: { space: readonly number[]; axes: readonly number[] }): number =>
  g.space.reduce((p, d, i) => (g.axes.includes(i) ? p : p * d), 1);

/** The symbolic point of a group's space, and where a member of it is read at that point. */
export function pointOf(g: { space: readonly number[]; axes: readonly number[] }): {
  index: readonly Index[];
  of(node: Node): readonly Index[] | undefined;
} {
  const index = g.space.map((d, i) => variable(`s${i}`, Math.max(0, d - 1)));
  const size = g.space.reduce((p, d) => p * d, 1);
  const linear = ravel(index, g.space);
  const kept = g.space.flatMap((_, i) => (g.axes.includes(i) ? [] : [i]));
  const row = ravel(
    kept.map((i) => index[i] as Index),
    kept.map((i) => g.space[i] as number),
  );
  const rows = rowsOf(g);
  return {
    index,
    of(node) {
      const n = countOf(node);
      if (n === size && !(g.axes.length && n === rows && isAnchor(node))) {
        const same = shapeOf(node).length === g.space.length && shapeOf(node).every((d, i) => d === g.space[i]);
        return same ? index : unravel(linear, shapeOf(node));
      }
      if (g.axes.length && n === rows) return unravel(row, shapeOf(node));
      return undefined;
    },
  };
}

const keyOf = (index: readonly Index[]): string => index.map((e) => e.key).join(",");

/**
 * Can `node`, read at `index`, be computed at the group's current point? It can where every member of the group that it
 * reads, through views and elementwise producers, is read at that same point.
 */
export function readsSamePoint(grouping: Grouping, group: Group, node: Node, index: readonly Index[]): boolean {
  const point = pointOf(group);
  const seen = new Set<string>();
  const visit = (n: Node, at: readonly Index[]): boolean => {
    const owner = grouping.owner.get(n);
    if (owner === group && rowOf(n.op).kind !== "view") {
      const expected = point.of(n);
      return expected !== undefined && keyOf(expected) === keyOf(at);
    }
    if ((owner && owner !== group) || isStored(n)) return true;
    const key = `${n.id}|${keyOf(at)}`;
    if (seen.has(key)) return true;
    seen.add(key);
    if (!owner && ![...grouping.leavesOf(n)].some((l) => group.members.has(l))) return true;
    return readsOf(n, at).every((r) => visit(r.arg, r.index));
  };
  return visit(node, index);
}
