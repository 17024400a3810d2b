import { expect, test } from "vitest";
import { GraphBuilder, makeGraph, type Node } from "../../src/ir/graph.ts";
import { packLayout } from "../../src/ir/ops/memory.ts";
import type { Capabilities } from "../../src/manifest/manifest.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { planned, replay } from "./replay.ts";

/** A table that is read by a gather and whose gradient is a product plus a scatter: the embedding of a language model. */
function tiedTable(rows: number): Node[] {
  const b = new GraphBuilder();
  const table = b.input("table", { dtype: "f32", shape: [rows, 64] }, "state");
  const bias = b.input("bias", { dtype: "f32", shape: [64] }, "state");
  const ids = b.input("ids", { dtype: "i32", shape: [8, 1] });
  const x = b.input("x", { dtype: "f32", shape: [8, 64] });
  const y = b.input("y", { dtype: "f32", shape: [8, rows] });
  const product = b.add("matmul", [b.add("transpose", [y], { perm: [1, 0] }), x]);
  const gradient = b.add("scatterND", [product, ids, x], { reduction: "add" });
  const sum = b.add("sum", [x], { axes: [0], keepDims: false });
  const flat = b.add("sub", [b.add("pack", [table, bias]), b.add("pack", [gradient, sum])]);
  const { offsets } = packLayout([table.type, bias.type]);
  const next = [table, bias].map((s, i) => b.add("window", [flat], { start: offsets[i], shape: s.type.shape }));
  return [table, bias, ids, x, y, ...next];
}

function plannedTable(rows: number, capabilities: Capabilities) {
  const nodes = tiedTable(rows);
  const outputs = ["table", "bias"].map((name, i) => ({ name, node: nodes[5 + i] as Node }));
  const made = planned(makeGraph(nodes.slice(0, 5), outputs), capabilities, "profit");
  expect(replay(made, made.manifest)).toEqual([]);
  return made.manifest;
}

test("what a pack's argument is written over lies in the pack from its beginning", () => {
  const m = plannedTable(96, profiles.base);
  for (const s of m.state) expect(s.next).toEqual(s.window);
  // The gradients' pack and nothing else: no second tensor of the table's size.
  expect(m.spans.map((s) => s.window.size)).toEqual([96 * 64 * 4 + 256]);
});

test("a table that two kernels update by halves is updated where it lies", () => {
  const { limits } = profiles.base;
  const small = { ...profiles.base, limits: { ...limits, maxStorageBufferBindingSize: 16_384 } };
  const m = plannedTable(96, small);
  for (const s of m.state) expect(s.next).toEqual(s.window);
  expect(m.spans.map((s) => s.window.size)).toEqual([96 * 64 * 4]);
});
