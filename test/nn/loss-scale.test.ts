import { describe, expect, test } from "vitest";
import { compile, f16, f32, type Tensor } from "../../src/index.ts";
import * as nn from "../../src/nn/index.ts";
import { Interpreted } from "./support/interpreted.ts";

const specs = { w: f32(3), b: f32(2) };

/** One update from gradients of a scaled loss in f16, left out where they overflow. */
const program = compile(
  {
    params: specs,
    opt: nn.momentumInit(specs),
    scaler: nn.lossScaleSpec(),
    grads: { w: f16(3), b: f16(2) },
  },
  ({ params, opt, scaler, grads }) => {
    const { grads: g, finite } = nn.unscale(grads, scaler);
    const next = nn.momentum(params, g, opt, { lr: 0.5, when: finite });
    const clipped = nn.clipByGlobalNorm(g, 1);
    return {
      params: next.params,
      opt: next.state,
      scaler: nn.updateLossScale(scaler, finite, { interval: 3 }),
      finite,
      norm: clipped.norm,
    };
  },
  { donate: ["params", "opt", "scaler"] },
);

const start = (scale: number) =>
  new Interpreted(program, {
    params: { w: [1, 2, 3], b: [4, 5] },
    opt: { ...nn.momentumInit({ w: new Float32Array(3), b: new Float32Array(2) }) },
    scaler: nn.lossScaleInit({ scale }),
  } as never);
const good = { w: [4, 8, 12], b: [0, -4] };
const values = (run: Interpreted) => Object.fromEntries([...run.state].map(([k, x]) => [k, [...x.data]]));

describe("a loss scale", () => {
  test("divides gradients by itself, in f32", () => {
    const run = start(4);
    const out = run.run({ grads: good });
    expect(out["params.w"]).toEqual([0.5, 1, 1.5]);
    expect(out["params.b"]).toEqual([4, 5.5]);
    expect(out.norm).toEqual([Math.sqrt(1 + 4 + 9 + 1)]);
    expect(out.finite).toEqual([1]);
  });

  test("leaves out a step that overflowed, and halves", () => {
    const run = start(4);
    run.run({ grads: good });
    for (const bad of [Infinity, -Infinity, NaN]) {
      const before = values(run);
      const out = run.run({ grads: { w: [4, bad, 1], b: [1, 1] } });
      expect(out.finite).toEqual([0]);
      expect(values(run)).toEqual({
        ...before,
        "scaler.scale": [((before["scaler.scale"] as number[])[0] as number) / 2],
        "scaler.goodSteps": [0],
      });
    }
    expect(run.run({ grads: good })["opt.step"]).toEqual([2]);
  });

  test("doubles after as many good steps in a row as asked for", () => {
    const run = start(4);
    const scales = [good, good, { w: [0, 0, 0], b: [NaN, 0] }, good, good, good, good].map((grads) => {
      const out = run.run({ grads });
      return [...(out["scaler.scale"] as number[]), ...(out["scaler.goodSteps"] as number[])];
    });
    expect(scales).toEqual([
      [4, 1],
      [4, 2],
      [2, 0],
      [2, 1],
      [2, 2],
      [4, 0],
      [4, 1],
    ]);
  });

  test("stays where it and its inverse are normal numbers", () => {
    const low = start(2 ** -126);
    expect(low.run({ grads: { w: [NaN, 0, 0], b: [0, 0] } })["scaler.scale"]).toEqual([2 ** -126]);
    const high = start(2 ** 125);
    const zero = { w: [0, 0, 0], b: [0, 0] };
    expect([1, 2, 3, 4, 5, 6].map(() => high.run({ grads: zero })["scaler.scale"]?.[0])).toEqual(
      [125, 125, 126, 126, 126, 126].map((e) => 2 ** e),
    );
    expect(() => nn.lossScaleInit({ scale: 0 })).toThrow(/scale is the number 0/);
  });

  test("multiplies the loss in f32, where it fits", () => {
    const scaled = compile({ loss: f16(), scaler: nn.lossScaleSpec() }, ({ loss, scaler }) =>
      nn.scaleLoss(loss, scaler),
    );
    const run = new Interpreted(scaled, {});
    expect(run.run({ loss: 2, scaler: { scale: 65536, goodSteps: 0 } }).out).toEqual([131072]);
  });

  test("looks for overflow in one reduction, whatever the number of gradients", () => {
    expect(program.graph.nodes.filter((n) => n.op === "all")).toHaveLength(1);
    expect(program.graph.nodes.filter((n) => n.op === "isNaN")).toHaveLength(1);
  });
});

test("castTree casts floats alone", () => {
  const cast = compile({ a: f32(2), n: [f16(1)], i: nn.sgdInit(f32(2)).step }, (t) =>
    nn.castTree(t as unknown as Record<string, Tensor>, "f16"),
  );
  expect(cast.graph.outputs.map((o) => [o.name, o.node.op, o.node.type.dtype])).toEqual([
    ["a", "cast", "f16"],
    ["n.0", "input", "f16"],
    ["i", "input", "i32"],
  ]);
});
