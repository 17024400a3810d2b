import { fail } from "../../src/base/diagnostic.ts";
import type { KernelVariantOptions } from "../../src/frontend/define-kernel.ts";

/** Sizes of all named dims. */
export type Point = Readonly<Record<string, number>>;

/** Points that a kernel is compiled at. Fewer would leave a chance that a number agrees with a wrong expression. */
export const pointCount = 4;

/**
 * Sizes near a dim's hint that have nothing in common: what the variant asks for, times odd numbers without common factors.
 * So a number in a kernel's text tells which sizes it is made of, and nothing divides by chance. They are one more than
 * multiples of a large power of two: the last tile has one row, and no guard of the others is left out for being needless.
 */
export function pointsFor(
  dims: ReadonlyMap<string, number>,
  variant: KernelVariantOptions,
  scale: number,
): readonly Point[] {
  if (dims.size === 0) return [{}];
  const used: number[] = [];
  const columns = [...dims].map(([name, hint]): readonly (readonly [string, number])[] => {
    const unit = variant.multiples?.[name] ?? 1;
    const low = variant.min?.[name] ?? 0;
    const high = variant.max?.[name] ?? Number.POSITIVE_INFINITY;
    const near = Math.max(low, Math.min((variant.hints?.[name] ?? hint) * scale, high * 0.7)) / unit;
    const step = 2 ** Math.min(7, Math.max(1, Math.floor(Math.log2(Math.max(1, near))) - 3));
    const sizes: number[] = [];
    for (let n = Math.max(1, Math.floor(near / step)) * step + 1; sizes.length < pointCount; n += step) {
      if (n * unit > high) {
        return fail(
          "bad-variant",
          `variant ${variant.name}: too few sizes of ${name} up to ${high} to tell them apart`,
          {
            cause: "a kernel for all sizes is found by comparing kernels of several sizes",
            hint: "allow larger sizes, or give the dim a fixed size",
          },
        );
      }
      // Far enough apart that rounded quotients of them differ too.
      if (n * unit <= 1.04 * (sizes.at(-1) ?? 0) || n < 5 || used.some((u) => gcd(u, n) > 1)) continue;
      used.push(n);
      sizes.push(n * unit);
    }
    return sizes.map((size) => [name, size] as const);
  });
  // Each dim's sizes in another order, so that they do not grow together.
  return Array.from({ length: pointCount }, (_, i) =>
    Object.fromEntries(columns.map((c, d) => c[(i * (d % 2 ? 1 : 3) + d) % pointCount] as readonly [string, number])),
  );
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
