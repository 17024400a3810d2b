import { fail } from "../../base/diagnostic.ts";
import type { DType } from "../../base/dtype.ts";
import type { Shape } from "../dim.ts";
import type { TensorType } from "../graph.ts";
import { count, forEachIndex, ndarray } from "../ndarray.ts";
import type { OpRow } from "../op.ts";

const declared = (_: unknown, a: Readonly<Record<string, unknown>>): TensorType => ({
  dtype: a.dtype as DType,
  shape: a.shape as Shape,
});
const dtype = { type: "dtype", doc: "element type" } as const;
const shape = { type: "shape", doc: "shape" } as const;

export const leafRows: readonly OpRow[] = [
  {
    name: "input",
    kind: "leaf",
    params: [],
    attrs: {
      name: { type: "string", doc: "path in the input tree" },
      dtype,
      shape,
      role: { type: "string", doc: "data, weight or state", default: "data", oneOf: ["data", "weight", "state"] },
    },
    doc: "A tensor given from outside.",
    infer: declared,
  },
  {
    name: "const",
    kind: "leaf",
    params: [],
    attrs: { value: { type: "float", doc: "the value" }, dtype, shape },
    doc: "A tensor filled with one value.",
    infer: declared,
    evaluate: (_, a, [t]) => [
      ndarray(
        a.dtype as DType,
        t?.shape as number[],
        new Float64Array(count(t?.shape as number[])).fill(a.value as number),
      ),
    ],
  },
  {
    name: "literal",
    kind: "leaf",
    params: [],
    attrs: { data: { type: "data", doc: "row-major elements" }, dtype, shape },
    doc: "A tensor of given elements.",
    infer: declared,
    evaluate: (_, a, [t]) => [ndarray(a.dtype as DType, t?.shape as number[], a.data as ArrayLike<number>)],
  },
  {
    name: "iota",
    kind: "leaf",
    params: [],
    attrs: { axis: { type: "int", doc: "axis along which values count" }, dtype, shape },
    doc: "Each element is its index along `axis`.",
    infer: declared,
    evaluate: (_, a, [t]) => {
      const out = ndarray(a.dtype as DType, t?.shape as number[]);
      forEachIndex(out.shape, (i, k) => {
        out.data[k] = i[a.axis as number] as number;
      });
      return [out];
    },
  },
  {
    name: "result",
    kind: "leaf",
    params: ["node"],
    attrs: { index: { type: "int", doc: "which result" } },
    doc: "One result of a node that has several.",
    infer: (results, a) =>
      results[a.index as number] ?? fail("bad-result", `there is no result ${a.index} among ${results.length}`),
  },
];
