import { fail } from "../../base/diagnostic.ts";
import { type Dim, dimText, isSym, type Shape } from "../dim.ts";
import type { TensorType } from "../graph.ts";
import { count, forEachIndex, type NDArray, ndarray, stridesOf } from "../ndarray.ts";
import type { OpRow } from "../op.ts";
import { tensorType } from "./axes.ts";
import { requireInteger, requireRank, sameDType, typeText } from "./infer.ts";

const startsDoc =
  "one scalar (i32, u32) for each axis and are data: one program serves every position. They are clamped into 0..n-size, so " +
  "that the block always lies inside x, as XLA does; negative ones do not count from the end.";

/** One integer scalar for each axis of x. */
function requireStarts(op: string, x: TensorType, starts: readonly TensorType[]): void {
  if (starts.length !== x.shape.length) {
    fail("bad-arguments", `${op}: ${starts.length} starts for ${typeText(x)} of rank ${x.shape.length}`, {
      hint: "give one start for each axis",
    });
  }
  starts.forEach((s, i) => {
    requireInteger(op, s, `the start of axis ${i}`);
    requireRank(op, s, 0, 0, `the start of axis ${i}`);
  });
}

/** The block has x's rank and fits into it. */
function requireFit(op: string, x: TensorType, sizes: Shape, block: string): void {
  const bad = sizes.findIndex((size, i) => {
    const n = x.shape[i];
    return n === undefined || (!isSym(size) && !isSym(n) && size > n);
  });
  if (bad < 0 && sizes.length === x.shape.length) return;
  fail("shape-mismatch", `${op}: ${block} is no part of ${typeText(x)}`, {
    cause:
      sizes.length === x.shape.length
        ? `on axis ${bad} it has ${dimText(sizes[bad] as Dim)} elements of ${dimText(x.shape[bad] as Dim)}`
        : `it has ${sizes.length} axes, not ${x.shape.length}`,
    hint: "give every axis a size of at most that of x",
  });
}

/** Calls `fn` with the offset in x of each element of a block of `sizes`, in the block's row-major order. */
function forEachOffset(
  x: NDArray,
  sizes: readonly number[],
  starts: readonly NDArray[],
  fn: (offset: number, i: number) => void,
): void {
  const strides = stridesOf(x.shape);
  const first = starts.map((s, axis) => {
    const room = (x.shape[axis] as number) - (sizes[axis] as number);
    return Math.min(room, Math.max(0, s.data[0] as number));
  });
  forEachIndex(sizes, (index, i) => {
    fn(
      index.reduce((sum, j, axis) => sum + (j + (first[axis] as number)) * (strides[axis] as number), 0),
      i,
    );
  });
}

/** Parts of a tensor at positions known only when the program runs. */
export const dynamicRows: readonly OpRow[] = [
  {
    name: "dynamicSlice",
    kind: "indexed",
    params: ["x", "...starts"],
    attrs: { sizes: { type: "shape", doc: "the result's shape, no axis larger than x's" } },
    doc: `The block of x of the given sizes that begins at starts: out[i, j] = x[start0 + i, start1 + j] for two axes. Any dtype. Starts are ${startsDoc}`,
    infer: ([t, ...starts], a) => {
      const x = t as TensorType;
      const sizes = a.sizes as Shape;
      requireStarts("dynamicSlice", x, starts);
      requireFit("dynamicSlice", x, sizes, `a block of ${typeText({ dtype: x.dtype, shape: sizes })}`);
      return tensorType("dynamicSlice", x.dtype, sizes);
    },
    evaluate: ([t, ...starts], a) => {
      const x = t as NDArray;
      const sizes = a.sizes as readonly number[];
      const out = ndarray(x.dtype, sizes);
      forEachOffset(x, sizes, starts, (from, i) => {
        out.data[i] = x.data[from] as number;
      });
      return [out];
    },
    accuracy: { ulp: 0 },
  },
  {
    name: "dynamicUpdateSlice",
    kind: "indexed",
    params: ["x", "update", "...starts"],
    doc: `x with the block that begins at starts replaced by update: out[start0 + i, start1 + j] = update[i, j] for two axes. The update has x's dtype and rank. Any dtype. Starts are ${startsDoc}`,
    infer: ([t, u, ...starts]) => {
      const [x, update] = [t as TensorType, u as TensorType];
      sameDType("dynamicUpdateSlice", x, update);
      requireStarts("dynamicUpdateSlice", x, starts);
      requireFit("dynamicUpdateSlice", x, update.shape, `update ${typeText(update)}`);
      return x;
    },
    evaluate: ([t, u, ...starts]) => {
      const [x, update] = [t as NDArray, u as NDArray];
      const out = ndarray(x.dtype, x.shape, x.data);
      if (count(update.shape) === 0) return [out];
      forEachOffset(x, update.shape, starts, (to, i) => {
        out.data[to] = update.data[i] as number;
      });
      return [out];
    },
    accuracy: { ulp: 0 },
  },
];
