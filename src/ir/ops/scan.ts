import type { TensorType } from "../graph.ts";
import { count, type NDArray, ndarray } from "../ndarray.ts";
import type { OpRow } from "../op.ts";
import { axisOf } from "./axes.ts";
import { wrap } from "./combine.ts";
import { requireNumber } from "./infer.ts";

export const scanRows: readonly OpRow[] = [
  {
    name: "cumSum",
    kind: "scan",
    params: ["x"],
    attrs: {
      axis: { type: "int", doc: "axis to sum along" },
      exclusive: { type: "bool", doc: "leave the element itself out of its sum", default: false },
      reverse: { type: "bool", doc: "sum from the end", default: false },
    },
    doc:
      "out[i] = the sum of x[0..i] along an axis (exclusive: x[0..i-1]; reverse: x[i..n-1]). f16 accumulates in f32, integers wrap. " +
      "dtypes: f32, f16, i32, u32.",
    infer: ([t], a) => {
      const x = t as TensorType;
      axisOf("cumSum", a.axis, x.shape);
      return { dtype: requireNumber("cumSum", x), shape: x.shape };
    },
    evaluate: ([t], a) => {
      const x = t as NDArray;
      const out = ndarray(x.dtype, x.shape);
      const n = x.shape[a.axis as number] as number;
      const inner = count(x.shape.slice((a.axis as number) + 1));
      for (let lane = 0; lane < (n === 0 ? 0 : x.data.length / n); lane++) {
        const base = Math.floor(lane / inner) * n * inner + (lane % inner);
        let sum = 0;
        for (let i = 0; i < n; i++) {
          const at = base + (a.reverse ? n - 1 - i : i) * inner;
          const next = wrap(x.dtype, sum + (x.data[at] as number));
          out.data[at] = a.exclusive ? sum : next;
          sum = next;
        }
      }
      return [out];
    },
    accuracy: { ulp: (n) => Math.max(1, n) },
  },
];
