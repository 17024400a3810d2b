import { fail } from "../../base/diagnostic.ts";
import { type Dim, dimText, shapeText } from "../dim.ts";
import type { Attrs, TensorType } from "../graph.ts";
import { count, type NDArray, ndarray, stridesOf } from "../ndarray.ts";
import type { OpRow } from "../op.ts";
import { tensorType } from "./axes.ts";
import { wrap } from "./combine.ts";
import { broadcastShapes, mayEqual, requireNumber, requireRank, sameDType } from "./infer.ts";

function matmulType(a: TensorType, b: TensorType, { parts }: Attrs): TensorType {
  const dtype = sameDType("matmul", a, b);
  requireNumber("matmul", a, "a");
  requireRank("matmul", a, 2, 8, "a");
  requireRank("matmul", b, 2, 8, "b");
  const [m, k] = a.shape.slice(-2) as [Dim, Dim];
  const [k2, n] = b.shape.slice(-2) as [Dim, Dim];
  if (!mayEqual(k, k2)) {
    fail("shape-mismatch", `matmul: shapes ${shapeText(a.shape)} and ${shapeText(b.shape)} do not contract`, {
      cause: `the last axis of the first has size ${dimText(k)}, the second-last axis of the second ${dimText(k2)}`,
      hint: mayEqual(k, n) ? "transpose the second argument" : "reshape or transpose one of them",
    });
  }
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), "matmul");
  return tensorType("matmul", dtype, [...(typeof parts === "number" ? [parts] : []), ...batch, m, n]);
}

/** Ways to compute a product of f32; the meaning is the same. Without matrix units there is only the first. */
export const productPrecisions = ["f32", "f16x3"] as const;
/** How products of f32 are computed: in f32, or as three products of halves where the device has matrix units for them. */
export type ProductPrecision = (typeof productPrecisions)[number];

/** The attribute of a matmul as one of another, for products that follow from it. */
export const precisionOf = ({ precision }: Attrs): Attrs => (typeof precision === "string" ? { precision } : {});

/** How a product's sum over K is divided: `count` parts of `depth` terms, the last one may have fewer. */
export interface ProductParts {
  readonly count: number;
  readonly depth: number;
}

/** Of a matmul that sums `k` terms; one part of all of them unless it has the attributes `parts` and `depth`. */
export const partsOf = ({ parts, depth }: Attrs, k: number): ProductParts => ({
  count: (parts as number | null | undefined) ?? 1,
  depth: (depth as number | null | undefined) ?? k,
});

/** Start of each batch's matrix in an operand whose batch axes broadcast to `batch`. */
function batchOffsets(x: NDArray, batch: readonly number[]): number[] {
  const strides = stridesOf(x.shape);
  const lead = batch.length - (x.shape.length - 2);
  let offsets = [0];
  batch.forEach((n, axis) => {
    const own = axis - lead;
    const stride = own < 0 || x.shape[own] === 1 ? 0 : (strides[own] as number);
    offsets = offsets.flatMap((o) => Array.from({ length: n }, (_, j) => o + j * stride));
  });
  return offsets;
}

function matmul(a: NDArray, b: NDArray, type: TensorType, attrs: Attrs): NDArray {
  const out = ndarray(type.dtype, type.shape as number[]);
  const batch = out.shape.slice(typeof attrs.parts === "number" ? 1 : 0, -2);
  const [m, n] = out.shape.slice(-2) as [number, number];
  const k = a.shape[a.shape.length - 1] as number;
  const aAt = batchOffsets(a, batch);
  const bAt = batchOffsets(b, batch);
  const integer = type.dtype === "i32" || type.dtype === "u32";
  const { count: parts, depth } = partsOf(attrs, k);
  for (let zp = 0; zp < parts * count(batch); zp++) {
    const z = zp % count(batch);
    const first = Math.floor(zp / count(batch)) * depth;
    for (let i = 0; i < m; i++) {
      const row = out.data.subarray((zp * m + i) * n, (zp * m + i + 1) * n);
      for (let p = first; p < Math.min(k, first + depth); p++) {
        const x = a.data[(aAt[z] as number) + i * k + p] as number;
        const base = (bAt[z] as number) + p * n;
        for (let j = 0; j < n; j++) {
          const y = b.data[base + j] as number;
          row[j] = integer ? wrap(type.dtype, (row[j] as number) + Math.imul(x, y)) : (row[j] as number) + x * y;
        }
      }
    }
  }
  return out;
}

export const contractionRows: readonly OpRow[] = [
  {
    name: "matmul",
    kind: "contraction",
    params: ["a", "b"],
    attrs: {
      parts: { type: "int", doc: "into how many sums the compiler divides the sum over k", default: null },
      depth: { type: "int", doc: "terms of each of them; the last one may have fewer", default: null },
      precision: {
        type: "string",
        doc: "how a product of f32 is computed: `f32`, or `f16x3`, by matrix units as three products of halves, as accurate",
        default: null,
        oneOf: productPrecisions,
      },
    },
    doc:
      "out[..., i, j] = sum over k of a[..., i, k] * b[..., k, j]: a is [..., M, K], b is [..., K, N], axes before the last two broadcast. " +
      "f16 accumulates in f32, integers wrap. dtypes: f32, f16, i32, u32. " +
      "Where the sum is in parts, which only the compiler does, they are the first axis of the result.",
    infer: ([a, b], attrs) => matmulType(a as TensorType, b as TensorType, attrs),
    evaluate: ([a, b], attrs, [t]) => [matmul(a as NDArray, b as NDArray, t as TensorType, attrs)],
    accuracy: { ulp: (k) => Math.max(1, 2 * k) },
  },
];
