import { describe, expect, test } from "vitest";
import { fuse } from "../../src/fuse/fuse.ts";
import { legalise } from "../../src/fuse/legalise.ts";
import { placeOf, storesOf } from "../../src/fuse/pull.ts";
import { type Graph, GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { packLayout } from "../../src/ir/ops/memory.ts";
import { verify } from "../../src/ir/verify.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { benignInputs, difference } from "../support/values.ts";

const shapes: readonly (readonly number[])[] = [[70, 64], [7], [3, 5], [128], [33, 9]];
const { offsets } = packLayout(shapes.map((shape) => ({ dtype: "f32", shape })));

/** A step over packed parameters: gradients of several kinds, their norm, two new states. */
function step(): Graph {
  const b = new GraphBuilder();
  const states = (name: string): Node[] =>
    shapes.map((shape, i) => b.input(`${name}${i}`, { dtype: "f32", shape }, "state"));
  const [p, m] = [states("p"), states("m")];
  const x = b.input("x", { dtype: "f32", shape: [10, 70] });
  const y = b.input("y", { dtype: "f32", shape: [10, 64] });
  const gradients = [
    b.add("matmul", [b.add("transpose", [x], { perm: [1, 0] }), y]),
    b.add("neg", [p[1] as Node]),
    b.add(
      "reshape",
      [b.add("reduceMax", [b.add("reshape", [y], { shape: [5, 8, 16] })], { axes: [2], keepDims: false })],
      { shape: [40] },
    ),
    b.add("sum", [b.add("concat", [y, y], { axis: 1 })], { axes: [0], keepDims: false }),
    b.const(0, "f32", [33, 9]),
  ];
  gradients[2] = b.add("reshape", [b.add("slice", [gradients[2] as Node], { starts: [3], steps: [2], sizes: [15] })], {
    shape: [3, 5],
  });
  const [P, M, G] = [p, m, gradients].map((xs) => b.add("pack", xs)) as [Node, Node, Node];
  const norm = b.add("sum", [b.add("mul", [G, G])], { axes: [0], keepDims: false });
  const clipped = b.add("mul", [G, b.add("rsqrt", [norm])]);
  const rate = b.add(
    "gather",
    [b.add("literal", [], { data: [1, 2, 3, 4, 5], dtype: "f32", shape: [5] }), segments(b)],
    { axis: 0 },
  );
  const moved = b.add("add", [b.add("mul", [M, b.const(0.9, "f32")]), b.add("mul", [clipped, rate])]);
  const next = b.add("sub", [P, moved]);
  const windows = (of: Node, name: string): { name: string; node: Node }[] =>
    shapes.map((shape, i) => ({ name: `${name}${i}`, node: b.add("window", [of], { start: offsets[i], shape }) }));
  return makeGraph([...p, ...m, x, y], [...windows(next, "p"), ...windows(moved, "m"), { name: "norm", node: norm }]);
}

const segments = (b: GraphBuilder): Node =>
  b.add("segments", [], { sizes: offsets.map((at, i) => (offsets[i + 1] ?? at + 320) - at) });

test("what is packed is computed in its place, and what is done with it is one kernel", () => {
  const graph = legalise(optimise(step()), 16);
  for (const mode of ["legal", "profit"] as const) {
    const { regions } = fuse(graph, profiles.h200, mode);
    const last = regions.at(-1);
    // The norm of so few elements is no kernel of its own.
    expect(last?.family).toBe("row");
    expect(last?.outputs.map((n) => n.type.shape.length)).toEqual([0, 1, 1]);
    expect(last?.inputs.filter((n) => n.op === "pack")).toHaveLength(3);
    const written = new Set(regions.flatMap((r) => r.outputs));
    const before = new Set<Node>();
    for (const r of regions) {
      // Everything that a pack or window consists of was stored by earlier kernels, or is given.
      for (const n of r.inputs.flatMap(storesOf))
        expect(n.op === "input" || n.op === "literal" || before.has(n)).toBe(true);
      for (const n of r.outputs) before.add(n);
      // Packs and windows themselves are no kernel's work.
      for (const n of r.outputs) expect(["pack", "window", "const"]).not.toContain(n.op);
    }
    for (const o of graph.outputs) expect(written.has(placeOf(o.node).root)).toBe(true);
  }
});

test("what reads a pack stays apart from the kernel that computes an argument of it", () => {
  const b = new GraphBuilder();
  const x = b.input("x", { dtype: "f32", shape: [64] });
  const exp = b.add("exp", [x]);
  const both = b.add("pack", [exp, b.add("neg", [exp])]);
  const sum = b.add(
    "add",
    [b.add("window", [both], { start: 64, shape: [64] }), b.add("mul", [both, both])].map((n) =>
      b.add("sum", [n], { axes: [0], keepDims: false }),
    ),
  );
  const { regions } = fuse(makeGraph([x], [{ name: "y", node: sum }]), profiles.base, "legal");
  expect(regions.map((r) => r.family)).toEqual(["pointwise", ...regions.slice(1).map(() => "row")]);
  expect(regions[0]?.outputs.map((n) => n.op)).toEqual(["exp", "neg"]);
});

describe("packs of more bytes than a binding has are computed in chunks", () => {
  const graph = step();
  const inputs = benignInputs(graph);
  const want = interpret(graph, inputs);

  test.each([100_000, 8192, 4096, 2048])("of %i bytes", (largestBinding) => {
    const after = optimise(graph, { largestBinding });
    verify(after);
    const got = interpret(after, inputs);
    for (const { name } of graph.outputs) {
      expect(difference(got[name] as NDArray, want[name] as NDArray, 1e-5), name).toBeUndefined();
    }
    const { regions } = fuse(legalise(after, 8), profiles.base, "profit");
    const bytes = regions.filter((r) => r.family === "pointwise").flatMap((r) => [...r.inputs, ...r.outputs]);
    // The gradient of a cut argument is one product, of which kernels read windows.
    for (const n of bytes)
      if (n.op === "pack" || n.op === "window")
        expect(n.type.shape.reduce<number>((p, d) => p * (d as number), 4)).toBeLessThanOrEqual(largestBinding);
  });
});
