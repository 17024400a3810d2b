/** Something to time: `once` starts it, `settle` resolves when everything started is done. */
export interface Contender {
  readonly label: string;
  once(): Promise<unknown>;
  settle(): Promise<unknown>;
}

/** Times of two ways of doing one thing, in milliseconds each time it is done. */
export interface Comparison {
  readonly a: { readonly label: string; readonly median_ms: number };
  readonly b: { readonly label: string; readonly median_ms: number };
  /** How many times faster A is: B's median over A's. */
  readonly ratio: number;
  /** Smallest and largest ratio of the pairs. */
  readonly spread: readonly [number, number];
  readonly pairs: number;
}

export interface MeasureOptions {
  /** Pairs of samples. */
  readonly pairs?: number;
  /** A sample repeats its contender until it lasts about this long. */
  readonly sampleMs?: number;
}

/**
 * Times A and B in turns, so that whatever slows the machine slows both. Each sample does the thing several times and
 * waits once, so that the wait does not hide short work.
 */
export async function compare(a: Contender, b: Contender, options: MeasureOptions = {}): Promise<Comparison> {
  const { pairs = 5, sampleMs = 150 } = options;
  const repeats = [await calibrate(a, sampleMs), await calibrate(b, sampleMs)] as const;
  const times: { a: number; b: number }[] = [];
  for (let i = 0; i < pairs; i++) {
    // The second of a pair may find warmer caches: take turns at being second.
    const first = i % 2 === 0;
    const early = first ? await sample(a, repeats[0]) : await sample(b, repeats[1]);
    const late = first ? await sample(b, repeats[1]) : await sample(a, repeats[0]);
    times.push(first ? { a: early, b: late } : { a: late, b: early });
  }
  const [ta, tb] = [median(times.map((t) => t.a)), median(times.map((t) => t.b))];
  const ratios = times.map((t) => t.b / t.a);
  return {
    a: { label: a.label, median_ms: ta },
    b: { label: b.label, median_ms: tb },
    ratio: tb / ta,
    spread: [Math.min(...ratios), Math.max(...ratios)],
    pairs,
  };
}

/** What was started and is not waited for holds memory. */
const mostRepeats = 512;

/** Repeats that make a sample of about `sampleMs`; the first call, which may compile or allocate, does not count. */
async function calibrate(c: Contender, sampleMs: number): Promise<number> {
  await sample(c, 1);
  for (let n = 1; ; ) {
    const each = await sample(c, n);
    if (each * n >= sampleMs / 4 || n >= mostRepeats)
      return Math.max(1, Math.min(mostRepeats, Math.round(sampleMs / each)));
    n = Math.min(mostRepeats, n * 4);
  }
}

async function sample(c: Contender, repeats: number): Promise<number> {
  const started = performance.now();
  for (let i = 0; i < repeats; i++) await c.once();
  await c.settle();
  return (performance.now() - started) / repeats;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  const middle = sorted.length >> 1;
  const high = sorted[middle] as number;
  return sorted.length % 2 ? high : ((sorted[middle - 1] as number) + high) / 2;
}

/** Numbers in [-1, 1) that do not repeat soon, the same on every run. */
export function noise(count: number, seed = 1): Float32Array {
  const out = new Float32Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    out[i] = state / 2 ** 31;
  }
  return out;
}
