import { add, type Index, int, scale, variable } from "../ir/index-expr.ts";
import { always } from "./agree.ts";
import type { RowWriter } from "./row-parts.ts";

/** Few enough steps an invocation to write them out: what a row's first pass loads then stays in registers for the next. */
export const unrolled = ({ s, frame }: RowWriter, steps: number): boolean =>
  always(frame.region, steps % s.threads === 0 && steps / s.threads <= (s.threads === 1 ? 4 : 8));

/** The invocation's steps of a row that is written out. */
export const ownSteps = (w: RowWriter, steps: number): Index[] =>
  Array.from({ length: steps / w.s.threads }, (_, j) => add(w.thread, int(j * w.s.threads)));

/** Steps whose loads a GPU has under way at a time. */
const ahead = 4;

/**
 * The invocation's steps of a row in a loop: several at a time where there are enough, then those that are left one by one. `from`:
 * the number of the first.
 */
export function eachStep(w: RowWriter, steps: number, body: (list: readonly Index[]) => void, from = 0): void {
  const { e, capabilities, region } = w.frame;
  const { threads } = w.s;
  const by = capabilities.software || region.uniform ? 1 : ahead;
  const first = from * threads;
  const whole = by > 1 ? Math.floor((steps - first) / threads / by) : 0;
  if (whole > 0) {
    const o = e.fresh("o");
    e.open(`for (var ${o} = 0u; ${o} < ${whole}u; ${o}++) {`, [o]);
    const base = add(scale(variable(o, whole - 1), by * threads), w.thread);
    body(Array.from({ length: by }, (_, j) => add(base, int(first + j * threads))));
    e.close();
  }
  const done = first + whole * by * threads;
  if (done > 0 && done === steps) return;
  const c = e.fresh("c");
  e.open(
    `for (var ${c} = ${done ? `${done}u + thread` : "thread"}; ${c} < ${w.frame.end(steps)}; ${c} += ${threads}u) {`,
    [c],
  );
  body([variable(c, steps - 1)]);
  e.close();
}
