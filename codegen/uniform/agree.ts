import type { Agreement } from "../../src/fuse/region.ts";
import type { Decide } from "../../src/passes/split-reductions.ts";
import type { Kernel } from "../../src/wgsl/kernel.ts";
import type { PointStep } from "./regions.ts";

/** What schedules for the sizes of the hints are like, by the key of each choice. */
type Schedule = Map<string, unknown>;

/** Answers of one writer in the order of its questions: the first ones as agreed, the others for its own sizes. */
class Attempt implements Agreement {
  readonly answers: number[] = [];
  readonly #agreed: readonly number[];
  readonly #schedule: Schedule;
  constructor(agreed: readonly number[], schedule: Schedule) {
    this.#agreed = agreed;
    this.#schedule = schedule;
  }
  always(holds: boolean): boolean {
    return this.least(Number(holds)) === 1;
  }
  least(n: number): number {
    const answer = this.#agreed[this.answers.length] ?? n;
    this.answers.push(answer);
    return answer;
  }
  settled<T>(key: string, value: T): T {
    if (!this.#schedule.has(key)) this.#schedule.set(key, value);
    return this.#schedule.get(key) as T;
  }
}

/** Every writer decides for itself. */
export const alone = (): Agreement => new Attempt([], new Map());

/** The choices of a kernel's schedule at the sizes that it is for. */
export function scheduleOf(step: PointStep): Schedule {
  const schedule: Schedule = new Map();
  step.write(new Attempt([], schedule));
  return schedule;
}

/**
 * One kernel at several sizes, in one structure as far as that can be: where writers would go different ways because of
 * how their sizes divide, all go the way that is right for each of them.
 */
export function agreedKernels(steps: readonly PointStep[], schedule: Schedule): Kernel[] {
  const agreed: number[] = [];
  const write = (step: PointStep) => {
    const attempt = new Attempt(agreed, schedule);
    return { kernel: step.write(attempt), answers: attempt.answers };
  };
  let written = steps.map(write);
  for (;;) {
    const shared = Math.min(...written.map((w) => w.answers.length));
    const all = Array.from({ length: shared }, (_, i) => Math.min(...written.map((w) => w.answers[i] as number)));
    const at = all.findIndex((least, i) => written.some((w) => w.answers[i] !== least));
    if (at < 0) return written.map((w) => w.kernel);
    agreed.splice(0, agreed.length, ...all.slice(0, at + 1));
    // Those that answered so by themselves wrote what they would write again.
    written = written.map((w, i) => (w.answers[at] === all[at] ? w : write(steps[i] as PointStep)));
  }
}

/** Takes decisions as sizes suggest, and notes them. */
export const noting =
  (notes: unknown[]): Decide =>
  (suggested) => {
    notes.push(suggested);
    return suggested;
  };

/** Takes them as they were noted. */
export function following(notes: readonly unknown[]): Decide {
  let next = 0;
  return <T>(suggested: T): T => (next < notes.length ? (notes[next++] as T) : suggested);
}
