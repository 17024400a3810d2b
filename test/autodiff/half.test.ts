import { describe, expect, test } from "vitest";
import type { DType } from "../../src/base/dtype.ts";
import type { Attrs, Graph } from "../../src/ir/graph.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { rows } from "../../src/ir/ops.ts";
import { graphOf, ranges } from "./cases.ts";
import { cotangents, derive, gradients, points } from "./gradcheck.ts";

/** Arguments and attributes of rows that are not elementwise; `?` stands for the dtype. */
const composites: Readonly<Record<string, readonly [args: string, attrs?: Attrs]>> = {
  mean: ["?[2,3]", { axes: [1], keepDims: false }],
  logSumExp: ["?[2,3]", { axes: [1], keepDims: false }],
  l2: ["?[2,3]", { axes: [1], keepDims: false }],
  softmax: ["?[2,3]", { axis: 1 }],
  logSoftmax: ["?[2,3]", { axis: 1 }],
  crossEntropy: ["?[4,5] i32[4]", { labelSmoothing: 0.1 }],
  layerNorm: ["?[2,4] ?[4] f32[4]", { axes: [1], epsilon: 1e-5 }],
  rmsNorm: ["?[2,4] ?[4]", { axes: [1], epsilon: 1e-5 }],
  groupNorm: ["?[2,4,3] ?[4] f32[4]", { groups: 2, epsilon: 1e-5 }],
  rope: ["?[3,4] f32[3]", { base: 100, pairing: "halves" }],
  split: ["?[2,3]", { axis: 1, sizes: [1, 2] }],
};

const attrs: Readonly<Record<string, Attrs>> = { gelu: { approximate: "tanh" }, cast: { dtype: "f16" } };

const smooth = rows.filter((r) => r.elementwise && r.derivative);

type Form = readonly [name: string, args: string, attrs: Attrs | undefined];

const forms: readonly Form[] = [
  ...smooth.map((r): Form => {
    const args = r.params.map((p, i) => `${p === "cond" ? "bool" : "?"}[${i === 0 ? "2,3" : "3"}]`);
    return [r.name, args.join(" "), attrs[r.name]];
  }),
  ...Object.entries(composites).map(([name, [args, a]]): Form => [name, args, a]),
];

const inDType = (name: string, args: string, dtype: DType, a?: Attrs): Graph =>
  graphOf(name, args.replaceAll("?", dtype), a);

// The formulas are computed in f32: f16 costs the rounding of what is kept in it and of the gradient itself.
describe("gradients in f16 have the dtype of their argument and are those of f32, rounded", () => {
  test.each<Form>(forms)("%s", (name, args, a) => {
    const [half, full] = [inDType(name, args, "f16", a), inDType(name, args, "f32", a)];
    const given = { ...points(half, ranges[name]), ...cotangents(half) };
    // The same numbers for both, such as f16 holds.
    const rounded = (dtype: DType, x: NDArray): NDArray => ({
      ...x,
      dtype,
      data: x.data.map((v) => Math.round(v * 256) / 256),
    });
    const isFloat = (x: NDArray): boolean => x.dtype === "f16" || x.dtype === "f32";
    const mapped = (g: Graph): Record<string, NDArray> => {
      const inputs = derive(g).graph.inputs;
      return Object.fromEntries(
        inputs.map((n) => {
          const x = given[n.attrs.name as string] as NDArray;
          return [n.attrs.name, isFloat(x) ? rounded(n.type.dtype, x) : x];
        }),
      );
    };
    const found = gradients(derive(half), mapped(half));
    const want = gradients(derive(full), mapped(full));
    for (const [i, g] of found.entries()) {
      const exact = want[i] as NDArray;
      expect(g.dtype).toBe(derive(half).wrt[i]?.type.dtype);
      const largest = exact.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      for (const [k, v] of exact.data.entries())
        expect(Math.abs(v - (g.data[k] as number))).toBeLessThanOrEqual(2 ** -8 * largest);
    }
  });
});
