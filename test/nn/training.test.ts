import { describe, expect, test } from "vitest";
import { compile, f32, type Tensor, valueAndGrad } from "../../src/index.ts";
import * as nn from "../../src/nn/index.ts";
import { Interpreted } from "./support/interpreted.ts";

const [batch, width, hidden] = [16, 4, 8];
const specs = { up: { weight: f32(width, hidden), bias: f32(hidden) }, down: { weight: f32(hidden, 1), bias: f32(1) } };
type Params = { up: { weight: Tensor; bias: Tensor }; down: { weight: Tensor; bias: Tensor } };

const wave = (n: number, phase: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * 1.7 + phase));
const params = () => ({
  up: { weight: wave(width * hidden, 1), bias: new Float32Array(hidden) },
  down: { weight: wave(hidden, 2), bias: new Float32Array(1) },
});
const x = wave(batch * width, 3);
const y = wave(batch, 4);

const lossOf = (p: Params, inputs: Tensor, targets: Tensor): Tensor => {
  const out = nn.mlp(inputs, p).reshape([batch]).cast("f32");
  return out.sub(targets).sumSquare().div(batch);
};
const data = { x: f32(batch, width), y: f32(batch), lr: f32() };

describe("training", () => {
  const plain = compile(
    { params: specs, opt: nn.adamWInit(specs), ...data },
    ({ params, opt, x, y, lr }) => {
      const { value: loss, grad } = valueAndGrad((p: Params) => lossOf(p, x, y))(params);
      const { grads, norm } = nn.clipByGlobalNorm(grad, 1);
      const next = nn.adamW(params, grads, opt, { lr, weightDecay: 0.01, mask: nn.decayMatrices });
      return { loss, norm, params: next.params, opt: next.state };
    },
    { donate: ["params", "opt"] },
  );

  const half = compile(
    { params: specs, opt: nn.adamWInit(specs), scale: nn.lossScaleSpec(), ...data },
    ({ params, opt, scale, x, y, lr }) => {
      const step = nn.scaledValueAndGrad((p: Params, x: Tensor) => lossOf(nn.castTree(p, "f16"), x, y), scale)(
        params,
        x.cast("f16"),
      );
      const next = nn.adamW(params, nn.clipByGlobalNorm(step.grad, 1).grads, opt, {
        lr,
        weightDecay: 0.01,
        mask: nn.decayMatrices,
        when: step.finite,
      });
      const scaled = nn.updateLossScale(scale, step.finite, { interval: 20 });
      return { loss: step.value, finite: step.finite, params: next.params, opt: next.state, scale: scaled };
    },
    { donate: ["params", "opt", "scale"] },
  );

  const steps = 60;
  const losses = (run: Interpreted): number[] =>
    Array.from({ length: steps }, () => run.run({ x, y, lr: 0.03 }).loss?.[0] as number);
  const state = () => ({ params: params(), opt: nn.adamWInit(params()) });

  test("in f16 with a loss scale follows f32", () => {
    const wide = losses(new Interpreted(plain, state() as never));
    const narrow = new Interpreted(half, { ...state(), scale: nn.lossScaleInit({ scale: 2 ** 24 }) } as never);
    const seen = Array.from({ length: steps + 20 }, () => narrow.run({ x, y, lr: 0.03 }));
    const bad = seen.filter((out) => out.finite?.[0] === 0).length;
    // 2^24 overflows binary16 at once; what was left out does not count as a step.
    expect(bad).toBeGreaterThan(3);
    expect(seen[0]?.finite).toEqual([0]);
    expect(seen.at(-1)?.["opt.step"]).toEqual([steps + 20 - bad]);
    const made = seen.filter((out) => out.finite?.[0] === 1).map((out) => out.loss?.[0] as number);
    expect(wide.at(-1)).toBeLessThan((wide[0] as number) / 10);
    for (const s of [0, 10, 30, steps - 1]) {
      expect(Math.abs((made[s] as number) - (wide[s] as number)), `step ${s}`).toBeLessThan(0.02 * (wide[0] as number));
    }
    expect(made[0]).toBeCloseTo(wide[0] as number, 2);
  });
});
