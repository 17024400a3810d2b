import { compile, crossEntropy, f32, i32, layerNorm, matmul, softmax, valueAndGrad } from "sinter";
import { foreach } from "sinter/nn";
import { describe, expect, test } from "vitest";
import { interpret } from "../../src/ir/interpret.ts";
import type { NDArray } from "../../src/ir/ndarray.ts";
import { verify } from "../../src/ir/verify.ts";
import { alignRows } from "../../src/passes/align-rows.ts";
import { optimise } from "../../src/passes/pipeline.ts";
import { splitProducts } from "../../src/passes/split-products.ts";
import { profiles } from "../../src/runtime/profiles.ts";
import { benignInputs, difference } from "../support/values.ts";

const gpu = profiles.h200;

/** A graph and what a pass makes of it, on the interpreter. */
function same(graph: Parameters<typeof interpret>[0], after: typeof graph): void {
  verify(after);
  const inputs = benignInputs(graph);
  const [want, got] = [interpret(graph, inputs), interpret(after, inputs)];
  for (const { name } of graph.outputs) {
    expect(difference(got[name] as NDArray, want[name] as NDArray), name).toBeUndefined();
  }
}

describe("long products in parts", () => {
  const norm = compile({ x: f32(64, 700), w: f32(700, 64), r: f32(64, 64) }, ({ x, w, r }) =>
    layerNorm(matmul(x, w).add(r)),
  );
  const partsIn = (graph: typeof norm.graph) => graph.nodes.filter((n) => typeof n.attrs.parts === "number");

  test("a product that a row kernel reads is divided, the last part shorter; the row kernel adds the parts up", () => {
    const before = optimise(norm.graph);
    const after = splitProducts(before, gpu);
    expect(partsIn(after).map((n) => [n.attrs.parts, n.attrs.depth, n.type.shape])).toEqual([[3, 256, [3, 64, 64]]]);
    same(before, after);
    const { kernels } = norm.explain({ capabilities: gpu });
    expect(kernels.map((k) => k.family)).toEqual(["contraction", "row"]);
  });

  test("not on CPU adapters, not short ones, not those of few rows", () => {
    const whole = (graph: typeof norm.graph, software = false) =>
      expect(partsIn(splitProducts(optimise(graph), { ...gpu, software }))).toEqual([]);
    whole(norm.graph, true);
    whole(compile({ x: f32(64, 380), w: f32(380, 64) }, ({ x, w }) => softmax(matmul(x, w))).graph);
    whole(compile({ x: f32(8, 4096), w: f32(4096, 64) }, ({ x, w }) => softmax(matmul(x, w))).graph);
    whole(compile({ x: f32(4096, 4096), w: f32(4096, 4096) }, ({ x, w }) => softmax(matmul(x, w))).graph);
  });

  test("what is computed from the sum and read twice is stored once", () => {
    const two = compile({ x: f32(64, 700), w: f32(700, 64), r: f32(64, 64), v: f32(64, 64) }, ({ x, w, r, v }) => {
      const y = matmul(x, w).add(r);
      return y.add(matmul(layerNorm(y), v));
    });
    const { kernels } = two.explain({ capabilities: gpu });
    expect(kernels.map((k) => k.family)).toEqual(["contraction", "row", "contraction"]);
    expect(kernels[1]?.writes.length).toBe(2);
  });
});

describe("gradients where an optimiser reads them", () => {
  const step = (batch: number, width: number) =>
    compile({ x: f32(batch, width), w: f32(width, width), b: f32(width) }, ({ x, w, b }) => {
      const { grad } = valueAndGrad(({ w, b }: { w: typeof x; b: typeof x }) => matmul(x, w).add(b).pow(2).mean())({
        w,
        b,
      });
      return foreach({ p: { w, b }, g: grad }, ({ p, g }) => p.sub(g.mul(0.1)));
    });

  test("are divided where that gains by far; the sum's kernel stores them there, and nothing else changes", () => {
    const before = optimise(step(4096, 192).graph);
    const after = splitProducts(before, gpu);
    expect(after.nodes.filter((n) => typeof n.attrs.parts === "number").length).toBe(1);
    const small = optimise(step(512, 64).graph);
    const divided = splitProducts(small, gpu, { leastSide: 1, worth: 10 });
    expect(divided.nodes.filter((n) => typeof n.attrs.parts === "number").length).toBe(1);
    same(small, divided);
  });

  test("stay whole where workgroups are many", () => {
    const before = optimise(step(1024, 3072).graph);
    expect(splitProducts(before, gpu).nodes.filter((n) => typeof n.attrs.parts === "number")).toEqual([]);
  });
});

describe("rows of whole vectors", () => {
  const loss = compile({ x: f32(6, 10), w: f32(67, 10), t: i32(6) }, ({ x, w, t }) => {
    const of = (p: { x: typeof x; w: typeof w }) => crossEntropy(matmul(p.x, p.w, { transposeB: true }), t);
    const { value, grad } = valueAndGrad(of)({ x, w });
    return { value, ...grad };
  });
  const options = { leastColumns: 1, leastElements: 1 };

  test("the logits of an odd vocabulary and their gradients are longer, and mean the same", () => {
    const before = optimise(loss.graph);
    const after = alignRows(before, gpu, options);
    const long = after.nodes.filter((n) => n.op === "matmul" && n.type.shape.at(-1) === 128);
    expect(long).toHaveLength(1);
    // The product that contracts the vocabulary finds zeros in what was added.
    expect(after.nodes.some((n) => n.op === "matmul" && n.args[0]?.type.shape.at(-1) === 128)).toBe(true);
    expect(after.nodes.some((n) => n.op === "reduceMax" && n.args[0]?.type.shape.at(-1) === 67)).toBe(false);
    same(before, after);
  });

  test("not where a result of the program would have to be copied, and not on CPU adapters", () => {
    const shown = compile({ x: f32(6, 10), w: f32(10, 67) }, ({ x, w }) => {
      const y = matmul(x, w);
      return { y, p: softmax(y) };
    });
    const before = optimise(shown.graph);
    expect(alignRows(before, gpu, options)).toBe(before);
    const plain = optimise(loss.graph);
    expect(alignRows(plain, { software: true }, options)).toBe(plain);
  });
});
