import { isSym, type Shape } from "../ir/dim.ts";
import type { Node } from "../ir/graph.ts";
import { numbersOf } from "./match.ts";

/** An integer tensor whose elements are `constant` + sum over axes of `slopes[i]` * index; axes count from the last, 0. */
export interface Affine {
  readonly constant: number;
  readonly slopes: readonly number[];
}

/** Reads a tensor made of iota, constants, sums and views as an affine function of its index, or gives undefined. */
export function affineOf(n: Node): Affine | undefined {
  const read = readers[n.op];
  const made = n.type.dtype === "bool" || n.type.dtype === "f16" ? undefined : read?.(n);
  if (!made) return undefined;
  // Along an axis of size 1 the index is 0, whatever the slope.
  const { shape } = n.type;
  return { ...made, slopes: shape.map((_, i) => (sizeAt(shape, i) === 1 ? 0 : (made.slopes[i] ?? 0))) };
}

const sizeAt = (shape: Shape, fromEnd: number): Shape[number] | undefined => shape[shape.length - 1 - fromEnd];

const arg = (n: Node, i = 0): Affine | undefined => affineOf(n.args[i] as Node);

/** Unsigned differences wrap around, so sums are read of signed numbers only. */
const isSigned = (n: Node): boolean => n.type.dtype === "i32" || n.type.dtype === "f32";

export function combine(x: Affine | undefined, y: Affine | undefined, sign: number): Affine | undefined {
  if (!x || !y) return undefined;
  const rank = Math.max(x.slopes.length, y.slopes.length);
  return {
    constant: x.constant + sign * y.constant,
    slopes: Array.from({ length: rank }, (_, i) => (x.slopes[i] ?? 0) + sign * (y.slopes[i] ?? 0)),
  };
}

const times = (x: Affine | undefined, factor: number): Affine | undefined =>
  x && { constant: x.constant * factor, slopes: x.slopes.map((s) => s * factor) };

const readers: Readonly<Record<string, (n: Node) => Affine | undefined>> = {
  const: (n) => (Number.isInteger(n.attrs.value) ? { constant: n.attrs.value as number, slopes: [] } : undefined),
  iota: (n) => ({
    constant: 0,
    slopes: n.type.shape.map((_, i) => (n.type.shape.length - 1 - i === n.attrs.axis ? 1 : 0)),
  }),
  add: (n) => (isSigned(n) ? combine(arg(n, 0), arg(n, 1), 1) : undefined),
  sub: (n) => (isSigned(n) ? combine(arg(n, 0), arg(n, 1), -1) : undefined),
  neg: (n) => (isSigned(n) ? times(arg(n), -1) : undefined),
  cast: (n) => (n.args[0]?.type.dtype === "bool" ? undefined : arg(n)),
  expand: (n) => arg(n),
  transpose: (n) => {
    const x = arg(n);
    const perm = n.attrs.perm as readonly number[];
    const last = perm.length - 1;
    return x && { constant: x.constant, slopes: perm.map((_, i) => x.slopes[last - (perm[last - i] as number)] ?? 0) };
  },
  slice: (n) => {
    const x = arg(n);
    const starts = numbersOf(n.attrs.starts as Shape);
    const steps = n.attrs.steps as readonly number[];
    const last = steps.length - 1;
    if (!x || !starts) return undefined;
    const shift = x.slopes.reduce((sum, s, i) => sum + s * (starts[last - i] as number), 0);
    return { constant: x.constant + shift, slopes: x.slopes.map((s, i) => s * (steps[last - i] as number)) };
  },
  reshape: (n) => {
    const x = arg(n);
    const longer = (shape: Shape): number[] => shape.flatMap((d, i) => (d === 1 ? [] : [shape.length - 1 - i]));
    const from = (n.args[0] as Node).type.shape;
    const [old, now] = [longer(from), longer(n.type.shape)];
    // Only axes of size 1 may come and go.
    const same =
      old.length === now.length && old.every((a, i) => sizeAt(from, a) === sizeAt(n.type.shape, now[i] as number));
    if (!x || !same || n.type.shape.some(isSym)) return undefined;
    const slopes = n.type.shape.map(() => 0);
    now.forEach((axis, i) => {
      slopes[axis] = x.slopes[old[i] as number] ?? 0;
    });
    return { constant: x.constant, slopes };
  },
};
