/** Attention over one head, in f64. Operands as they lie in memory: [positions, depth]. */
export interface Head {
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
  readonly dout: ArrayLike<number>;
  readonly positions: number;
  readonly depth: number;
  readonly causal: boolean;
}

const dot = (a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, depth: number): number => {
  let sum = 0;
  for (let d = 0; d < depth; d++) sum += (a[i * depth + d] as number) * (b[j * depth + d] as number);
  return sum;
};

interface Row {
  readonly weights: Float64Array;
  /** Gradients of the scores. */
  readonly changes: Float64Array;
}

/** The weights of a query and the gradients of its scores. */
function rowOf(h: Head, row: number): Row {
  const { depth } = h;
  const end = h.causal ? row + 1 : h.positions;
  const scores = Float64Array.from({ length: end }, (_, j) => dot(h.q, row, h.k, j, depth) / Math.sqrt(depth));
  const most = scores.reduce((a, b) => Math.max(a, b));
  const raised = scores.map((s) => Math.exp(s - most));
  const total = raised.reduce((a, b) => a + b);
  const weights = raised.map((w) => w / total);
  const given = weights.map((_, j) => dot(h.dout, row, h.v, j, depth));
  const delta = weights.reduce((sum, w, j) => sum + w * (given[j] as number), 0);
  return { weights, changes: weights.map((w, j) => w * ((given[j] as number) - delta)) };
}

/** Adds up `factor(j)` times rows of x. */
function mix(x: ArrayLike<number>, depth: number, from: number, to: number, factor: (j: number) => number): number[] {
  const out = new Array<number>(depth).fill(0);
  for (let j = from; j < to; j++) {
    const f = factor(j);
    for (let d = 0; d < depth; d++) out[d] = (out[d] as number) + f * (x[j * depth + d] as number);
  }
  return out;
}

/** A row of attention's result, and of its gradient by q. */
export function queryRow(h: Head, row: number): { readonly out: number[]; readonly q: number[] } {
  const { weights, changes } = rowOf(h, row);
  const by = 1 / Math.sqrt(h.depth);
  return {
    out: mix(h.v, h.depth, 0, weights.length, (j) => weights[j] as number),
    q: mix(h.k, h.depth, 0, weights.length, (j) => by * (changes[j] as number)),
  };
}

/** Rows of the gradients by k and v. */
export function keyRow(h: Head, key: number): { readonly k: number[]; readonly v: number[] } {
  const first = h.causal ? key : 0;
  const rows = Array.from({ length: h.positions - first }, (_, i) => rowOf(h, first + i));
  const by = 1 / Math.sqrt(h.depth);
  return {
    k: mix(h.q, h.depth, first, h.positions, (i) => by * (rows[i - first]?.changes[key] as number)),
    v: mix(h.dout, h.depth, first, h.positions, (i) => rows[i - first]?.weights[key] as number),
  };
}
