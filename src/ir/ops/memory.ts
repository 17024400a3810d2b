import { fail } from "../../base/diagnostic.ts";
import { type DType, storageBytes } from "../../base/dtype.ts";
import { isConcrete, type Shape, shapeText } from "../dim.ts";
import type { Attrs, TensorType } from "../graph.ts";
import { count, type NDArray, ndarray } from "../ndarray.ts";
import type { OpRow } from "../op.ts";
import { tensorType } from "./axes.ts";
import { sameDType, typeText } from "./infer.ts";
import { mapReshape } from "./reshape.ts";

/** Elements of a dtype that fill the alignment of a window: 256 bytes, what WebGPU asks of an offset everywhere. */
export const windowAlignment = (dtype: DType): number => 256 / storageBytes[dtype];

/** Where the arguments of a `pack` begin in its result, in elements, and how many there are in all. */
export function packLayout(types: readonly TensorType[]): {
  readonly offsets: readonly number[];
  readonly total: number;
} {
  let total = 0;
  const offsets = types.map((t) => {
    const unit = windowAlignment(t.dtype);
    const at = total;
    total += Math.ceil(count(t.shape as number[]) / unit) * unit;
    return at;
  });
  return { offsets, total };
}

function requireConcrete(op: string, t: TensorType): void {
  if (isConcrete(t.shape)) return;
  fail("unbound-dim", `${op} needs known sizes, not ${typeText(t)}`, {
    cause: "where a tensor lies in memory is decided when its size is known",
    hint: "pack tensors without named dims, such as parameters",
  });
}

function packType(xs: readonly TensorType[]): TensorType {
  if (xs.length === 0) fail("bad-arguments", "pack takes at least one tensor", { hint: "give it tensors" });
  sameDType("pack", ...xs);
  for (const x of xs) requireConcrete("pack", x);
  return tensorType("pack", (xs[0] as TensorType).dtype, [packLayout(xs).total]);
}

function windowType(x: TensorType, a: Attrs): TensorType {
  const [start, shape] = [a.start as number, a.shape as Shape];
  requireConcrete("window", x);
  const n = count(x.shape as number[]);
  if (!isConcrete(shape) || !Number.isInteger(start) || start < 0 || start + count(shape as number[]) > n) {
    fail("bad-slice", `window of ${typeText(x)}: ${shapeText(shape)} from element ${start} is not inside it`, {
      cause: `it has ${n} elements`,
      hint: "keep the range inside the tensor",
    });
  }
  return tensorType("window", x.dtype, shape);
}

/**
 * Rows about where tensors lie in memory. `pack` and `window` say that tensors are parts of a larger one; a plan lays them
 * out so that neither moves a byte.
 */
export const memoryRows: readonly OpRow[] = [
  {
    name: "pack",
    kind: "view",
    params: ["...xs"],
    doc:
      "All elements of several tensors of one dtype in one of a single axis: each in row-major order, followed by zeros up to a multiple of 256 bytes. " +
      "Its arguments are placed so that nothing is copied.",
    infer: packType,
    evaluate: (xs, _, [t]) => {
      const out = ndarray((t as TensorType).dtype, (t as TensorType).shape as number[]);
      const { offsets } = packLayout(xs);
      xs.forEach((x: NDArray, i) => {
        out.data.set(x.data, offsets[i] as number);
      });
      return [out];
    },
  },
  {
    name: "window",
    kind: "view",
    params: ["x"],
    attrs: {
      start: { type: "int", doc: "the first element, in row-major order" },
      shape: { type: "shape", doc: "shape of the result" },
    },
    doc: "Consecutive elements of x, in row-major order, in a shape of their own.",
    infer: ([x], a) => windowType(x as TensorType, a),
    view: {
      map(alg, index, { attrs, from, to }) {
        let at = alg.int(attrs.start as number);
        let stride = 1;
        for (let i = to.length - 1; i >= 0; i--) {
          at = alg.add(at, alg.mul(index[i] as never, stride));
          stride *= to[i] as number;
        }
        const n = from.reduce((p, d) => p * d, 1);
        return mapReshape(alg, [at], from, [n]);
      },
    },
  },
  {
    name: "segments",
    kind: "leaf",
    params: [],
    attrs: { sizes: { type: "ints", doc: "number of elements of each segment" } },
    doc: "For each element of consecutive segments the number of its segment, u32, counted from 0.",
    infer: (_, a) => {
      const sizes = a.sizes as readonly number[];
      if (!Array.isArray(sizes) || sizes.some((n) => !Number.isInteger(n) || n < 0)) {
        fail("bad-attribute", `segments: sizes are ${JSON.stringify(sizes)}`, { hint: "give integers of at least 0" });
      }
      return tensorType("segments", "u32", [sizes.reduce((p, n) => p + n, 0)]);
    },
    evaluate: (_, a, [t]) => {
      const out = ndarray("u32", (t as TensorType).shape as number[]);
      let at = 0;
      (a.sizes as readonly number[]).forEach((n, i) => {
        out.data.fill(i, at, at + n);
        at += n;
      });
      return [out];
    },
  },
];
