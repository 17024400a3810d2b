import type { DType } from "../../base/dtype.ts";
import type { Attrs, TensorType } from "../graph.ts";
import { type NDArray, ndarray } from "../ndarray.ts";
import type { AttrSpec, OpRow } from "../op.ts";
import { axesOf, reducedShape } from "./axes.ts";
import { type Combine, combines, greatestOf, leastOf, reducedPositions } from "./combine.ts";
import { numbers, requireDType } from "./infer.ts";
import { reduceRow } from "./reduce.ts";

export const reduceAttrs: Readonly<Record<string, AttrSpec>> = {
  axes: { type: "ints", doc: "axes to reduce, ascending; an empty list reduces none" },
  keepDims: { type: "bool", doc: "keep reduced axes with size 1", default: false },
};

export const reducedType = (op: string, x: TensorType, a: Attrs): TensorType => ({
  dtype: x.dtype,
  shape: reducedShape(x.shape, axesOf(op, a.axes, x.shape), a.keepDims === true),
});

function reduction(
  name: string,
  combine: keyof typeof combines,
  identity: (dtype: DType) => number,
  dtypes: readonly DType[],
  doc: string,
  accuracy: OpRow["accuracy"],
): OpRow {
  return {
    name,
    kind: "reduction",
    params: ["x"],
    attrs: reduceAttrs,
    doc: `${doc} Of no elements the result is the identity. dtypes: ${dtypes.join(", ")}.`,
    infer: ([x], a) => {
      requireDType(name, x as TensorType, dtypes);
      return reducedType(name, x as TensorType, a);
    },
    reduction: { combine, identity },
    evaluate: ([x], a, [t]) => [reduceArray(x as NDArray, a, t as TensorType, combines[combine], identity)],
    ...(accuracy ? { accuracy } : {}),
  };
}

function reduceArray(
  x: NDArray,
  a: Attrs,
  type: TensorType,
  combine: Combine,
  identity: (dtype: DType) => number,
): NDArray {
  const out = ndarray(x.dtype, type.shape as number[]);
  out.data.fill(identity(x.dtype));
  const to = reducedPositions(x.shape, a.axes as number[]);
  const { dtype } = x;
  for (let i = 0; i < to.length; i++) {
    const p = to[i] as number;
    out.data[p] = combine(out.data[p] as number, x.data[i] as number, dtype);
  }
  return out;
}

const linear = { ulp: (n: number) => Math.max(1, n) };

export const reductionRows: readonly OpRow[] = [
  reduction("sum", "add", () => 0, numbers, "Sum over axes; f16 accumulates in f32, integers wrap.", linear),
  reduction("prod", "mul", () => 1, numbers, "Product over axes; f16 accumulates in f32, integers wrap.", linear),
  reduction("reduceMin", "min", greatestOf, numbers, "Smallest element over axes; NaN if any is NaN.", { ulp: 0 }),
  reduction("reduceMax", "max", leastOf, numbers, "Largest element over axes; NaN if any is NaN.", { ulp: 0 }),
  reduction("any", "or", () => 0, ["bool"], "Whether any element over axes is true.", { ulp: 0 }),
  reduction("all", "and", () => 1, ["bool"], "Whether all elements over axes are true.", { ulp: 0 }),
  reduceRow,
];
