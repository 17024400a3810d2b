import { add, type Index, int, scale, variable } from "../ir/index-expr.ts";
import { always } from "./agree.ts";
import type { RowWriter } from "./row-parts.ts";

/** Elements of a row that a GPU's invocations keep in registers where some have a step more than others. */
const widest = 8192;
/** Steps of an invocation that are written out. */
const mostSteps = 8;

/**
 * Few enough steps an invocation to write them out: what a row's first pass loads then stays in registers for the next. On a GPU some
 * invocations may have one more, where the row is not gone through in one pass anyway.
 */
export const unrolled = ({ s, frame, uneven }: RowWriter, steps: number): boolean => {
  const { capabilities, region } = frame;
  const along = uneven && s.contiguous && s.threads > 1 && steps > s.threads && s.cols <= widest;
  if (along && !capabilities.software && !region.uniform) return steps / s.threads < mostSteps + 1;
  return always(region, steps % s.threads === 0 && steps / s.threads <= (s.threads === 1 ? 4 : mostSteps));
};

/** The invocation's steps of a row that is written out, each in `body`: those that all have, and one that some have. */
export function eachOwnStep(w: RowWriter, steps: number, body: (step: Index) => void): void {
  const { e } = w.frame;
  const { threads } = w.s;
  const whole = Math.floor(steps / threads);
  for (let j = 0; j < whole; j++) body(add(w.thread, int(j * threads)));
  if (steps === whole * threads) return;
  e.open(`if (thread < ${steps - whole * threads}u) {`);
  const last = e.index(e.fresh("c"), steps - 1, `thread + ${whole * threads}u`, whole * threads);
  body(last);
  e.close();
}

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
