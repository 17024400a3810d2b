import type { Node } from "../ir/graph.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import type { BindingCount } from "./bindings.ts";
import { type Group, type Grouping, rowsOf } from "./groups.ts";
import type { Measured } from "./measured.ts";
import { countOf, permutedFrom, storesOf } from "./pull.ts";

/** `legal` fuses everything that is legal; `profit` also asks whether it moves fewer bytes; `off` makes a kernel of every primitive. */
export type FuseMode = "profit" | "legal" | "off";

export interface Refusal {
  readonly reason: string;
  readonly detail: string;
}

export interface Fuser {
  readonly grouping: Grouping;
  readonly capabilities: Capabilities;
  readonly mode: FuseMode;
  readonly refusals: Map<Node, Refusal>;
  readonly bindings: BindingCount;
  /** Whether kernels may bind any number of buffers, to see what would be stored then. */
  readonly unlimited: boolean;
  /** What is likely to be stored; without it all that has a reader elsewhere so far is taken to be. */
  readonly expected?: ReadonlySet<Node>;
  /** Nodes for which that expectation led to too many bindings. */
  readonly tight?: ReadonlySet<Node>;
  /** Elementwise nodes that no kernel shall store unless it must. */
  readonly again: ReadonlySet<Node>;
  /** Elementwise nodes that did not fit the kernels of what they read. */
  readonly apart?: ReadonlySet<Node>;
  /** Reductions, and what is made of them, that the products that read them compute by themselves. */
  readonly left: ReadonlySet<Node>;
  /** What a tuning table says of fusions. */
  readonly measured?: Measured;
}

export const tooMany = ({ bindings }: Fuser): Refusal => ({
  reason: "bindings",
  detail: `the kernel would bind more than ${bindings.limit} storage buffers`,
});

/** Groups that own something the node reads, latest first. */
export function producerGroups(f: Fuser, n: Node): Group[] {
  const found = new Set<Group>();
  for (const a of n.args) {
    for (const l of f.grouping.leavesOf(a)) {
      for (const g of f.grouping.writersOf(l)) found.add(g);
    }
  }
  return [...found].sort((a, b) => b.id - a.id);
}

/** Would joining close a cycle: does anything else the node reads need the group? */
export function closesCycle(f: Fuser, g: Group, n: Node): boolean {
  return producerGroups(f, n).some((h) => h !== g && f.grouping.dependsOn(h, g));
}

export function overLimit(f: Fuser, g: Group, extra: readonly Node[]): boolean {
  const { bindings, grouping, tight } = f;
  if (f.unlimited) return false;
  const careful = tight !== undefined && extra.some((n) => tight.has(n));
  const expected = careful ? undefined : f.expected;
  const outputs = grouping.storedOf(g, extra, expected);
  return bindings.exceeds(g, [...g.members, ...extra], grouping.inputsOf(g, extra), outputs);
}

/** Does the group bind more with `n`? One that binds too much is cut later, and had better have its epilogue until then. */
export function bindsMore({ bindings, grouping, expected }: Fuser, g: Group, n: Node): boolean {
  const count = (extra: readonly Node[]): number =>
    bindings.apart(grouping.inputsOf(g, extra), grouping.storedOf(g, extra, expected));
  return count([n]) > count([]);
}

/** Without shader-f16 every invocation must write whole words: two neighbouring elements of a row. */
export function canStoreHalf(f: Fuser, g: Group, n: Node): boolean {
  if (n.type.dtype !== "f16" || f.capabilities.features.f16) return true;
  if (permutesHalves(f, [n, ...g.members])) return false;
  if (g.family === "pointwise") return true;
  const inner = g.space[g.space.length - 1] ?? 1;
  if (g.family === "contraction" || g.family === "attention") return inner % 2 === 0;
  if (g.family !== "row" || countOf(n) !== g.space.reduce((p, d) => p * d, 1)) return false;
  const cols = countOf(n) / Math.max(1, rowsOf(g));
  const trailing = g.axes.length > 0 && (g.axes[0] as number) === g.space.length - g.axes.length;
  return trailing ? cols % 2 === 0 : inner % 4 === 0 && !g.axes.includes(g.space.length - 1);
}

/** Would a kernel with these members write halves to the places of a permutation, where neighbours do not share a word? */
export function permutesHalves(f: Fuser, members: readonly Node[]): boolean {
  if (f.capabilities.features.f16) return false;
  return members.some((m) => {
    const below = m.type.dtype === "f16" ? permutedFrom(m) : m;
    return below !== m && members.includes(below);
  });
}

/**
 * Is the node computed from the result of a kernel that also reads it on the way to something else? Then that kernel
 * must go on computing it: reading it from another kernel would close a cycle.
 */
export function feedsItself(f: Fuser, n: Node): boolean {
  const readers = [...f.grouping.readersOf(n)];
  return producerGroups(f, n).some((p) => readers.some((r) => f.grouping.dependsOn(p, r)));
}

/** Members that some other group reads, or that are graph outputs; with `together` these groups count as one. */
export function storedSet(grouping: Grouping, together: readonly Group[] = []): Set<Node> {
  const out = new Set<Node>();
  for (const g of grouping.groups) {
    for (const l of grouping.inputsOf(g)) {
      const own = grouping.owner.get(l);
      if (own && together.includes(own) && together.includes(g)) continue;
      if (own) out.add(l);
      else for (const n of storesOf(l)) if (grouping.owner.has(n)) out.add(n);
    }
    for (const m of g.members) if (grouping.outputs.has(m)) out.add(m);
  }
  return out;
}

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

export type Rows = { readonly space: readonly number[]; readonly axes: readonly number[] };

export const trailing = (g: Rows): boolean => g.axes.length > 0 && g.axes[0] === g.space.length - g.axes.length;

export function sameRows(g: Rows, h: Rows): boolean {
  if (sameShape(g.space, h.space) && sameShape(g.axes, h.axes)) return true;
  const size = (s: Rows): number => s.space.reduce((p, d) => p * d, 1);
  return trailing(g) && trailing(h) && rowsOf(g) === rowsOf(h) && size(g) === size(h);
}
