import { describe, expect, test } from "vitest";
import { isFloat } from "../../src/base/dtype.ts";
import type { Graph } from "../../src/ir/graph.ts";
import type { OpRow } from "../../src/ir/op.ts";
import { rows } from "../../src/ir/ops.ts";
import { cases, ranges } from "./cases.ts";
import { gradcheck, points } from "./gradcheck.ts";

// A kernel in the user's own WGSL has a derivative that says that it has none.
const differentiable = rows.filter((r) => r.derivative !== null && r.name !== "wgsl");

test("every row has a derivative, or says that it has none, or decomposes", () => {
  const forgotten = rows.filter((r) => r.derivative === undefined && !r.decompose).map((r) => r.name);
  // `result` names one result of a node; the driver itself goes through it.
  expect(forgotten).toEqual(["result"]);
});

/** f32 graphs of a row that have floats on both sides. */
const floating = (row: OpRow): Graph[] =>
  cases(row).filter((g) =>
    [g.inputs, g.outputs.map((o) => o.node)].every((list) => list.some((n) => isFloat(n.type.dtype))),
  );

const problemsOf = (row: OpRow, graphs: readonly Graph[]): string[] =>
  graphs.flatMap((g, i) => {
    const problem = gradcheck(g, points(g, ranges[row.name], i + 1));
    return problem ? [`${g.inputs.map((n) => `${n.type.dtype}[${n.type.shape}]`).join(" ")}: ${problem}`] : [];
  });

test("rows that say they have no derivative do not change with their arguments", () => {
  // Stopping is what it is for.
  const constant = rows.filter((r) => r.derivative === null && r.name !== "stopGradient" && r.params.length > 0);
  expect(constant.length).toBeGreaterThan(20);
  expect(constant.flatMap((r) => problemsOf(r, floating(r)))).toEqual([]);
});

describe("derivatives equal central differences in f64", () => {
  test.each(differentiable.map((r) => [r.name, r] as const))("%s", (_, row) => {
    const graphs = floating(row);
    expect(graphs.length, "add an example of f32 to test/autodiff/cases.ts").toBeGreaterThan(0);
    expect(problemsOf(row, graphs)).toEqual([]);
  });
});
