import { describe, expect, test } from "vitest";
import { isFloat } from "../../src/base/dtype.ts";
import { rows } from "../../src/ir/ops.ts";
import { cases, ranges } from "./cases.ts";
import { gradcheck, points } from "./gradcheck.ts";

const differentiable = rows.filter((r) => r.derivative !== null);

test("every row has a derivative, or says that it has none, or decomposes", () => {
  const forgotten = rows.filter((r) => r.derivative === undefined && !r.decompose).map((r) => r.name);
  // `result` names one result of a node; the driver itself goes through it.
  expect(forgotten).toEqual(["result"]);
});

describe("derivatives equal central differences in f64", () => {
  test.each(differentiable.map((r) => [r.name, r] as const))("%s", (name, row) => {
    const graphs = cases(row).filter((g) =>
      [g.inputs, g.outputs.map((o) => o.node)].every((list) => list.some((n) => isFloat(n.type.dtype))),
    );
    expect(graphs.length, "add an example of f32 to test/autodiff/cases.ts").toBeGreaterThan(0);
    const wrong = graphs.flatMap((g, i) => {
      const problem = gradcheck(g, points(g, ranges[name], i + 1));
      return problem ? [`${g.inputs.map((n) => `${n.type.dtype}[${n.type.shape}]`).join(" ")}: ${problem}`] : [];
    });
    expect(wrong).toEqual([]);
  });
});
