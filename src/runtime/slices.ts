import type { Step } from "./storage.ts";

/** What a dispatch is thought to take, in milliseconds. */
const expected = new WeakMap<Step, number>();

/** Dispatches of a slice whose times nobody knows yet. */
const firstGuess = 4;

/**
 * Divides dispatches into slices that should take at most `maxMs` each, by what they took before. A dispatch is never divided.
 * There is always one slice, and each is made when it is asked for: what is learned from one counts for the next.
 */
export function* slices(steps: readonly Step[], maxMs: number): Generator<readonly Step[]> {
  let slice: Step[] = [];
  let ms = 0;
  for (const step of steps) {
    const more = expected.get(step) ?? maxMs / firstGuess;
    if (slice.length > 0 && ms + more > maxMs) {
      yield slice;
      slice = [];
      ms = 0;
    }
    slice.push(step);
    ms += more;
  }
  yield slice;
}

/** What a slice took, waiting for it included: shared by dispatches that are new, else taken half into account by all. */
export function learn(slice: readonly Step[], ms: number): void {
  const known = slice.reduce((sum, s) => sum + (expected.get(s) ?? 0), 0);
  const unknown = slice.filter((s) => !expected.has(s));
  for (const s of unknown) expected.set(s, Math.max(0, ms - known) / unknown.length);
  if (unknown.length > 0) return;
  for (const s of slice) {
    const now = known > 0 ? ((expected.get(s) as number) * ms) / known : ms / slice.length;
    expected.set(s, ((expected.get(s) as number) + now) / 2);
  }
}
