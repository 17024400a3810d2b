import { PerformanceObserver } from "node:perf_hooks";
import { median } from "./measure.ts";

/** Something that trains, to be timed. */
export interface Racer {
  /** Runs a step and waits for its loss. */
  synced(): Promise<number>;
  /** Submits this many steps and waits once. */
  pipelined(steps: number): Promise<void>;
}

/** Times of a racer, in milliseconds a step. */
export interface StepTimes {
  readonly losses: readonly number[];
  readonly median_ms: number;
  readonly min_ms: number;
  readonly pipelined_ms: number;
}

/**
 * Times racers over the same steps. With several they take turns at every step, so that whatever slows the machine
 * slows all; the first step of each, which `first` has timed already, counts among the losses only.
 */
export async function race(racers: readonly Racer[], first: readonly number[], steps: number): Promise<StepTimes[]> {
  const losses = first.map((loss) => [loss]);
  const times: number[][] = racers.map(() => []);
  for (let i = 1; i < Math.max(steps, 2); i++) {
    for (const [r, racer] of inTurn(racers, i)) {
      const [loss, ms] = await timed(() => racer.synced());
      if (i < steps) losses[r]?.push(loss);
      times[r]?.push(ms);
    }
  }
  const rounds = racers.length > 1 ? 3 : 1;
  const piped: number[][] = racers.map(() => []);
  for (let i = 0; i < rounds; i++) {
    for (const [r, racer] of inTurn(racers, i)) {
      const [, ms] = await timed(() => racer.pipelined(steps));
      piped[r]?.push(ms / steps);
    }
  }
  return racers.map((_, r) => ({
    losses: losses[r] as number[],
    median_ms: median(times[r] as number[]),
    min_ms: Math.min(...(times[r] as number[])),
    pipelined_ms: median(piped[r] as number[]),
  }));
}

/** What steps cost on the CPU. */
export interface Overheads {
  /** Until a step is encoded and submitted: median. */
  readonly encode_ms: number;
  /** JavaScript heap allocated a step: median. */
  readonly heap_bytes: number;
  /** Garbage collection, of the time of all steps. */
  readonly gc_share: number;
}

/** Measures steps that are submitted one after the other, `atATime` before each wait. */
export async function overheads(
  step: () => Promise<unknown>,
  settle: () => Promise<unknown>,
  steps: number,
  atATime = 4,
): Promise<Overheads> {
  const encode: number[] = [];
  const heap: number[] = [];
  let gc = 0;
  const observer = new PerformanceObserver((list) => {
    for (const e of list.getEntries()) gc += e.duration;
  });
  observer.observe({ entryTypes: ["gc"] });
  await settle();
  const began = performance.now();
  for (let i = 0; i < steps; i++) {
    const before = process.memoryUsage().heapUsed;
    const at = performance.now();
    const started = step();
    encode.push(performance.now() - at);
    await started;
    const used = process.memoryUsage().heapUsed - before;
    // Less than before: a collection came in between.
    if (used >= 0) heap.push(used);
    if (i % atATime === atATime - 1) await settle();
  }
  await settle();
  const elapsed = performance.now() - began;
  // Entries of collections come later.
  await new Promise((resolve) => setTimeout(resolve, 10));
  observer.disconnect();
  return { encode_ms: median(encode), heap_bytes: heap.length ? median(heap) : Number.NaN, gc_share: gc / elapsed };
}

/** The second of a pair may find warmer caches: they take turns at being second. */
const inTurn = (racers: readonly Racer[], round: number): (readonly [number, Racer])[] => {
  const order = racers.map((racer, r) => [r, racer] as const);
  return round % 2 ? order.reverse() : order;
};

export async function timed<T>(body: () => Promise<T>): Promise<[T, number]> {
  const started = performance.now();
  const value = await body();
  return [value, performance.now() - started];
}

/** The largest relative difference of numbers from those they should be, over as many as both have; NaN when one is NaN. */
export function relativeDifference(values: readonly number[], expected: readonly number[]): number {
  const differences = expected.slice(0, values.length).map((e, i) => Math.abs((values[i] as number) - e) / Math.abs(e));
  return differences.some(Number.isNaN) ? Number.NaN : Math.max(0, ...differences);
}
