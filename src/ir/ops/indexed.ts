import { fail } from "../../base/diagnostic.ts";
import { type Dim, dimText, isSym, type Shape, shapeText } from "../dim.ts";
import type { Attrs, TensorType } from "../graph.ts";
import { count, forEachIndex, type NDArray, ndarray, stridesOf } from "../ndarray.ts";
import type { AttrSpec, OpRow } from "../op.ts";
import { axisOf, range, splice, tensorType } from "./axes.ts";
import { combines } from "./combine.ts";
import {
  mayEqual,
  requireDType,
  requireInteger,
  requireNumber,
  requireRank,
  sameDType,
  sameShape,
  typeText,
} from "./infer.ts";

const axis: AttrSpec = { type: "int", doc: "axis of data that is indexed" };
const reduction: AttrSpec = {
  type: "string",
  doc: "how an update joins the element it hits",
  default: "none",
  oneOf: ["none", "add", "mul", "min", "max"],
};
const wrapDoc = "Indices are i32 or u32; negative ones count from the end";
const gatherDoc = `${wrapDoc}, and what is still outside is clamped into range.`;
const scatterDoc =
  `${wrapDoc}, and updates that are still outside are dropped. Updates apply in row-major order: with reduction none the last one of ` +
  "several at one element wins; f16 accumulates in f32.";

/** An index with negatives counted from the end; may still be outside `0..n-1`. */
const wrapped = (i: number, n: number): number => (i < 0 ? i + n : i);
const clamped = (i: number, n: number): number => Math.min(n - 1, Math.max(0, wrapped(i, n)));

/** Refuses to read from an axis that is known to be empty, unless nothing is read. `names`: what the op calls the two. */
export function requireReadable(
  op: string,
  data: TensorType,
  at: number,
  indices: TensorType,
  names: readonly [string, string] = ["data", "indices"],
): void {
  const [from, by] = names;
  if (data.shape[at] !== 0 || indices.shape.some((d) => d === 0 || isSym(d))) return;
  fail("empty-axis", `${op}: axis ${at} of ${from} ${typeText(data)} is empty, but ${by} are ${typeText(indices)}`, {
    cause: "there is no element to read",
    hint: `give ${by} with a zero size, or ${from} with elements`,
  });
}

/** `inner` fits inside `outer` on every axis but `free`. */
function requireInside(op: string, inner: TensorType, outer: TensorType, free: number): void {
  const bad = inner.shape.findIndex((d, i) => {
    const n = outer.shape[i] as Dim;
    return i !== free && !isSym(d) && !isSym(n) && d > n;
  });
  if (bad < 0) return;
  fail("shape-mismatch", `${op}: indices ${typeText(inner)} reach outside data ${typeText(outer)}`, {
    cause: `on axis ${bad} they have ${dimText(inner.shape[bad] as Dim)} entries for ${dimText(outer.shape[bad] as Dim)} elements`,
    hint: `slice the indices, or index another axis than ${free}`,
  });
}

function requireEqualRank(op: string, data: TensorType, indices: TensorType): void {
  if (data.shape.length === indices.shape.length) return;
  fail("rank-mismatch", `${op}: data ${typeText(data)} and indices ${typeText(indices)} must have one rank`, {
    cause: `${op} takes one index for each element of the result`,
    hint: op === "gatherElements" ? "use gather to pick whole slices" : "use scatterND to write whole slices",
  });
}

/** K of indices [..., K]. */
function indexDepth(op: string, data: TensorType, indices: TensorType, batchDims: number): number {
  requireRank(op, indices, batchDims + 1, 8, "indices");
  const k = indices.shape[indices.shape.length - 1] as Dim;
  if (isSym(k) || k + batchDims > data.shape.length) {
    fail("shape-mismatch", `${op}: indices ${typeText(indices)} do not index data ${typeText(data)}`, {
      cause: `the last axis of the indices holds one index for each of the first axes of data${batchDims ? ` after ${batchDims} batch axes` : ""}`,
      hint: `give it a known size of at most ${data.shape.length - batchDims}`,
    });
  }
  return k;
}

function gatherNDType(data: TensorType, indices: TensorType, a: Attrs): TensorType {
  const b = (a.batchDims as number | undefined) ?? 0;
  requireInteger("gatherND", indices, "indices");
  const k = indexDepth("gatherND", data, indices, b);
  const batch = range(b).map((i) => [data.shape[i] as Dim, indices.shape[i] as Dim] as const);
  if (batch.some(([x, y]) => !mayEqual(x, y))) {
    fail("shape-mismatch", `gatherND: data ${typeText(data)} and indices ${typeText(indices)} differ in batch axes`, {
      cause: `with batchDims ${b} their first ${b} sizes must be equal`,
      hint: "expand one of them, or use fewer batch axes",
    });
  }
  for (const i of range(k)) requireReadable("gatherND", data, b + i, indices);
  return tensorType("gatherND", data.dtype, [...indices.shape.slice(0, -1), ...data.shape.slice(b + k)]);
}

function requireUpdates(op: string, data: TensorType, updates: TensorType, shape: Shape, a: Attrs): void {
  sameDType(op, data, updates);
  const how = a.reduction ?? "none";
  if (how !== "none") requireNumber(`${op} with reduction ${how}`, data, "data");
  sameShape(op, updates.shape, shape, `updates ${shapeText(updates.shape)} and the elements that the indices name`);
}

function scatterTypes(data: TensorType, indices: TensorType, updates: TensorType, a: Attrs): TensorType {
  requireInteger("scatterElements", indices, "indices");
  requireEqualRank("scatterElements", data, indices);
  requireInside("scatterElements", indices, data, axisOf("scatterElements", a.axis, data.shape));
  requireUpdates("scatterElements", data, updates, indices.shape, a);
  return data;
}

/** Writes update `from` at element `to`, or joins it by the reduction. */
type Put = (to: number, from: number) => void;

function writer(out: NDArray, updates: NDArray, a: Attrs): Put {
  const how = (a.reduction ?? "none") as "none" | keyof typeof combines;
  const join = how === "none" ? (_: number, y: number): number => y : combines[how];
  return (to, from) => {
    out.data[to] = join(out.data[to] as number, updates.data[from] as number, out.dtype);
  };
}

/** Offset of the slice that an index tuple names, or undefined when it is outside and `clamp` is off. */
function tupleOffset(
  indices: NDArray,
  at: number,
  sizes: readonly number[],
  strides: readonly number[],
  clamp: boolean,
): number | undefined {
  let offset = 0;
  for (let j = 0; j < sizes.length; j++) {
    const n = sizes[j] as number;
    const raw = indices.data[at + j] as number;
    const i = clamp ? clamped(raw, n) : wrapped(raw, n);
    if (i < 0 || i >= n) return undefined;
    offset += i * (strides[j] as number);
  }
  return offset;
}

export const indexedRows: readonly OpRow[] = [
  {
    name: "gather",
    kind: "indexed",
    params: ["data", "indices"],
    attrs: { axis },
    doc: `Picks slices of data along an axis: the axis is replaced by the shape of the indices. ${gatherDoc}`,
    infer: ([d, i], a) => {
      const [data, indices] = [d as TensorType, i as TensorType];
      requireInteger("gather", indices, "indices");
      const at = axisOf("gather", a.axis, data.shape);
      requireReadable("gather", data, at, indices);
      return tensorType("gather", data.dtype, splice(data.shape, at, 1, ...indices.shape));
    },
    evaluate: ([d, i], a, [t]) => {
      const [data, indices] = [d as NDArray, i as NDArray];
      const out = ndarray(data.dtype, (t as TensorType).shape as number[]);
      const n = data.shape[a.axis as number] as number;
      const inner = count(data.shape.slice((a.axis as number) + 1));
      const outer = count(data.shape.slice(0, a.axis as number));
      let to = 0;
      for (let o = 0; o < outer && out.data.length > 0; o++) {
        for (const raw of indices.data) {
          const from = (o * n + clamped(raw, n)) * inner;
          out.data.set(data.data.subarray(from, from + inner), to);
          to += inner;
        }
      }
      return [out];
    },
  },
  {
    name: "gatherElements",
    kind: "indexed",
    params: ["data", "indices"],
    attrs: { axis },
    doc: `Picks one element for each index: out[i, j] = data[indices[i, j], j] for axis 0 of two. Data and indices have one rank. ${gatherDoc}`,
    infer: ([d, i], a) => {
      const [data, indices] = [d as TensorType, i as TensorType];
      requireInteger("gatherElements", indices, "indices");
      requireEqualRank("gatherElements", data, indices);
      const at = axisOf("gatherElements", a.axis, data.shape);
      requireInside("gatherElements", indices, data, at);
      requireReadable("gatherElements", data, at, indices);
      return { dtype: data.dtype, shape: indices.shape };
    },
    evaluate: ([d, i], a) => {
      const [data, indices] = [d as NDArray, i as NDArray];
      const out = ndarray(data.dtype, indices.shape);
      const strides = stridesOf(data.shape);
      const at = a.axis as number;
      forEachIndex(indices.shape, (index, k) => {
        const own = clamped(indices.data[k] as number, data.shape[at] as number);
        let from = 0;
        index.forEach((j, axis) => {
          from += (axis === at ? own : j) * (strides[axis] as number);
        });
        out.data[k] = data.data[from] as number;
      });
      return [out];
    },
  },
  {
    name: "gatherND",
    kind: "indexed",
    params: ["data", "indices"],
    attrs: { batchDims: { type: "int", doc: "leading axes that data and indices share", default: 0 } },
    doc: `Picks the slices of data that index tuples name: indices [..., K] index the first K axes of data (after the batch axes). ${gatherDoc}`,
    infer: ([d, i], a) => gatherNDType(d as TensorType, i as TensorType, a),
    evaluate: ([d, i], a, [t]) => {
      const [data, indices] = [d as NDArray, i as NDArray];
      const out = ndarray(data.dtype, (t as TensorType).shape as number[]);
      const b = (a.batchDims as number | undefined) ?? 0;
      const k = indices.shape[indices.shape.length - 1] as number;
      const sizes = data.shape.slice(b, b + k);
      const strides = stridesOf(data.shape).slice(b, b + k);
      const inner = count(data.shape.slice(b + k));
      const tuples = count(indices.shape.slice(b, -1));
      for (let z = 0, to = 0; to < out.data.length; z++, to += inner) {
        const base = Math.floor(z / tuples) * count(data.shape.slice(b));
        const from = base + (tupleOffset(indices, z * k, sizes, strides, true) as number);
        out.data.set(data.data.subarray(from, from + inner), to);
      }
      return [out];
    },
  },
  {
    name: "scatterElements",
    kind: "indexed",
    params: ["data", "indices", "updates"],
    attrs: { axis, reduction },
    doc:
      "A copy of data with one element written for each index: out[indices[i, j], j] = updates[i, j] for axis 0 of two. Data, indices and " +
      `updates have one rank. ${scatterDoc}`,
    infer: ([d, i, u], a) => scatterTypes(d as TensorType, i as TensorType, u as TensorType, a),
    evaluate: ([d, i, u], a) => {
      const [data, indices] = [d as NDArray, i as NDArray];
      const out = ndarray(data.dtype, data.shape, data.data);
      const put = writer(out, u as NDArray, a);
      const strides = stridesOf(data.shape);
      const at = a.axis as number;
      const n = data.shape[at] as number;
      forEachIndex(indices.shape, (index, k) => {
        const own = wrapped(indices.data[k] as number, n);
        if (own < 0 || own >= n) return;
        let to = 0;
        index.forEach((j, axis) => {
          to += (axis === at ? own : j) * (strides[axis] as number);
        });
        put(to, k);
      });
      return [out];
    },
  },
  {
    name: "scatterND",
    kind: "indexed",
    params: ["data", "indices", "updates"],
    attrs: { reduction },
    doc:
      "A copy of data with slices written where index tuples say: indices [..., K] index the first K axes of data, updates are " +
      `[..., remaining axes of data]. ${scatterDoc}`,
    infer: ([d, i, u], a) => {
      const [data, indices] = [d as TensorType, i as TensorType];
      requireDType("scatterND", indices, ["i32", "u32"], "indices");
      const k = indexDepth("scatterND", data, indices, 0);
      const shape = [...indices.shape.slice(0, -1), ...data.shape.slice(k)];
      requireUpdates("scatterND", data, u as TensorType, shape, a);
      return data;
    },
    evaluate: ([d, i, u], a) => {
      const [data, indices] = [d as NDArray, i as NDArray];
      const out = ndarray(data.dtype, data.shape, data.data);
      const put = writer(out, u as NDArray, a);
      const k = indices.shape[indices.shape.length - 1] as number;
      const sizes = data.shape.slice(0, k);
      const strides = stridesOf(data.shape).slice(0, k);
      const inner = count(data.shape.slice(k));
      for (let z = 0; z < count(indices.shape.slice(0, -1)); z++) {
        const to = tupleOffset(indices, z * k, sizes, strides, false);
        if (to === undefined) continue;
        for (let j = 0; j < inner; j++) put(to + j, z * inner + j);
      }
      return [out];
    },
  },
];
