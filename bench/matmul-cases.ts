/** How a product reads its operands as they are stored: both as they are, the second or the first transposed. */
export type Form = "nn" | "nt" | "tn";

export interface Product {
  readonly form: Form;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** How often a DistilGPT-2 step at 1x512 computes it. */
  readonly times: number;
  /** Microseconds that cuBLAS took on an H200 (PyTorch 2.11, no TF32), where that is known: f32, and f16 with f32 sums. */
  readonly cublas?: { readonly f32: number; readonly f16: number };
}

const product = (times: number, form: Form, m: number, n: number, k: number, f32?: number, f16?: number): Product => ({
  ...{ times, form, m, n, k },
  ...(f32 !== undefined && f16 !== undefined && { cublas: { f32, f16 } }),
});

/** Products of the DistilGPT-2 step at 1x512 and 8x512, forward and backward, and a large square one. */
export const products: readonly Product[] = [
  product(6, "nn", 512, 768, 768, 26, 20),
  product(6, "nn", 512, 2304, 768, 64, 20),
  product(6, "nn", 512, 3072, 768, 66, 13),
  product(6, "nn", 512, 768, 3072, 65, 13),
  product(6, "nt", 512, 768, 768),
  product(6, "nt", 512, 768, 2304),
  product(6, "nt", 512, 768, 3072),
  product(6, "nt", 512, 3072, 768),
  product(6, "tn", 768, 768, 512),
  product(6, "tn", 768, 2304, 512),
  product(6, "tn", 768, 3072, 512),
  product(6, "tn", 3072, 768, 512),
  product(1, "nt", 512, 50257, 768),
  product(1, "nn", 512, 768, 50257),
  product(1, "tn", 50257, 768, 512),
  product(0, "nn", 4096, 3072, 768, 421, 32),
  product(0, "nt", 4096, 50257, 768),
  product(0, "nn", 4096, 4096, 4096, 2674, 182),
];

/** Shapes of the operands as they are stored. */
export const shapesOf = ({
  form,
  m,
  n,
  k,
}: Product): readonly [readonly [number, number], readonly [number, number]] => [
  form === "tn" ? [k, m] : [m, k],
  form === "nt" ? [n, k] : [k, n],
];

/** An element of the product of stored operands, in f64. */
export function elementOf(p: Product, a: ArrayLike<number>, b: ArrayLike<number>, row: number, col: number): number {
  const [stepA, startA] = p.form === "tn" ? [p.m, row] : [1, row * p.k];
  const [stepB, startB] = p.form === "nt" ? [1, col * p.k] : [p.n, col];
  let sum = 0;
  for (let i = 0; i < p.k; i++) sum += (a[startA + i * stepA] as number) * (b[startB + i * stepB] as number);
  return sum;
}
