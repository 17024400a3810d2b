import type { Node } from "../ir/graph.ts";
import { add, type Index, int } from "../ir/index-expr.ts";
import { elements, type Value } from "./emitter.ts";
import { indexFor } from "./kernel.ts";
import { type Online, OnlineState, power } from "./row-online.ts";
import { colAt, outputsOf, provideResults, type RowWriter, spaceIndex } from "./row-parts.ts";
import { eachStep } from "./row-steps.ts";

/** Powers that an invocation keeps in registers between the pass that adds them up and the one that stores outputs: with 1024 invocations it has 64 registers. */
const mostHeld = 48;
/** Of these, as many are made at a time: loads of the next ones are under way meanwhile. */
const batch = 16;

/** Powers of each invocation's first steps, which stay in registers for the outputs. */
export interface Held {
  readonly steps: number;
  /** Until the next call, outputs are those of this step; without one, of a step whose powers are computed again. */
  at(step: number | undefined): void;
}

/**
 * A row's maximum and the sums that depend on it, in one pass. Where outputs read the row through the powers alone, those of the first steps are kept for
 * them: fewer are computed twice, and less of the row is read twice.
 */
export function reduceOnline(w: RowWriter, online: Online): void {
  const { e, region } = w.frame;
  const { colWidth, cols, threads } = w.s;
  e.width = colWidth;
  const read = (n: Node, col: Index): Value => e.value(n, indexFor(online.x, spaceIndex(w, col), region.space));
  const values = (list: readonly Index[]): Value[] => {
    e.width = colWidth;
    return list.map((step) => read(online.x, colAt(step, colWidth)));
  };
  const state = new OnlineState(online, w, colWidth, read);
  const whole = Math.min(Math.floor(cols / colWidth / threads), mostHeld / colWidth);
  const steps = readsPowersAlone(w, online, outputsOf(w).full) ? whole : 0;
  const first = values(Array.from({ length: steps }, (_, j) => add(w.thread, int(j * threads))));
  const by = Math.max(1, batch / colWidth);
  const taken = Array.from({ length: Math.ceil(steps / by) }, (_, i) => state.take(first.slice(i * by, (i + 1) * by)));
  eachStep(w, cols / colWidth, (list) => state.take(values(list)), steps);
  const { results, factor } = state.finish(w);
  for (const [n, v] of results) provideResults(w, n, [v]);
  const held = taken.flatMap(({ powers, base }) => {
    const f = factor(base);
    return powers.map((p) => `${p} * ${f}`);
  });
  w.held = providePowers(w, online, held);
}

/** What outputs read of the powers: those that are held, others computed again. */
function providePowers({ frame: { e } }: RowWriter, { sums }: Online, held: readonly string[]): Held {
  let now: number | undefined;
  for (const { power: exp } of sums) {
    if (!exp) continue;
    e.provide(exp, (index) => {
      if (now !== undefined) return e.let(held[now] as string, e.width, "f32");
      const { text, width } = e.value(exp.args[0] as Node, index);
      return power(e, text, width);
    });
  }
  return {
    steps: held.length,
    at(step) {
      now = step;
    },
  };
}

/** Do the outputs read a row, after its reductions, through the powers alone? Then it need not be kept with them. */
function readsPowersAlone({ frame, done }: RowWriter, online: Online, outputs: readonly Node[]): boolean {
  const inputs = new Set(frame.region.inputs);
  const powers = online.sums.flatMap((s) => s.power ?? []);
  const known = new Set<Node>([online.max, ...online.sums.map((s) => s.node), ...powers, ...done]);
  const below = (n: Node, past: ReadonlySet<Node>, seen = new Set<Node>()): Set<Node> => {
    if (seen.has(n)) return seen;
    seen.add(n);
    if (!inputs.has(n) && !past.has(n)) for (const a of n.args) below(a, past, seen);
    return seen;
  };
  const rows = [...below(online.x, new Set())].filter((n) => inputs.has(n) && elements(n) === elements(online.x));
  const read = new Set(outputs.flatMap((o) => [...below(o, known)]));
  return powers.some((n) => read.has(n)) && !rows.some((n) => read.has(n));
}
