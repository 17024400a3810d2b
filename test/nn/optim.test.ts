import { describe, expect, test } from "vitest";
import { compile, f16, f32, i32, SinterError, type Tensor, tensor } from "../../src/index.ts";
import * as nn from "../../src/nn/index.ts";
import { oneMinusPower } from "../../src/nn/optim/optimiser.ts";
import { deviation } from "./support/deviation.ts";
import { Interpreted } from "./support/interpreted.ts";
import { caseName, programOf, trajectories } from "./support/trajectories.ts";

describe("optimisers do what PyTorch's do", () => {
  test.each(trajectories.cases.map((c) => [caseName(c), c] as const))("%s", (_, c) => {
    const { program, state } = programOf([c]);
    const run = new Interpreted(program, state as never);
    c.trajectory.forEach((params, step) => {
      const out = run.run({ grads: trajectories.grads[step] as never });
      params.forEach((expected, i) => {
        expect(deviation(out[`p0.${i}`] as number[], expected), `step ${step}, parameter ${i}`).toBeLessThan(1e-6);
      });
    });
  });
});

const specs = { w: f32(2, 2), b: f32(3) };
const values = { w: Float32Array.of(1, -2, 3, -4), b: Float32Array.of(0.5, -0.5, 0) };
const gradOf = (step: number) => ({
  w: Float32Array.from([1, -2, 0.5, 3], (x) => x * Math.cos(step)),
  b: Float32Array.from([0.1, -0.2, 0], (x) => x * (step + 1)),
});

type Trees = {
  params: { w: Tensor; b: Tensor };
  grads: { w: Tensor; b: Tensor };
  opt: nn.AdamState<{ w: Tensor; b: Tensor }>;
};

/** A program of one AdamW update with more inputs, on the interpreter. */
function adamWith<const X extends Record<string, ReturnType<typeof f32>>>(
  more: X,
  options: (x: { [K in keyof X]: Tensor }) => nn.AdamOptions,
  init: nn.AdamInitOptions = {},
): Interpreted {
  const program = compile(
    { params: specs, grads: specs, opt: nn.adamWInit(specs, init), ...more },
    (x) => {
      const { params, grads, opt } = x as unknown as Trees;
      const next = nn.adamW(params, grads, opt, options(x as never));
      return { params: next.params, opt: next.state };
    },
    { donate: ["params", "opt"] as never[] },
  );
  return new Interpreted(program, { params: values, opt: nn.adamWInit(values, init) } as never);
}

/** AdamW on one number in f64, as its paper writes it: the parameter after some steps. */
function adamOf(
  p0: number,
  g: (step: number) => number,
  o: { lr: (step: number) => number; wd: number; steps: number },
) {
  let [p, m, v, top] = [p0, 0, 0, 0];
  for (let t = 1; t <= o.steps; t++) {
    const lr = o.lr(t - 1);
    p -= lr * o.wd * p;
    m = 0.9 * m + 0.1 * g(t - 1);
    v = 0.999 * v + 0.001 * g(t - 1) ** 2;
    top = Math.max(top, v);
    p -= (lr * (m / (1 - 0.9 ** t))) / (Math.sqrt(v / (1 - 0.999 ** t)) + 1e-8);
  }
  return { p, m, v };
}
const expected = (leaf: "w" | "b", lr: (step: number) => number, wd: number, steps: number): number[] =>
  [...values[leaf]].map((p, i) => adamOf(p, (s) => gradOf(s)[leaf][i] as number, { lr, wd, steps }).p);

describe("options that are data", () => {
  test("learning rate and weight decay may change from run to run", () => {
    const run = adamWith({ lr: f32(), wd: f32() }, ({ lr, wd }) => ({ lr, weightDecay: wd }));
    const lr = (step: number) => 0.1 / (step + 1);
    let out = {} as Record<string, number[]>;
    for (let s = 0; s < 4; s++) out = run.run({ grads: gradOf(s), lr: lr(s), wd: 0.1 });
    for (const leaf of ["w", "b"] as const)
      expect(deviation(out[`params.${leaf}`] as number[], expected(leaf, lr, 0.1, 4))).toBeLessThan(1e-6);
  });

  test("a schedule sees the number of updates made", () => {
    const schedule = nn.warmupCosine(0.1, 2, 6);
    const run = adamWith({}, () => ({ lr: schedule, weightDecay: 0 }));
    let out = {} as Record<string, number[]>;
    for (let s = 0; s < 5; s++) out = run.run({ grads: gradOf(s) });
    expect(deviation(out["params.w"] as number[], expected("w", schedule, 0, 5))).toBeLessThan(1e-6);
    expect(out["opt.step"]).toEqual([5]);
  });

  test.each<[string, nn.AdamOptions["mask"]]>([
    ["a function", nn.decayMatrices],
    ["a function of the path", (path) => path === "w"],
    ["a tree of booleans", { w: true, b: false }],
    ["a tree of numbers", { w: 1, b: 0 }],
  ])("a mask as %s leaves parameters out of weight decay", (_, mask) => {
    const run = adamWith({}, () => ({ lr: 0.1, weightDecay: 0.5, mask: mask as nn.Mask }));
    let out = {} as Record<string, number[]>;
    for (let s = 0; s < 3; s++) out = run.run({ grads: gradOf(s) });
    expect(
      deviation(
        out["params.w"] as number[],
        expected("w", () => 0.1, 0.5, 3),
      ),
    ).toBeLessThan(1e-6);
    expect(
      deviation(
        out["params.b"] as number[],
        expected("b", () => 0.1, 0, 3),
      ),
    ).toBeLessThan(1e-6);
  });

  test.each<[string, object, (x: Record<string, Tensor>) => nn.Mask, object]>([
    ["tensors", { mw: f32(), mb: f32() }, ({ mw, mb }) => ({ w: mw as Tensor, b: mb as Tensor }), { mw: 0.5, mb: 1 }],
    ["one tensor", { m: f32(2) }, ({ m }) => m as Tensor, { m: [0.5, 1] }],
  ])("a mask of %s is data", (_, more, mask, values) => {
    const run = adamWith(more as Record<string, ReturnType<typeof f32>>, (x) => ({
      lr: 0.1,
      weightDecay: 0.5,
      mask: mask(x),
    }));
    const out = run.run({ grads: gradOf(0), ...values });
    expect(
      deviation(
        out["params.w"] as number[],
        expected("w", () => 0.1, 0.25, 1),
      ),
    ).toBeLessThan(1e-6);
    expect(
      deviation(
        out["params.b"] as number[],
        expected("b", () => 0.1, 0.5, 1),
      ),
    ).toBeLessThan(1e-6);
  });

  test("where `when` is false everything stays, even beside NaN", () => {
    const run = adamWith({ ok: f32() }, ({ ok }) => ({ lr: 0.1, when: ok.greater(0) }));
    run.run({ grads: gradOf(0), ok: 1 });
    const before = new Map([...run.state].map(([k, x]) => [k, [...x.data]]));
    const bad = { w: Float32Array.of(NaN, 1, Infinity, 2), b: Float32Array.of(1, 2, 3) };
    run.run({ grads: bad, ok: 0 });
    expect(new Map([...run.state].map(([k, x]) => [k, [...x.data]]))).toEqual(before);
    expect(run.run({ grads: gradOf(1), ok: 1 })["opt.step"]).toEqual([2]);
  });
});

test("maximize goes up, amsgrad keeps the largest v", () => {
  const up = adamWith({}, () => ({ lr: 0.1, weightDecay: 0, maximize: true })).run({ grads: gradOf(0) });
  expect((up["params.w"] as number[]).map((x, i) => Math.sign(x - (values.w[i] as number)))).toEqual([1, -1, 1, 1]);
  const run = adamWith({}, () => ({ lr: 0.1, betas: [0.9, 0.5] }), { amsgrad: true });
  run.run({ grads: gradOf(0) });
  const out = run.run({ grads: { w: new Float32Array(4), b: new Float32Array(3) } });
  expect(out["opt.vMax.w"]).toEqual([0.5, 2, 0.125, 4.5]);
  expect(out["opt.v.w"]).toEqual([0.25, 1, 0.0625, 2.25]);
});

test("lion steps by signs", () => {
  const program = compile(
    { p: f32(4), g: f32(4), s: nn.lionInit(f32(4)) },
    ({ p, g, s }) => {
      const next = nn.lion(p, g, s, { lr: 0.1, weightDecay: 0.5 });
      return { p: next.params, s: next.state };
    },
    { donate: ["p", "s"] },
  );
  const run = new Interpreted(program, { p: [1, 2, 3, 4], s: nn.lionInit(new Float32Array(4)) } as never);
  run.run({ g: [1, -1, 0, 2] });
  const out = run.run({ g: [-1, -1, 0, -0.05] });
  const [decay, lr, d] = [1 - 0.1 * 0.5, 0.1, 0.01];
  // Of m = [d, -d, 0, 2 d], and so 0.9 m + 0.1 g = [-, -, 0, +].
  const signs = [
    [1, -1],
    [-1, -1],
    [0, 0],
    [1, 1],
  ];
  const want = [1, 2, 3, 4].map((p, i) => signs[i]?.reduce((x, s) => x * decay - lr * s, p) as number);
  expect(deviation(out.p as number[], want)).toBeLessThan(1e-6);
  expect(deviation(out["s.m"] as number[], [0.99 * d - d, -0.99 * d - d, 0, 0.99 * 2 * d - 0.05 * d])).toBeLessThan(
    1e-6,
  );
});

describe("bias corrections", () => {
  const f = Math.fround;
  test.each([1, 2, 10, 1000, 1e5, 1e6])("keep f32's precision at update %i", (t) => {
    for (const beta of [0.5, 0.9, 0.999, 0.9999]) {
      const { graph } = compile({ t: f32() }, ({ t }) => oneMinusPower(beta, t) as Tensor);
      // As f32 computes it: each op rounded.
      const product = f(t * f(Math.log(beta)));
      const constant = graph.nodes.find((n) => n.op === "const")?.attrs.value as number;
      expect(constant).toBe(f(Math.log(beta)));
      expect(graph.nodes.map((n) => n.op).filter((op) => op !== "const")).toEqual(["input", "mul", "expm1", "neg"]);
      const exact = -Math.expm1(t * Math.log(beta));
      expect(Math.abs(-f(Math.expm1(product)) / exact - 1)).toBeLessThan(2 ** -22);
    }
  });
});

describe("states", () => {
  test("are specs for specs and zeros for values", () => {
    const of = nn.adamInit({ a: f32(2), n: [f32()] }, { amsgrad: true });
    expect(of.step).toEqual(i32());
    expect(of.m).toEqual({ a: f32(2), n: [f32()] });
    expect(Object.keys(of)).toEqual(["step", "m", "v", "vMax"]);
    const host = nn.adagradInit({ a: tensor([[1, 2]]), n: [Float32Array.of(1)] }, { initialAccumulator: 0.5 });
    expect(host.step).toEqual({ dtype: "i32", shape: [], data: Int32Array.of(0) });
    expect(host.sum).toEqual({ a: tensor([[0.5, 0.5]]), n: [Float32Array.of(0.5)] });
    expect(nn.nAdamInit(Float32Array.of(1)).product.data).toEqual(Float32Array.of(1));
  });
});

describe("what optimisers refuse", () => {
  const state = nn.adamWInit(specs);
  const inputs = { p: specs, g: specs, s: state, h: { w: f16(2, 2), b: f16(3) }, x: f32(3), n: i32(2, 2) };
  type Inputs = Record<"p" | "g" | "h", { w: Tensor; b: Tensor }> & {
    s: nn.AdamState<{ w: Tensor; b: Tensor }>;
    x: Tensor;
    n: Tensor;
  };
  const message = (fn: (x: Inputs) => unknown): string => {
    try {
      compile(inputs, fn as never);
    } catch (e) {
      if (!(e instanceof SinterError)) throw e;
      expect(e.diagnostic.place?.file).toContain("optim.test.ts");
      return e.message;
    }
    throw new Error("nothing was refused");
  };
  test.each<[string, (x: Inputs) => unknown, RegExp]>([
    ["no lr", ({ p, g, s }) => nn.adamW(p, g, s, {} as never), /adamW needs lr.*lr: 1e-3/s],
    ["an lr of many", ({ p, g, s, x }) => nn.adamW(p, g, s, { lr: x }), /adamW: lr is f32\[3\], not one number/],
    [
      "an unknown option",
      ({ p, g, s }) => nn.adamW(p, g, s, { lr: 1, weightdecay: 1 } as never),
      /did you mean "weightDecay"/,
    ],
    [
      "betas of 1",
      ({ p, g, s }) => nn.adamW(p, g, s, { lr: 1, betas: [0.9, 1] }),
      /betas\[1\] is the number 1, not a number from 0/,
    ],
    [
      "f16 parameters",
      ({ h, g, s }) => nn.adamW(h, g, s, { lr: 1 }),
      /"w" of params is f16\[2, 2\], not f32.*castTree/s,
    ],
    ["integer gradients", ({ p, g, n, s }) => nn.adamW(p, { ...g, w: n }, s, { lr: 1 }), /the gradient "w" is i32/],
    [
      "gradients of other parameters",
      ({ p, g, x, s }) => nn.adamW(p, { ...g, w: x }, s, { lr: 1 }),
      /"w" of grads is f32\[3\], but that of params is f32\[2, 2\]/,
    ],
    ["a missing gradient", ({ p, g, s }) => nn.adamW(p, { w: g.w } as never, s, { lr: 1 }), /grads has no "b"/],
    [
      "a gradient too many",
      ({ p, g, s, x }) => nn.adamW(p, { ...g, x } as never, s, { lr: 1 }),
      /grads has "x", which params has not/,
    ],
    [
      "a state of another optimiser",
      ({ p, g, s }) => nn.lion(p, g, { step: s.step } as never, { lr: 1 }),
      /the state has no "m".*lionInit/s,
    ],
    [
      "a state without steps",
      ({ p, g, s }) => nn.adamW(p, g, { ...s, step: 1 } as never, { lr: 1 }),
      /step of the state is the number 1/,
    ],
    [
      "momentum without velocity",
      ({ p, g, s }) => nn.rmsProp(p, g, s, { lr: 1, momentum: 0.9 }),
      /needs a velocity.*momentum: true/s,
    ],
    [
      "a mask without a leaf",
      ({ p, g, s }) => nn.adamW(p, g, s, { lr: 1, mask: { w: 1 } }),
      /numbers for each leaf lack "b"/,
    ],
    [
      "a number as `when`",
      ({ p, g, s }) => nn.adamW(p, g, s, { lr: 1, when: true as never }),
      /when is the boolean true/,
    ],
  ])("%s", (_, fn, want) => expect(message(fn)).toMatch(want));

  test("specs and values together, and parameters of other dtypes", () => {
    expect(() => nn.adamWInit({ a: f32(2), b: Float32Array.of(1) })).toThrow(/among specs/);
    expect(() => nn.adamWInit({ a: f16(2) })).toThrow(/"a" is f16, not f32/);
    expect(() => nn.adamWInit({ a: 1 } as never)).toThrow(/not a parameter/);
  });
});
