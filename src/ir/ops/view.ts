import { fail } from "../../base/diagnostic.ts";
import { concreteDim, type Dim, dimAdd, dimMul, isSym, type Shape, shapeText } from "../dim.ts";
import type { Attrs, TensorType } from "../graph.ts";
import { count, ndarray } from "../ndarray.ts";
import type { IndexAlgebra, OpRow } from "../op.ts";
import { axisOf, range, splice, tensorType } from "./axes.ts";
import { mayEqual, sameDType, unifyDims } from "./infer.ts";
import { mapReshape, requireSameSize } from "./reshape.ts";

/** One whole number of a list per axis, none below `least`; one that depends on a named dim counts as such. */
function perAxis(op: string, name: string, attrs: Attrs, x: TensorType, least: number): Shape {
  const list = attrs[name] as Shape;
  const fits = (n: Dim): boolean => isSym(n) || (Number.isInteger(n) && n >= least);
  if (!Array.isArray(list) || list.length !== x.shape.length || !list.every(fits)) {
    fail("bad-attribute", `${op}: ${name} is ${JSON.stringify(list)} for a tensor of shape ${shapeText(x.shape)}`, {
      cause: `${name} holds one integer of at least ${least} for each axis`,
      hint: `give ${x.shape.length} integers`,
    });
  }
  return list;
}

function expandType(x: TensorType, to: Shape): TensorType {
  const lead = to.length - x.shape.length;
  const shape = to.map((d, i) => {
    const own = x.shape[i - lead];
    return own === undefined || own === 1 ? d : (unifyDims(own, d) ?? -1);
  });
  if (lead < 0 || shape.includes(-1)) {
    fail("shape-mismatch", `expand: shape ${shapeText(x.shape)} does not expand to ${shapeText(to)}`, {
      cause: "aligned at the last axis, each size must be 1 or already the size asked for",
      hint: "reshape it first so that the axes to repeat have size 1",
    });
  }
  return tensorType("expand", x.dtype, shape);
}

function sliceType(x: TensorType, a: Attrs): TensorType {
  const { starts, steps, sizes } = a as { starts: readonly Dim[]; steps: readonly number[]; sizes: Shape };
  const rank = x.shape.length;
  if (starts.length !== rank || steps.length !== rank || sizes.length !== rank || steps.includes(0)) {
    fail("bad-attribute", `slice of ${shapeText(x.shape)}: starts, steps and sizes must have ${rank} entries each`, {
      cause: `there are ${starts.length}, ${steps.length} and ${sizes.length}, and a step may not be 0`,
      hint: "give every axis a start, a step and a size",
    });
  }
  x.shape.forEach((n, i) => {
    const [start, step, size] = [starts[i] as Dim, steps[i] as number, sizes[i] as Dim];
    if (isSym(n) || isSym(start) || isSym(size) || size === 0) return;
    const last = start + (size - 1) * step;
    if (size > 0 && start >= 0 && start < n && last >= 0 && last < n) return;
    fail("bad-slice", `slice: axis ${i} of ${shapeText(x.shape)} has ${n} elements, but ${start} to ${last} are read`, {
      cause: `start ${start}, step ${step}, size ${size}`,
      hint: `keep indices between 0 and ${n - 1}`,
    });
  });
  return tensorType("slice", x.dtype, sizes);
}

/** Largest padding that a mode can fill from an axis of `n` elements. */
const padLimit: Readonly<Record<string, (n: number) => number>> = {
  constant: () => Number.POSITIVE_INFINITY,
  edge: (n) => (n > 0 ? Number.POSITIVE_INFINITY : 0),
  reflection: (n) => Math.max(0, n - 1),
  symmetric: (n) => n,
};

function padType(x: TensorType, a: Attrs): TensorType {
  const low = perAxis("pad", "low", a, x, 0);
  const high = perAxis("pad", "high", a, x, 0);
  const mode = a.mode as string;
  const limit = padLimit[mode];
  if (!limit) {
    fail("bad-attribute", `pad: there is no mode ${JSON.stringify(mode)}`, {
      hint: `one of ${Object.keys(padLimit).join(", ")}`,
    });
  }
  const shape = x.shape.map((n, i) => {
    const [before, after] = [low[i] as Dim, high[i] as Dim];
    if (!isSym(n) && !isSym(before) && !isSym(after) && Math.max(before, after) > limit(n)) {
      fail("bad-padding", `pad: axis ${i} of ${shapeText(x.shape)} cannot be padded by [${before}, ${after}]`, {
        cause: `mode ${mode} takes at most ${limit(n)} elements from an axis of ${n}`,
        hint: "pad in several steps, or by less",
      });
    }
    return dimAdd(n, dimAdd(before, after));
  });
  return tensorType("pad", x.dtype, shape);
}

/**
 * Index into an axis of `n` elements padded by `low`. Below and above the axis the results of the arithmetic stay
 * non-negative wherever they are chosen, so that the map also holds in unsigned numbers.
 */
const padIndex: Readonly<Record<string, <I>(alg: IndexAlgebra<I>, i: I, low: number, n: number) => I>> = {
  constant: (alg, i, low) => shift(alg, i, low),
  edge: (alg, i, low, n) =>
    alg.lessThen(i, low, alg.int(0), alg.lessThen(i, low + n, shift(alg, i, low), alg.int(n - 1))),
  reflection: (alg, i, low, n) => mirror(alg, i, low, n, low, 2 * (n - 1) + low),
  symmetric: (alg, i, low, n) => mirror(alg, i, low, n, low - 1, 2 * n - 1 + low),
};

const shift = <I>(alg: IndexAlgebra<I>, i: I, low: number): I => (low === 0 ? i : alg.sub(i, alg.int(low)));

const mirror = <I>(alg: IndexAlgebra<I>, i: I, low: number, n: number, below: number, above: number): I =>
  alg.lessThen(
    i,
    low,
    alg.sub(alg.int(below), i),
    alg.lessThen(i, low + n, shift(alg, i, low), alg.sub(alg.int(above), i)),
  );

function concatType(xs: readonly TensorType[], a: Attrs): TensorType {
  const first = xs[0] ?? fail("bad-arguments", "concat takes at least one tensor", { hint: "give it a tensor" });
  const dtype = sameDType("concat", ...xs);
  const axis = axisOf("concat", a.axis, first.shape);
  const shape: Dim[] = [...first.shape];
  for (const x of xs.slice(1)) {
    if (x.shape.length !== shape.length || x.shape.some((d, i) => i !== axis && !mayEqual(d, shape[i] as Dim))) {
      fail(
        "shape-mismatch",
        `concat: shapes ${shapeText(first.shape)} and ${shapeText(x.shape)} do not join at axis ${axis}`,
        {
          cause: `all sizes but that of axis ${axis} must be equal`,
          hint: "slice, pad or reshape one of them, or join at another axis",
        },
      );
    }
    x.shape.forEach((d, i) => {
      shape[i] = i === axis ? dimAdd(shape[i] as Dim, d) : (unifyDims(shape[i] as Dim, d) as Dim);
    });
  }
  return tensorType("concat", dtype, shape);
}

const numbers = (v: unknown): readonly number[] => (v as readonly Dim[]).map(concreteDim);

export const viewRows: readonly OpRow[] = [
  {
    name: "reshape",
    kind: "view",
    params: ["x"],
    attrs: { shape: { type: "shape", doc: "the new shape, with as many elements" } },
    doc: "The same elements in row-major order with another shape. Any dtype.",
    infer: ([x], a) => {
      requireSameSize((x as TensorType).shape, a.shape as Shape);
      return tensorType("reshape", (x as TensorType).dtype, a.shape as Shape);
    },
    view: { map: (alg, index, { from, to }) => mapReshape(alg, index, from, to) },
  },
  {
    name: "transpose",
    kind: "view",
    params: ["x"],
    attrs: { perm: { type: "ints", doc: "axis of x that becomes each axis of the result" } },
    doc: "Axes in another order: axis i of the result is axis perm[i] of x. Any dtype.",
    infer: ([t], a) => {
      const x = t as TensorType;
      const perm = a.perm as readonly number[];
      if (perm.length !== x.shape.length || range(x.shape.length).some((i) => !perm.includes(i))) {
        fail("bad-axis", `transpose: [${perm.join(", ")}] is not an order of the axes of ${shapeText(x.shape)}`, {
          cause: "each axis must appear exactly once",
          hint: `give a permutation of [${range(x.shape.length).join(", ")}]`,
        });
      }
      return { dtype: x.dtype, shape: perm.map((p) => x.shape[p] as Dim) };
    },
    view: {
      map: (_, index, { attrs }) => {
        const perm = attrs.perm as readonly number[];
        return perm.map((_p, axis) => index[perm.indexOf(axis)] as (typeof index)[number]);
      },
    },
  },
  {
    name: "expand",
    kind: "view",
    params: ["x"],
    attrs: { shape: { type: "shape", doc: "the shape to repeat x to" } },
    doc: "Repeats x to a larger shape: aligned at the last axis, axes of size 1 and missing axes repeat. Any dtype.",
    infer: ([x], a) => expandType(x as TensorType, a.shape as Shape),
    view: {
      map: (alg, index, { from, to }) =>
        from.map((n, i) => (n === 1 ? alg.int(0) : (index[i + to.length - from.length] as (typeof index)[number]))),
    },
  },
  {
    name: "slice",
    kind: "view",
    params: ["x"],
    attrs: {
      starts: { type: "ints", doc: "first index of each axis" },
      steps: { type: "ints", doc: "distance of neighbours on each axis; negative ones walk backwards" },
      sizes: { type: "shape", doc: "the result's shape" },
    },
    doc: "Every step-th element: index i of an axis of the result is index start + i*step of x. Any dtype.",
    infer: ([x], a) => sliceType(x as TensorType, a),
    view: {
      map: (alg, index, { attrs }) => {
        const starts = numbers(attrs.starts);
        return (attrs.steps as readonly number[]).map((step, axis) => {
          const start = starts[axis] as number;
          const i = index[axis] as (typeof index)[number];
          const scaled = Math.abs(step) === 1 ? i : alg.mul(i, Math.abs(step));
          if (step < 0) return alg.sub(alg.int(start), scaled);
          return start === 0 ? scaled : alg.add(scaled, alg.int(start));
        });
      },
    },
  },
  {
    name: "tile",
    kind: "view",
    params: ["x"],
    attrs: { repeats: { type: "ints", doc: "how often x repeats along each axis" } },
    doc: "Copies of x one after another along each axis: index i of an axis of n elements is index i mod n of x. Any dtype.",
    infer: ([t], a) => {
      const x = t as TensorType;
      const repeats = perAxis("tile", "repeats", a, x, 0);
      return { dtype: x.dtype, shape: x.shape.map((d, i) => dimMul(d, repeats[i] as Dim)) };
    },
    view: {
      map: (alg, index, { from, to }) =>
        from.map((n, i) => {
          const at = index[i] as (typeof index)[number];
          return n === to[i] ? at : n === 1 ? alg.int(0) : alg.mod(at, n);
        }),
    },
  },
  {
    name: "pad",
    kind: "view",
    params: ["x"],
    attrs: {
      low: { type: "ints", doc: "elements before each axis" },
      high: { type: "ints", doc: "elements after each axis" },
      mode: { type: "string", doc: "what the added elements hold", oneOf: Object.keys(padLimit) },
      value: { type: "float", doc: "the added elements in mode constant" },
    },
    doc:
      "Grows each axis at both ends by a constant, the edge element, the reflection without the edge element (padding < n) or the " +
      "symmetric image with it (padding <= n). Any dtype.",
    infer: ([x], a) => padType(x as TensorType, a),
    view: {
      map: (alg, index, { attrs, from }) => {
        const low = attrs.low as readonly number[];
        const high = attrs.high as readonly number[];
        const at = padIndex[attrs.mode as string] as (typeof padIndex)[string];
        return from.map((n, i) => {
          const own = index[i] as (typeof index)[number];
          return low[i] === 0 && high[i] === 0 ? own : at(alg, own, low[i] as number, n);
        });
      },
    },
  },
  {
    name: "concat",
    kind: "view",
    params: ["...xs"],
    attrs: { axis: { type: "int", doc: "axis along which the tensors follow one another" } },
    doc: "Tensors of one dtype joined along an axis; all other sizes are equal.",
    infer: concatType,
    evaluate: (xs, a, [t]) => {
      const axis = a.axis as number;
      const out = ndarray((t as TensorType).dtype, (t as TensorType).shape as number[]);
      const inner = count(out.shape.slice(axis + 1));
      const row = (out.shape[axis] as number) * inner;
      let at = 0;
      for (const x of xs) {
        const width = (x.shape[axis] as number) * inner;
        for (let from = 0, to = at; from < x.data.length; from += width, to += row) {
          out.data.set(x.data.subarray(from, from + width), to);
        }
        at += width;
      }
      return [out];
    },
  },
];

/** Attributes of a slice that keeps `size` elements from `start` of one axis and everything of the others. */
export const sliceAttrs = (shape: Shape, axis: number, start: Dim, size: Dim, step = 1): Attrs => ({
  starts: shape.map((_, i) => (i === axis ? start : 0)),
  steps: shape.map((_, i) => (i === axis ? step : 1)),
  sizes: splice(shape, axis, 1, size),
});
