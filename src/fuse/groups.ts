import type { Node } from "../ir/graph.ts";
import { type Index, ravel, unravel, variable } from "../ir/index-expr.ts";
import { rowOf } from "../ir/ops.ts";
import { countOf, isAnchor, isRange, isStored, placeOf, readsOf, shapeOf, storesOf } from "./pull.ts";
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
 *
 * What follows from it (leaves, inputs, which group needs which) is kept up to date with every change, so that asking
 * costs little: a graph of a thousand nodes asks many thousand times.
 */
export class Grouping {
  readonly groups: Group[] = [];
  readonly owner = new Map<Node, Group>();
  readonly users: ReadonlyMap<Node, readonly Node[]>;
  readonly outputs: ReadonlySet<Node>;
  /** Which group stores a node: its owner, or one that stores a copy. */
  private readonly writer = new Map<Node, Group>();
  private readonly leaves = new Map<Node, ReadonlySet<Node>>();
  private readonly inputs = new Map<Group, ReadonlySet<Node>>();
  /** Groups that each group needs, directly or through others: one bit for each group's number. */
  private readonly needed = new Map<Group, bigint>();
  private readonly position: ReadonlyMap<Node, number>;
  /** Nodes after this position are in no group yet: nothing is asked about them. */
  private frontier = -1;
  private nextId = 0;

  /** `nodes` in topological order: they are to be placed in this order. */
  constructor(nodes: readonly Node[], users: ReadonlyMap<Node, readonly Node[]>, outputs: ReadonlySet<Node>) {
    this.users = users;
    this.outputs = outputs;
    this.position = new Map(nodes.map((n, i) => [n, i]));
  }

  /** Nodes up to this one may be in groups from now on. */
  advance(node: Node): void {
    this.frontier = this.position.get(node) as number;
  }

  open(family: Family, space: readonly number[], axes: readonly number[] = []): Group {
    const g: Group = { id: this.nextId++, family, space, axes, anchors: [], members: new Set() };
    this.groups.push(g);
    this.needed.set(g, 0n);
    return g;
  }

  own(group: Group, node: Node): void {
    group.members.add(node);
    if (isAnchor(node)) group.anchors.push(node);
    this.owner.set(node, group);
    this.writer.set(node, group);
    // Who computed the node on the way to another one reads it from memory from now on.
    this.leaves.delete(node);
    const readers = this.readersOf(node, (n) => this.leaves.delete(n));
    for (const r of [group, ...readers]) this.inputs.delete(r);
    this.reads(group, node);
    for (const r of readers) this.nowNeeds(r, [group]);
  }

  /** The group stores a copy of the node; other groups that read it go on computing it themselves. */
  adopt(group: Group, node: Node): void {
    group.members.add(node);
    this.writer.set(node, group);
    this.inputs.delete(group);
    this.reads(group, node);
  }

  /** Moves every member of `from` into `into`. */
  merge(into: Group, from: Group): void {
    for (const n of from.members) {
      into.members.add(n);
      if (this.owner.get(n) === from) this.owner.set(n, into);
      if (this.writer.get(n) === from) this.writer.set(n, into);
    }
    into.anchors.push(...from.anchors);
    this.groups.splice(this.groups.indexOf(from), 1);
    for (const g of [into, from]) this.inputs.delete(g);
    const both = this.neededBy(into) | this.neededBy(from);
    const bits = bitOf(into) | bitOf(from);
    for (const g of this.groups) {
      if (g === into || (this.neededBy(g) & bits) !== 0n) this.needed.set(g, this.neededBy(g) | both | bitOf(into));
    }
    this.needed.set(into, both & ~bits);
  }

  private neededBy(group: Group): bigint {
    return this.needed.get(group) as bigint;
  }

  private reads(group: Group, node: Node): void {
    for (const a of node.args) for (const l of this.leavesOf(a)) this.nowNeeds(group, this.writersOf(l));
  }

  private nowNeeds(group: Group, writers: readonly Group[]): void {
    let more = 0n;
    for (const w of writers) if (w !== group) more |= bitOf(w) | this.neededBy(w);
    if ((this.neededBy(group) | more) === this.neededBy(group)) return;
    more |= this.neededBy(group);
    for (const g of this.groups) {
      if (g === group || (this.neededBy(g) & bitOf(group)) !== 0n) this.needed.set(g, this.neededBy(g) | more);
    }
  }

  /** Does some group store the node? */
  writes(node: Node): boolean {
    return this.writer.has(node);
  }

  /** Groups that read the node, or compute it on the way to a member. `through` gets the nodes on the way. */
  readersOf(node: Node, through?: (n: Node) => void): Set<Group> {
    const out = new Set<Group>();
    const seen = new Set<Node>();
    const visit = (n: Node): void => {
      for (const u of this.users.get(n) ?? []) {
        if (seen.has(u) || (this.position.get(u) ?? 0) > this.frontier) continue;
        seen.add(u);
        const g = this.writer.get(u);
        if (g) out.add(g);
        if (this.owner.has(u)) continue;
        through?.(u);
        visit(u);
      }
    };
    visit(node);
    return out;
  }

  /** Is reading the node a load: is it stored, owned, or a range of what is owned? */
  inMemory(node: Node): boolean {
    return this.owner.has(node) || isStored(node) || (isRange(node) && this.owner.has(placeOf(node).root));
  }

  /** Groups that must have run before a node in memory can be read. */
  writersOf(leaf: Node): readonly Group[] {
    const own = this.owner.get(leaf);
    if (own) return [own];
    return storesOf(leaf).flatMap((n) => this.writer.get(n) ?? []);
  }

  /** Is a node that is computed where it is read computed from what the group stores? */
  comesFrom(node: Node, group: Group): boolean {
    for (const l of this.leavesOf(node)) if (this.writersOf(l).includes(group)) return true;
    return false;
  }

  /** What reading `node` reads from memory: the node itself where it is there. */
  leavesOf(node: Node): ReadonlySet<Node> {
    const known = this.leaves.get(node);
    if (known) return known;
    const set = new Set<Node>();
    if (this.inMemory(node)) set.add(node);
    else for (const a of node.args) for (const l of this.leavesOf(a)) set.add(l);
    this.leaves.set(node, set);
    return set;
  }

  /** What the group reads from memory with `extra` nodes as members too. */
  inputsOf(group: Group, extra: readonly Node[] = []): ReadonlySet<Node> {
    let known = this.inputs.get(group);
    if (!known) {
      known = this.readFrom(group.members, (n) => group.members.has(n));
      this.inputs.set(group, known);
    }
    if (extra.length === 0) return known;
    const inside = (n: Node): boolean => group.members.has(n) || extra.includes(n);
    const out = this.readFrom(extra, inside);
    for (const l of known) if (!inside(l)) out.add(l);
    return out;
  }

  private readFrom(members: Iterable<Node>, inside: (n: Node) => boolean): Set<Node> {
    const out = new Set<Node>();
    for (const n of members) {
      for (const a of n.args) {
        if (inside(a)) continue;
        for (const l of this.leavesOf(a)) if (!inside(l)) out.add(l);
      }
    }
    return out;
  }

  /**
   * Members that must be stored, are `expected` to be, or are read by another group already. Without an expectation, all
   * that have a reader that is not a member yet.
   */
  storedOf(group: Group, extra: readonly Node[], expected: ReadonlySet<Node> | undefined): Set<Node> {
    const outside = (u: Node): boolean => {
      if (group.members.has(u) || extra.includes(u)) return false;
      return expected === undefined || this.owner.has(u);
    };
    const out = new Set<Node>();
    for (const n of [...group.members, ...extra]) {
      if (n.results) continue;
      if (this.outputs.has(n) || expected?.has(n) || this.users.get(n)?.some(outside)) out.add(n);
    }
    return out;
  }

  /** Groups whose results the group reads, directly. */
  needs(group: Group): Set<Group> {
    const out = new Set<Group>();
    for (const l of this.inputsOf(group)) {
      for (const g of this.writersOf(l)) if (g !== group) out.add(g);
    }
    return out;
  }

  /** Does `from` need `target`, directly or through others? */
  dependsOn(from: Group, target: Group): boolean {
    return from === target || (this.neededBy(from) & bitOf(target)) !== 0n;
  }
}

const bitOf = (g: Group): bigint => 1n << BigInt(g.id);

/** Rows of the row family's space: elements with one value each. */
export const rowsOf = (g: { space: readonly number[]; axes: readonly number[] }): number =>
  g.space.reduce((p, d, i) => (g.axes.includes(i) ? p : p * d), 1);

interface Space {
  readonly space: readonly number[];
  readonly axes: readonly number[];
}

/** The symbolic point of a space, and where a member of a group over it is read at that point. */
export interface Point {
  readonly index: readonly Index[];
  of(node: Node): readonly Index[] | undefined;
}

const points = new WeakMap<Space, Point>();

/** The symbolic point of a group's or region's space. */
export function pointOf(g: Space): Point {
  const known = points.get(g) ?? makePoint(g);
  points.set(g, known);
  return known;
}

function makePoint(g: Space): Point {
  const index = g.space.map((d, i) => variable(`s${i}`, Math.max(0, d - 1)));
  const size = g.space.reduce((p, d) => p * d, 1);
  const linear = ravel(index, g.space);
  const kept = g.space.flatMap((_, i) => (g.axes.includes(i) ? [] : [i]));
  const row = ravel(
    kept.map((i) => index[i] as Index),
    kept.map((i) => g.space[i] as number),
  );
  const rows = rowsOf(g);
  const byShape = new Map<string, readonly Index[]>();
  const inShape = (what: string, offset: Index, shape: readonly number[]): readonly Index[] => {
    const key = `${what}${shape}`;
    const at = byShape.get(key) ?? unravel(offset, shape);
    byShape.set(key, at);
    return at;
  };
  return {
    index,
    of(node) {
      const n = countOf(node);
      if (n === size && !(g.axes.length && n === rows && isAnchor(node))) {
        const same = shapeOf(node).length === g.space.length && shapeOf(node).every((d, i) => d === g.space[i]);
        return same ? index : inShape("all ", linear, shapeOf(node));
      }
      if (g.axes.length && n === rows) return inShape("row ", row, shapeOf(node));
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
    // A range or a pack of the group's own results is complete only when the group has run.
    if (owner !== group && grouping.inMemory(n)) return !grouping.writersOf(n).includes(group);
    if (!owner && !grouping.comesFrom(n, group)) return true;
    const key = `${n.id}|${keyOf(at)}`;
    if (seen.has(key)) return true;
    seen.add(key);
    return readsOf(n, at).every((r) => visit(r.arg, r.index));
  };
  return visit(node, index);
}
