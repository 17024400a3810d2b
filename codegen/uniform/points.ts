import { fail } from "../../src/base/diagnostic.ts";
import type { KernelVariantOptions } from "../../src/frontend/define-kernel.ts";

/** Sizes of all named dims. */
export type Point = Readonly<Record<string, number>>;

/** Whether something else that is made of a dim divides evenly at a size, as n - 1 does at 513. Such sizes are avoided where that can be. */
export type Divides = (name: string, size: number) => boolean;

/** So many sizes are passed over at most. */
const patience = 32;

/** Points that a kernel is compiled at, at least. Fewer would leave a chance that a number agrees with a wrong expression. */
export const pointCount = 4;

/**
 * Sizes near a dim's hint that have nothing in common: what the variant asks for, times odd numbers without common factors.
 * So a number in a kernel's text tells which sizes it is made of, and nothing divides by chance. They are a little more than
 * multiples of a large power of two: the last tile has few rows, and no guard of the others is left out for being needless.
 * How much more differs: else a size less one would be the same number as whole tiles less one.
 */
export function pointsFor(
  dims: ReadonlyMap<string, number>,
  variant: KernelVariantOptions,
  divides: Divides = () => false,
): readonly Point[] {
  if (dims.size === 0) return [{}];
  const used: number[] = [];
  const columns = [...dims].map(([name, hint]): readonly (readonly [string, number])[] => {
    const unit = variant.multiples?.[name] ?? 1;
    const low = variant.min?.[name] ?? 0;
    const high = variant.max?.[name] ?? Number.POSITIVE_INFINITY;
    const near = Math.max(low, Math.min(hint, high * 0.7)) / unit;
    const step = 2 ** Math.min(4, Math.max(1, Math.floor(Math.log2(Math.max(1, near))) - 3));
    const sizes: number[] = [];
    let passed = 0;
    for (let begin = Math.max(1, Math.floor(near / step)) * step; sizes.length < pointCount; begin += step) {
      const n = begin + ((2 * (sizes.length + passed) + 1) % step);
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
      if (divides(name, n * unit) && 2 * n * unit < high && passed++ < patience) continue;
      used.push(n);
      sizes.push(n * unit);
    }
    return sizes.map((size) => [name, size] as const);
  });
  // Each dim's sizes in another order, so that they do not grow together.
  return Array.from({ length: pointCount }, (_, i) =>
    Object.fromEntries(columns.map((c, d) => c[order(i, d)] as readonly [string, number])),
  );
}

/** Which of its sizes the dim number `d` has at point number `i`. */
const order = (i: number, d: number): number => (i * (d % 2 ? 1 : 3) + d) % pointCount;

/**
 * The same points with even sizes, twice odd numbers: all of them, and of those that are added up each by itself. At points of
 * odd sizes alone, their sums and the sizes beside them would always be even.
 */
export function evenPoints(
  near: readonly Point[],
  variant: KernelVariantOptions,
  added: ReadonlySet<string>,
): readonly Point[] {
  const [from] = near.slice(-1) as [Point];
  const names = Object.keys(from);
  const even = (name: string): number => {
    const unit = variant.multiples?.[name] ?? 1;
    const n = (from[name] as number) / unit;
    return (n - 1 - ((n - 1) % 4 === 0 ? 2 : 0)) * unit;
  };
  const of = (list: readonly string[]): Point => ({ ...from, ...Object.fromEntries(list.map((n) => [n, even(n)])) });
  return [of(names), ...(names.length > 1 ? [...added].map((n) => of([n])) : [])];
}

/** How far from the hints: a number that is the same at sizes close together may still follow from them, as ceil(n / 256) does. */
const reaches: readonly ((size: number) => number)[] = [
  (n) => Math.max(3 * n, 1100),
  (n) => Math.max(1.8 * n, 600),
  (n) => Math.max(1.4 * n, 300),
];

/** More than any tile. */
const oneTile = 67;

/** For each dim points at which it alone is much larger, the farthest first; other dims are smaller where the tensors would not fit. */
export function farPoints(
  near: readonly Point[],
  variant: KernelVariantOptions,
  fits: (p: Point) => boolean,
  divides: Divides = () => false,
): ReadonlyMap<string, readonly Point[]> {
  const names = Object.keys(near[0] ?? {});
  const unitOf = (name: string): number => variant.multiples?.[name] ?? 1;
  const taken = names.flatMap((name) => near.map((p) => (p[name] as number) / unitOf(name)));
  const beyond = (name: string, from: number, tile: number, other: readonly number[]): number => {
    let n = Math.max(1, Math.ceil(from / tile)) * tile + 1;
    let passed = 0;
    const avoided = (): boolean => divides(name, n * unitOf(name)) && passed++ < patience;
    while (n % tile > 5 || other.some((u) => gcd(u, n) > 1) || avoided()) n += 2;
    return n;
  };
  /** Sizes of more than one tile stay so: what a single tile leaves out of a text would be missing for all. */
  const floorOf = (name: string): number => {
    const unit = unitOf(name);
    const least = near.every((p) => (p[name] as number) > oneTile * unit) ? oneTile : 9;
    return Math.max(least * unit, variant.min?.[name] ?? 0);
  };
  const fitted = (p: Point, name: string): Point | undefined => {
    let at = p;
    while (!fits(at)) {
      const [largest] = names
        .filter((n) => n !== name && (at[n] as number) > 2 * floorOf(n))
        .sort((a, b) => (at[b] as number) - (at[a] as number));
      if (largest === undefined) return undefined;
      const unit = unitOf(largest);
      const others = names.filter((n) => n !== largest).map((n) => (at[n] as number) / unitOf(n));
      const smaller = Math.max(floorOf(largest), (at[largest] as number) / 2.5);
      at = { ...at, [largest]: beyond(largest, smaller / unit - 1, smaller > oneTile * unit ? 64 : 8, others) * unit };
    }
    return at;
  };
  return new Map(
    names.map((name, i) => {
      const from = near[i % near.length] as Point;
      const unit = unitOf(name);
      const largest = Math.max(...near.map((p) => p[name] as number));
      const points = reaches.flatMap((reach): Point[] => {
        const n = beyond(name, reach(largest) / unit, 128, taken);
        if (n * unit > (variant.max?.[name] ?? Number.POSITIVE_INFINITY)) return [];
        return [fitted({ ...from, [name]: n * unit }, name) ?? []].flat();
      });
      return [name, points];
    }),
  );
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
