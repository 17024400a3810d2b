import { bytesOf, placeOf } from "../fuse/pull.ts";
import type { Bundle } from "../fuse/region.ts";
import type { Graph, Node } from "../ir/graph.ts";
import { offersOf, packsOf, rootsOf } from "./tensors.ts";

/**
 * An order of bundles of regions in which little is alive at a time: of those that are ready, what frees more than it
 * takes comes first, the others in the order they were given. A list scheduling as in Sethi and Ullman's for registers;
 * the given order is kept where that is no worse. What overwrites a state waits for those that still read it.
 */
export function orderBundles(bundles: readonly Bundle[], graph: Graph): readonly Bundle[] {
  const tasks = tasksOf(bundles, graph);
  const natural = topological(tasks);
  const greedy = leastFirst(tasks);
  const [a, b] = [costOf(tasks, greedy), costOf(tasks, natural)];
  const best = a.peak < b.peak || (a.peak === b.peak && a.sum < b.sum) ? greedy : natural;
  return best.map((i) => bundles[i] as Bundle);
}

/** What a bundle waits for, and what it needs of memory. */
export interface Task {
  /** Tasks that must have run. */
  readonly needs: ReadonlySet<number>;
  readonly reads: readonly Node[];
  /** Scratch tensors written, and their bytes beyond those of an operand that they may replace. */
  readonly writes: readonly Node[];
  readonly over: ReadonlyMap<Node, readonly Node[]>;
}

export function tasksOf(bundles: readonly Bundle[], graph: Graph): readonly Task[] {
  const writer = new Map<Node, number>();
  bundles.forEach((bundle, i) => {
    for (const r of bundle) for (const n of r.outputs) writer.set(n, i);
  });
  const lasting = new Set(packsOf(graph).flatMap(rootsOf));
  const needs = bundles.map(
    (bundle) => new Set(bundle.flatMap((r) => r.inputs.flatMap((n) => rootsOf(n).flatMap((x) => writer.get(x) ?? [])))),
  );
  holdBack(bundles, graph, writer, needs);
  const scratch = (n: Node): boolean => writer.has(n) && !lasting.has(n);
  return bundles.map((bundle, i) => {
    const roots = bundle.map((r) => new Set(r.inputs.map((n) => placeOf(n).root)));
    // Of what another region of the bundle reads nothing may be replaced.
    const alone = (n: Node): boolean => roots.filter((set) => set.has(n)).length === 1;
    const over = bundle.flatMap((r) =>
      [...offersOf(r)].map(([o, list]) => [o, list.map((n) => placeOf(n).root).filter(alone)] as const),
    );
    return {
      needs: needs[i] as Set<number>,
      reads: [...new Set(roots.flatMap((set) => [...set]))].filter(scratch),
      writes: bundle.flatMap((r) => r.outputs).filter(scratch),
      over: new Map(over),
    };
  });
}

/** The tasks with `a` as part of `b`, and nothing to do in its own place. */
export function mergeTasks(tasks: readonly Task[], a: number, b: number): readonly Task[] {
  const [x, y] = [tasks[a] as Task, tasks[b] as Task];
  // Of what the other reads nothing may be replaced.
  const over = (t: Task, other: Task): [Node, readonly Node[]][] =>
    [...t.over].map(([o, list]) => [o, list.filter((n) => !other.reads.includes(n))]);
  const both: Task = {
    needs: new Set([...x.needs, ...y.needs].filter((n) => n !== a && n !== b)),
    reads: [...new Set([...x.reads, ...y.reads])],
    writes: [...x.writes, ...y.writes],
    over: new Map([...over(x, y), ...over(y, x)]),
  };
  const nothing: Task = { needs: new Set(), reads: [], writes: [], over: new Map() };
  return tasks.map((t, i) => {
    if (i === a) return nothing;
    if (i === b) return both;
    return t.needs.has(a) ? { ...t, needs: new Set([...t.needs].map((n) => (n === a ? b : n))) } : t;
  });
}

/** Readers of a state's old value come before what computes the new one, where that closes no cycle. */
function holdBack(
  bundles: readonly Bundle[],
  graph: Graph,
  writer: ReadonlyMap<Node, number>,
  needs: readonly Set<number>[],
): void {
  const states = new Map(graph.inputs.filter((n) => n.attrs.role === "state").map((n) => [n.attrs.name as string, n]));
  const readers = new Map<Node, number[]>();
  bundles.forEach((bundle, i) => {
    const roots = bundle.flatMap((r) => r.inputs.flatMap(rootsOf));
    for (const root of new Set(roots)) readers.set(root, [...(readers.get(root) ?? []), i]);
  });
  const wanted = new Map<number, Set<number>>();
  for (const o of graph.outputs) {
    const state = states.get(o.name);
    if (!state) continue;
    for (const root of rootsOf(o.node)) {
      const w = writer.get(root);
      if (w === undefined) continue;
      const before = wanted.get(w) ?? new Set();
      wanted.set(w, before);
      for (const r of readers.get(state) ?? []) if (r !== w) before.add(r);
    }
  }
  for (const [w, before] of wanted) {
    const after = dependents(w, needs);
    for (const r of before) if (!after.has(r)) (needs[w] as Set<number>).add(r);
  }
}

/** Everything that needs `from`, directly or not. */
function dependents(from: number, needs: readonly ReadonlySet<number>[]): Set<number> {
  const users: number[][] = needs.map(() => []);
  needs.forEach((list, i) => {
    for (const n of list) (users[n] as number[]).push(i);
  });
  const out = new Set<number>();
  const stack = [from];
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    for (const u of users[at] as number[]) {
      if (out.has(u)) continue;
      out.add(u);
      stack.push(u);
    }
  }
  return out;
}

export function topological(tasks: readonly Task[]): number[] {
  const done = new Set<number>();
  const out: number[] = [];
  const visit = (i: number): void => {
    if (done.has(i)) return;
    done.add(i);
    for (const n of [...(tasks[i] as Task).needs].sort((a, b) => a - b)) visit(n);
    out.push(i);
  };
  tasks.forEach((_, i) => {
    visit(i);
  });
  return out;
}

/** What is alive while the tasks run one after the other. */
class Live {
  bytes = 0;
  peak = 0;
  private readonly tasks: readonly Task[];
  private readonly left = new Map<Node, number>();

  constructor(tasks: readonly Task[]) {
    this.tasks = tasks;
    for (const t of tasks) for (const n of t.reads) this.left.set(n, (this.left.get(n) ?? 0) + 1);
  }

  /** Bytes that running the task adds: negative when it frees more than it takes. */
  change(i: number): number {
    const { reads, writes } = this.tasks[i] as Task;
    let sum = 0;
    for (const n of writes) if (this.left.has(n)) sum += bytesOf(n);
    for (const n of reads) if (this.left.get(n) === 1) sum -= bytesOf(n);
    return sum;
  }

  run(i: number): void {
    const { reads, writes, over } = this.tasks[i] as Task;
    const replaced = new Set<Node>();
    let taken = 0;
    for (const o of writes) {
      const under = over.get(o)?.find((n) => !replaced.has(n) && reads.includes(n) && this.left.get(n) === 1);
      if (under) replaced.add(under);
      else taken += bytesOf(o);
    }
    this.peak = Math.max(this.peak, this.bytes + taken);
    this.bytes += this.change(i);
    for (const n of reads) this.left.set(n, (this.left.get(n) as number) - 1);
  }
}

/** The most that is alive at one time, and what is alive summed over time. */
export function costOf(
  tasks: readonly Task[],
  order: readonly number[],
): { readonly peak: number; readonly sum: number } {
  const live = new Live(tasks);
  let sum = 0;
  for (const i of order) {
    live.run(i);
    sum += live.bytes;
  }
  return { peak: live.peak, sum };
}

function leastFirst(tasks: readonly Task[]): number[] {
  const live = new Live(tasks);
  const missing = tasks.map((t) => t.needs.size);
  const users: number[][] = tasks.map(() => []);
  tasks.forEach((t, i) => {
    for (const n of t.needs) (users[n] as number[]).push(i);
  });
  const ready = new Set(tasks.flatMap((_, i) => (missing[i] === 0 ? [i] : [])));
  const out: number[] = [];
  while (ready.size > 0) {
    let best = -1;
    let least = 0;
    for (const i of ready) {
      const change = Math.min(0, live.change(i));
      if (best < 0 || change < least || (change === least && i < best)) [best, least] = [i, change];
    }
    ready.delete(best);
    live.run(best);
    out.push(best);
    for (const u of users[best] as number[]) if (--(missing[u] as number) === 0) ready.add(u);
  }
  return out;
}
