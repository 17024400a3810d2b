import { reduce, type Tensor, where } from "../../src/index.ts";

/**
 * The product of 2×2 integer matrices along an axis: associative, exact, and not commutative. The matrices are made of
 * any four integers so that their determinants are odd: no number of them multiplies to zero modulo 2^32.
 */
export function matrixProduct(
  [a, b, c, d]: readonly [Tensor, Tensor, Tensor, Tensor],
  axis: number,
): readonly Tensor[] {
  const odd = (x: Tensor): Tensor => x.mul(2).add(1);
  return reduce([odd(a), b.mul(2), c, odd(d)], {
    axes: axis,
    identity: [1, 0, 0, 1],
    combine: ([a0, a1, a2, a3], [b0, b1, b2, b3]) => [
      a0.mul(b0).add(a1.mul(b2)),
      a0.mul(b1).add(a1.mul(b3)),
      a2.mul(b0).add(a3.mul(b2)),
      a2.mul(b1).add(a3.mul(b3)),
    ],
  });
}

/** First and last element along an axis, and their number, of integers: the identity is a span of no elements. */
export function endsOf(x: Tensor, axis: number): Record<"first" | "last" | "count", Tensor> {
  const one = x.mul(0).add(1);
  const [first, last, count] = reduce([x, x, one], {
    axes: axis,
    identity: [0, 0, 0],
    combine: ([fa, la, na], [fb, lb, nb]) => [where(na.greater(0), fa, fb), where(nb.greater(0), lb, la), na.add(nb)],
  }) as [Tensor, Tensor, Tensor];
  return { first, last, count };
}

/** Mean and variance along an axis by merging means and sums of squared deviations (Chan, Golub and LeVeque 1983). */
export function welford(x: Tensor, axis: number): Record<"mean" | "variance", Tensor> {
  const zero = x.mul(0);
  const [mean, squares, count] = reduce([x, zero, zero.add(1)], {
    axes: axis,
    identity: [0, 0, 0],
    combine: ([ma, sa, na], [mb, sb, nb]) => {
      const n = na.add(nb);
      const safe = n.max(1);
      const d = mb.sub(ma);
      return [ma.add(d.mul(nb).div(safe)), sa.add(sb).add(d.mul(d).mul(na).mul(nb).div(safe)), n];
    },
  }) as [Tensor, Tensor, Tensor];
  return { mean, variance: squares.div(count) };
}
