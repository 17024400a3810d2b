import { describe, expect, it } from "vitest";
import { refused, run, t, values } from "./run.ts";

describe("random", () => {
  const seed = t([123, 456], "u32");
  const n = 20000;
  const moments = (data: Float64Array) => {
    const mean = data.reduce((s, v) => s + v, 0) / data.length;
    return { mean, variance: data.reduce((s, v) => s + (v - mean) ** 2, 0) / data.length };
  };
  it("uniform fills [0, 1) with multiples of 2^-24", () => {
    const { data } = run("uniform", [seed], { shape: [n], stream: 0 });
    expect(data.every((v) => v >= 0 && v < 1 && Number.isInteger(v * 2 ** 24))).toBe(true);
    const { mean, variance } = moments(data);
    // Five standard errors of the mean of n values with variance 1/12.
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / n));
    expect(variance).toBeCloseTo(1 / 12, 2);
  });
  it("normal has mean 0, variance 1 and the right tails", () => {
    const { data, shape } = run("normal", [seed], { shape: [n / 4, 4], stream: 0 });
    expect(shape).toEqual([n / 4, 4]);
    const { mean, variance } = moments(data);
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    const beyond = data.filter((v) => Math.abs(v) > 1.959964).length / n;
    expect(Math.abs(beyond - 0.05)).toBeLessThan(5 * Math.sqrt((0.05 * 0.95) / n));
    expect(data.every(Number.isFinite)).toBe(true);
  });
  it("bernoulli is true with probability p", () => {
    const { data, dtype } = run("bernoulli", [seed], { shape: [n], stream: 1, p: 0.3 });
    expect(dtype).toBe("bool");
    expect(Math.abs(moments(data).mean - 0.3)).toBeLessThan(5 * Math.sqrt(0.21 / n));
    expect(values("bernoulli", [seed], { shape: [2], p: 0 })).toEqual([0, 0]);
    expect(values("bernoulli", [seed], { shape: [2], p: 1 })).toEqual([1, 1]);
    refused("bad-attribute", "bernoulli", [["u32", 2]], { shape: [2], p: 1.5 });
  });
  it("seeds and streams decide, and nothing else", () => {
    const draw = (s: number, stream: number) => [...run("uniform", [t([s, 0], "u32")], { shape: [8], stream }).data];
    expect(draw(1, 0)).toEqual(draw(1, 0));
    expect(draw(1, 0)).not.toEqual(draw(2, 0));
    expect(draw(1, 0)).not.toEqual(draw(1, 1));
    refused("bad-seed", "uniform", [["i32", 2]], { shape: [2] });
  });
});
