import { expect, test } from "vitest";
import { compile, f16, f32, grad, sum, u32 } from "../../src/index.ts";
import { dropout } from "../../src/nn/index.ts";
import { expectKernels } from "../../src/testing.ts";
import { Interpreted } from "./support/interpreted.ts";

const n = 4096;
const program = compile({ x: f32(n), w: f32(n), seed: u32(2), rate: f32() }, ({ x, w, seed, rate }) => {
  const dropped = (y: typeof x) => dropout(y, { seed, rate });
  return { y: dropped(x), dx: grad((y: typeof x) => sum(dropped(y).mul(w)))(x) };
});
const ones = new Float32Array(n).fill(1);
const ramp = Float32Array.from({ length: n }, (_, i) => i + 1);
const at = (rate: number, seed = 1, x = ones): { y: number[]; dx: number[] } =>
  new Interpreted(program as never, {} as never).run({ x, w: ramp, rate, seed: Uint32Array.of(seed, 2) }) as never;

test("what is kept is divided by the share that is kept", () => {
  for (const rate of [0.1, 0.5, 0.9]) {
    const { y } = at(rate);
    const kept = y.filter((v) => v !== 0);
    expect(new Set(kept.map((v) => v.toFixed(5)))).toEqual(new Set([(1 / (1 - rate)).toFixed(5)]));
    // Six standard deviations.
    expect(Math.abs(kept.length / n - (1 - rate))).toBeLessThan(6 * Math.sqrt((rate * (1 - rate)) / n));
  }
});

test("rate 0 keeps all, rate 1 nothing, and neither makes a NaN, backward either", () => {
  expect(at(0).y).toEqual([...ones]);
  expect(at(0).dx).toEqual([...ramp]);
  expect(new Set(at(1).y)).toEqual(new Set([0]));
  expect(at(1).dx.every((v) => v === 0)).toBe(true);
});

test("a call draws by the seed and its place in the program", () => {
  expect(at(0.5, 1).y).toEqual(at(0.5, 1, ones).y);
  expect(at(0.5, 1).y).not.toEqual(at(0.5, 2).y);
  // Two calls of one program draw apart: y is from the first one, dx from the second.
  expect(at(0.5).dx.map((v) => v !== 0)).not.toEqual(at(0.5).y.map((v) => v !== 0));
});

test("the gradient goes through what was kept, and the mask is drawn again instead of stored", () => {
  const both = compile({ x: f32(n), seed: u32(2) }, ({ x, seed }) => {
    const ys: (typeof x)[] = [];
    const dx = grad((x: never) => {
      const y = dropout(x, { seed, rate: 0.5 });
      ys.push(y);
      return sum(y);
    })(x as never);
    return { y: ys[0] as typeof x, dx: dx as typeof x };
  });
  const { y, dx } = new Interpreted(both as never, {} as never).run({ x: ones, seed: Uint32Array.of(3, 4) }) as {
    y: number[];
    dx: number[];
  };
  expect(dx).toEqual(y);
  const alone = compile({ x: f32(n), seed: u32(2) }, ({ x, seed }) =>
    grad((x: typeof seed) => sum(dropout(x, { seed, rate: 0.5 })))(x),
  );
  expectKernels(alone, 1);
  expect(alone.explain().kernels[0]?.bytesRead).toBe(8);
});

test("without a seed it is x, in every dtype", () => {
  compile({ x: f32(4), h: f16(4), seed: u32(2) }, ({ x, h, seed }) => {
    expect(dropout(x, { rate: 0.5 })).toBe(x);
    expect(dropout(x, { seed })).toBe(x);
    expect(dropout(h, { seed, rate: 0.5 }).dtype).toBe("f16");
    expect(() => dropout(x, { seed, rate: x })).toThrow("rate is f32[4], not one number");
    for (const rate of [-0.1, 2]) expect(() => dropout(x, { seed, rate })).toThrow(`dropout: rate is ${rate}`);
    expect(() => dropout(x, { seed, rate: Number.NaN })).toThrow("the number NaN");
    return x;
  });
});
