import { describe, expect, test } from "vitest";
import { isFloat } from "../../src/base/dtype.ts";
import { rows } from "../../src/ir/ops.ts";
import { cases, ranges } from "./cases.ts";
import { derive, gradcheck, points } from "./gradcheck.ts";

/** Too many elements for a second difference quotient by each, states that only ever combine to the first of two, or no derivative. */
const left = /^(attention.*|call|reduce|wgsl)$/;

const smooth = rows.filter((r) => r.derivative !== null && !left.test(r.name));

// A derivative is made of ordinary nodes, so it has one itself: of results that are reused as of constants that are not.
describe("derivatives of derivatives equal central differences in f64", () => {
  test.each(smooth.map((r) => [r.name, r] as const))("%s", (name, row) => {
    const [first] = cases(row)
      .filter((g) => g.inputs.some((n) => isFloat(n.type.dtype)) && g.outputs.some((o) => isFloat(o.node.type.dtype)))
      .map((g) => derive(g).graph);
    if (first?.outputs.length) expect(gradcheck(first, points(first, ranges[name], 3))).toBeUndefined();
  });
});
