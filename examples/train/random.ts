/** Uniform numbers in [0, 1) by splitmix32, a function of the seeds alone. */
function generator(...seeds: readonly number[]): () => number {
  let state = 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return (x ^ (x >>> 15)) >>> 0;
  };
  for (const seed of seeds) state = (next() ^ seed) | 0;
  return () => next() / 2 ** 32;
}

/** The numbers from 0 to n - 1 in an order drawn from the seeds (Fisher and Yates' shuffle). */
export function shuffled(n: number, ...seeds: readonly number[]): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const random = generator(...seeds);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}
