import { describe, expect, test } from "vitest";
import * as s from "../../src/index.ts";
import { bindGraph, type Graph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { expectKernels } from "../../src/testing.ts";
import { benignInputs, difference } from "../support/values.ts";

/** How often each of these ops is left in a graph after all passes. */
function counts(graph: Graph, ops: readonly string[]): Record<string, number> {
  const { nodes } = optimise(graph);
  return Object.fromEntries(ops.map((op) => [op, nodes.filter((n) => n.op === op).length]));
}

describe("forward and backward share what they can", () => {
  test("layerNorm: mean and deviation are computed once; the backward pass adds two sums a row and one a parameter", () => {
    const { graph } = s.compile(
      { p: { x: s.f32(6, 8), scale: s.f32(8), bias: s.f32(8) }, ct: s.f32(6, 8) },
      ({ p, ct }) =>
        s.valueAndGrad((q: typeof p) => s.sum(s.layerNorm(q.x, { scale: q.scale, bias: q.bias }).mul(ct)))(p),
    );
    expect(counts(graph, ["sum", "rsqrt", "div", "reduceMax"])).toEqual({
      sum: 2 + 1 + 2 + 2,
      rsqrt: 1,
      div: 0,
      reduceMax: 0,
    });
  });

  test("rmsNorm", () => {
    const { graph } = s.compile({ p: { x: s.f32(6, 8), scale: s.f32(8) }, ct: s.f32(6, 8) }, ({ p, ct }) =>
      s.valueAndGrad((q: typeof p) => s.sum(s.rmsNorm(q.x, { scale: q.scale }).mul(ct)))(p),
    );
    expect(counts(graph, ["sum", "rsqrt", "div"])).toEqual({ sum: 1 + 1 + 1 + 1, rsqrt: 1, div: 0 });
  });

  test("softmax: one more sum a row", () => {
    const { graph } = s.compile({ x: s.f32(6, 8), ct: s.f32(6, 8) }, ({ x, ct }) =>
      s.valueAndGrad((y: s.Tensor) => s.sum(s.softmax(y).mul(ct)))(x),
    );
    expect(counts(graph, ["sum", "exp", "reduceMax", "div"])).toEqual({ sum: 3, exp: 1, reduceMax: 1, div: 1 });
  });

  test("crossEntropy: no reduction of its own, and every logit is read where its gradient belongs", () => {
    const { graph } = s.compile({ x: s.f32(6, 8), t: s.i32(6) }, ({ x, t }) =>
      s.valueAndGrad((y: s.Tensor) => s.crossEntropy(y, t))(x),
    );
    const ops = ["sum", "exp", "reduceMax", "gather", "gatherElements", "scatterElements", "scatterND"];
    expect(counts(graph, ops)).toEqual({
      ...{ sum: 2 + 1, exp: 1, reduceMax: 1 },
      ...{ gather: 0, gatherElements: 0, scatterElements: 0, scatterND: 0 },
    });
  });
});

test("crossEntropy over the targets that count: their number, the losses with the gradient, the sum", () => {
  const program = s.compile({ x: s.f32(32, 100), t: s.i32(32) }, ({ x, t }) =>
    s.valueAndGrad((y: s.Tensor) => s.crossEntropy(y, t, { ignoreIndex: -100 }))(x),
  );
  const { kernels } = expectKernels(program, 3);
  expect(kernels.filter((k) => k.ops.includes("exp"))).toHaveLength(1);
});

test("shapes may hold named dims: gradients are those of the sizes that are bound", () => {
  const T = s.dim("T");
  const build = (n: s.Dim): Graph =>
    s.compile({ x: s.f32(3, n), t: s.i32(3), scale: s.f32(n) }, ({ x, t, scale }) =>
      s.valueAndGrad((p: { x: s.Tensor; scale: s.Tensor }) => {
        const y = s.layerNorm(p.x, { scale: p.scale });
        const z = s.add(s.softmax(y), s.logSoftmax(s.rmsNorm(p.x)));
        return s
          .crossEntropy(z, t, { labelSmoothing: 0.1 })
          .add(s.mean(s.l2(z, { axes: 1 })))
          .add(s.logSumExp(p.x));
      })({ x, scale }),
    ).graph;
  const [bound, plain] = [bindGraph(build(T), { T: 5 }), build(5)];
  const inputs = benignInputs(plain);
  const [got, want] = [interpret(bound, inputs), interpret(plain, inputs)];
  for (const { name } of plain.outputs)
    expect(difference(got[name] as never, want[name] as never, 1e-12)).toBeUndefined();
});
