import { describe, expect, test } from "vitest";
import { type DType, dtypes } from "../../src/base/dtype.ts";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { rows } from "../../src/ir/ops.ts";
import { print } from "../../src/ir/print.ts";
import { verify } from "../../src/ir/verify.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { special } from "../support/values.ts";

const elementwise = rows.filter((r) => r.elementwise);
const unary = elementwise.filter((r) => r.params.length === 1 && !r.attrs);
const binary = elementwise.filter((r) => r.params.length === 2);

/** Same to the sign of zero and NaN. Folded constants are rounded to f32, and products may be in another order. */
const same = (a: number, b: number): boolean =>
  Object.is(a, b) || (Number.isFinite(a) && a * Math.sign(b) > 0 && Math.abs(a - b) <= 2 ** -23 * Math.abs(b));

/** x and y over all pairs of special values. */
function pairs(dtype: DType): { x: NDArray; y: NDArray } {
  const s = special[dtype];
  const shape = [s.length * s.length];
  return {
    x: ndarray(
      dtype,
      shape,
      s.flatMap((v) => s.map(() => v)),
    ),
    y: ndarray(
      dtype,
      shape,
      s.flatMap(() => s),
    ),
  };
}

let rewritten = 0;

function check(dtype: DType, make: (b: GraphBuilder, x: Node, y: Node) => Node): void {
  const b = new GraphBuilder();
  const inputs = pairs(dtype);
  const [x, y] = ["x", "y"].map((name) => b.input(name, inputs.x)) as [Node, Node];
  let node: Node;
  try {
    node = make(b, x, y);
  } catch {
    // Not every row takes every dtype.
    return;
  }
  const before: Graph = makeGraph([x, y], [{ name: "out", node }]);
  const after = optimise(before);
  if (after === before) return;
  rewritten++;
  verify(after, "decomposed");
  const [want, got] = [interpret(before, inputs).out, interpret(after, inputs).out] as [NDArray, NDArray];
  want.data.forEach((w, i) => {
    const g = got.data[i] as number;
    if (!same(g, w)) {
      expect.fail(
        `x = ${inputs.x.data[i]}, y = ${inputs.y.data[i]}: ${g} instead of ${w}\n${print(before)}${print(after)}`,
      );
    }
  });
}

describe.each(dtypes)("%s", (dtype) => {
  test("a constant operand", () => {
    rewritten = 0;
    for (const row of binary) {
      for (const value of [...special[dtype], 2, 4, -0.5].filter((v) => Number.isInteger(v) || dtype.startsWith("f"))) {
        if (dtype === "u32" && value < 0) continue;
        check(dtype, (b, x) => b.add(row.name, [x, b.const(value, dtype)]));
        check(dtype, (b, x) => b.add(row.name, [b.const(value, dtype), x]));
        check(dtype, (b, x) => b.add(row.name, [x, b.const(value, dtype, x.type.shape)]));
      }
    }
    expect(rewritten).toBeGreaterThan(20);
  });
  test("two constants one after the other", () => {
    const values = special[dtype].slice(0, 8);
    for (const row of binary) {
      for (const c of values) {
        for (const d of values) {
          check(dtype, (b, x) => b.add(row.name, [b.add(row.name, [x, b.const(c, dtype)]), b.const(d, dtype)]));
        }
      }
    }
  });
  test("one operand twice, negated or inverted", () => {
    for (const row of binary) {
      check(dtype, (b, x) => b.add(row.name, [x, x]));
      for (const op of ["neg", "not", "reciprocal"]) {
        check(dtype, (b, x, y) => b.add(row.name, [b.add(op, [x]), y]));
        check(dtype, (b, x, y) => b.add(row.name, [x, b.add(op, [y])]));
        check(dtype, (b, x, y) => b.add(row.name, [b.add(op, [x]), b.add(op, [y])]));
        check(dtype, (b, x) => b.add(row.name, [b.add(op, [x]), b.const(3, dtype)]));
        check(dtype, (b, x, y) => b.add(op, [b.add(row.name, [x, y])]));
      }
    }
  });
  test("one function of another", () => {
    for (const f of unary) for (const g of unary) check(dtype, (b, x) => b.add(f.name, [b.add(g.name, [x])]));
  });
  test("chains of casts", () => {
    for (const via of dtypes) {
      for (const to of dtypes) {
        check(dtype, (b, x) => b.add("cast", [b.add("cast", [x], { dtype: via })], { dtype: to }));
        check(dtype, (b, x) => b.add("bitcast", [b.add("bitcast", [x], { dtype: via })], { dtype: to }));
      }
    }
  });
  test("selections", () => {
    const one = (b: GraphBuilder, value: number): Node => b.const(value, dtype);
    for (const value of [0, 1]) {
      check(dtype, (b, x, y) => b.add("where", [b.const(value, "bool"), x, y]));
      check(dtype, (b, x, y) => b.add("where", [b.add("less", [x, y]), one(b, value), one(b, 1 - value)]));
      for (const row of binary) {
        check(dtype, (b, x, y) =>
          b.add(row.name, [b.add("where", [b.add("less", [x, y]), one(b, 1), one(b, 0)]), one(b, value)]),
        );
        check(dtype, (b, x, y) => b.add(row.name, [b.add("cast", [b.add("equal", [x, y])], { dtype }), one(b, value)]));
      }
    }
    check(dtype, (b, x, y) => b.add("where", [b.add("less", [x, y]), x, x]));
    check(dtype, (b, x, y) => b.add("where", [b.add("not", [b.add("less", [x, y])]), x, y]));
    check(dtype, (b, x) => b.add("clamp", [x, one(b, 0), one(b, 1)]));
  });
});
