import * as k from "../../../kernels/attention.kernel.ts";
import * as r from "../../../kernels/rope.kernel.ts";
import { at, type KernelCase, of, type Sizes, sizesOf, total, type Values } from "./case.ts";

const small = [
  [1, 1, 1, 1, 1],
  [1, 1, 1, 2, 3],
  [2, 1, 2, 5, 5],
  [1, 2, 3, 7, 13],
  [1, 1, 4, 1, 33],
] as const;
const larger = [
  [2, 2, 1, 33, 40],
  [1, 1, 1, 64, 64],
  [1, 2, 2, 65, 97],
] as const;

/** With causal attention the keys are given by how many come before the queries. */
const sizesFor = (causal: boolean, rows: readonly (readonly [number, number, number, number, number])[]): Sizes[] =>
  causal
    ? sizesOf("batch kvHeads groups queries past", ...rows.map(([b, h, g, q, k]) => [b, h, g, q, k - q]))
    : sizesOf("batch kvHeads groups queries keys", ...rows);
const keysOf = (d: Sizes): number => d.keys ?? of(d, "past") + of(d, "queries");
const scalars = { scale: 0.25 };

/** Calls `visit` with where each query head's rows of q, k and y begin. */
function eachHead(d: Sizes, size: number, visit: (q: number, k: number) => void): void {
  const [batch, kv, groups] = [of(d, "batch"), of(d, "kvHeads"), of(d, "groups")];
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < kv * groups; h++) {
      const head = Math.floor(h / groups);
      visit((b * kv * groups + h) * of(d, "queries") * size, (b * kv + head) * keysOf(d) * size);
    }
  }
}

/** The weights of query i over the keys it sees. */
function weights(
  { q, k }: Values,
  d: Sizes,
  size: number,
  causal: boolean,
  qAt: number,
  kAt: number,
  i: number,
): number[] {
  const [queries, keys] = [of(d, "queries"), keysOf(d)];
  const seen = causal ? keys - queries + i + 1 : keys;
  const scores = Array.from(
    { length: seen },
    (_, j) => of(d, "scale") * total(size, (c) => at(q, qAt + i * size + c) * at(k, kAt + j * size + c)),
  );
  const high = Math.max(...scores);
  const exps = scores.map((s) => Math.exp(s - high));
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map((e) => e / sum);
}

const forward = (kernel: KernelCase["kernel"], size: number, causal: boolean): KernelCase => ({
  kernel,
  scalars,
  sizes: sizesFor(causal, small),
  large: sizesFor(causal, larger),
  tolerance: () => 1e-5,
  reference(x, d) {
    const y = new Float64Array((x.q as Float64Array).length);
    eachHead(d, size, (qAt, kAt) => {
      for (let i = 0; i < of(d, "queries"); i++) {
        const p = weights(x, d, size, causal, qAt, kAt, i);
        for (let c = 0; c < size; c++) {
          y[qAt + i * size + c] = total(p.length, (j) => (p[j] as number) * at(x.v, kAt + j * size + c));
        }
      }
    });
    return { y };
  },
});

const backward = (kernel: KernelCase["kernel"], size: number, causal: boolean): KernelCase => ({
  kernel,
  scalars,
  sizes: sizesFor(causal, small),
  large: sizesFor(causal, larger),
  steps: 3,
  tolerance: () => 1e-4,
  reference(x, d) {
    const [dq, dk, dv] = [x.q, x.k, x.v].map((t) => new Float64Array((t as Float64Array).length)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    const scale = of(d, "scale");
    eachHead(d, size, (qAt, kAt) => {
      for (let i = 0; i < of(d, "queries"); i++) {
        const p = weights(x, d, size, causal, qAt, kAt, i);
        const row = qAt + i * size;
        const dp = p.map((_, j) => total(size, (c) => at(x.dy, row + c) * at(x.v, kAt + j * size + c)));
        const dot = total(p.length, (j) => (p[j] as number) * (dp[j] as number));
        p.forEach((w, j) => {
          const ds = w * ((dp[j] as number) - dot) * scale;
          for (let c = 0; c < size; c++) {
            const key = kAt + j * size + c;
            dv[key] = at(dv, key) + w * at(x.dy, row + c);
            dk[key] = at(dk, key) + ds * at(x.q, row + c);
            dq[row + c] = at(dq, row + c) + ds * at(x.k, key);
          }
        });
      }
    });
    return { dq, dk, dv };
  },
});

const ropeCase = (
  kernel: KernelCase["kernel"],
  neighbours: boolean,
  from: string,
  to: string,
  sign: number,
): KernelCase => ({
  kernel,
  sizes: sizesOf("tokens heads half", [1, 1, 1], [2, 1, 3], [3, 2, 4], [5, 3, 16], [7, 1, 33], [4, 12, 32]),
  large: sizesOf("tokens heads half", [129, 5, 64]),
  draw: { positions: [0, 600], frequencies: [0, 1] },
  // The angle itself, up to 600, is rounded to f32.
  tolerance: () => 8e-5,
  reference(x, d) {
    const [tokens, heads, half] = [of(d, "tokens"), of(d, "heads"), of(d, "half")];
    const out = new Float64Array(tokens * heads * half * 2);
    for (let t = 0; t < tokens; t++) {
      for (let h = 0; h < heads; h++) {
        for (let i = 0; i < half; i++) {
          const start = (t * heads + h) * half * 2;
          const [a, b] = neighbours ? [start + 2 * i, start + 2 * i + 1] : [start + i, start + half + i];
          const angle = at(x.positions, t) * at(x.frequencies, i);
          const [cos, sin] = [Math.cos(angle), sign * Math.sin(angle)];
          out[a] = at(x[from], a) * cos - at(x[from], b) * sin;
          out[b] = at(x[from], b) * cos + at(x[from], a) * sin;
        }
      }
    }
    return { [to]: out };
  },
});

export const attentionCases: readonly KernelCase[] = [
  forward(k.attention64, 64, false),
  forward(k.causalAttention64, 64, true),
  forward(k.attention128, 128, false),
  forward(k.causalAttention128, 128, true),
  backward(k.attention64Backward, 64, false),
  backward(k.causalAttention64Backward, 64, true),
  backward(k.attention128Backward, 128, false),
  backward(k.causalAttention128Backward, 128, true),
  ropeCase(r.rope, false, "x", "y", 1),
  ropeCase(r.ropeBackward, false, "dy", "dx", -1),
  ropeCase(r.ropeNeighbours, true, "x", "y", 1),
  ropeCase(r.ropeNeighboursBackward, true, "dy", "dx", -1),
];
