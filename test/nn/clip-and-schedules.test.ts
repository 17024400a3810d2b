import { describe, expect, test } from "vitest";
import { compile, f16, f32, i32, type Tensor } from "../../src/index.ts";
import * as nn from "../../src/nn/index.ts";
import { deviation } from "./support/deviation.ts";
import { Interpreted } from "./support/interpreted.ts";
import { paramSpecs, trajectories } from "./support/trajectories.ts";

const run = (program: unknown, inputs: object) => new Interpreted(program as never, {}).run(inputs as never);

describe("clipping", () => {
  test.runIf(trajectories.cases.length > 0)("by the global norm is torch.nn.utils.clip_grad_norm_", () => {
    const { max_norm, total_norm, grads } = trajectories.clip_grad_norm;
    const program = compile({ grads: paramSpecs() as Record<string, ReturnType<typeof f32>>, max: f32() }, (x) =>
      nn.clipByGlobalNorm(x.grads as Record<string, Tensor>, x.max as Tensor),
    );
    const out = run(program, { grads: trajectories.grads[0], max: max_norm });
    expect(deviation(out.norm as number[], [total_norm])).toBeLessThan(1e-6);
    grads.forEach((g, i) => {
      expect(deviation(out[`grads.${i}`] as number[], g)).toBeLessThan(1e-6);
    });
    const loose = run(program, { grads: trajectories.grads[0], max: 100 });
    expect(loose["grads.0"]).toEqual(trajectories.grads[0]?.[0]);
  });

  test("takes leaves of several dtypes together, and keeps them", () => {
    const program = compile({ a: f32(2), b: f16(2) }, (g) => nn.clipByGlobalNorm(g, 6.5));
    const out = run(program, { a: [3, 4], b: [0, -12] });
    expect(out.norm).toEqual([13]);
    expect(deviation(out["grads.a"] as number[], [1.5, 2])).toBeLessThan(1e-6);
    expect(out["grads.b"]).toEqual([0, -6]);
    expect(program.graph.outputs.map((o) => `${o.name} ${o.node.type.dtype}`)).toContain("grads.b f16");
  });

  test("by value limits each element, by a bound that may be data", () => {
    const program = compile({ g: { a: f32(3), h: f16(2) }, bound: f32() }, ({ g, bound }) => [
      nn.clipByValue(g, 0.5),
      nn.clipByValue(g, bound),
    ]);
    const out = run(program, { g: { a: [-2, 0.25, 2], h: [-3, 1] }, bound: 1.5 });
    expect([out["0.a"], out["0.h"], out["1.a"], out["1.h"]]).toEqual([
      [-0.5, 0.25, 0.5],
      [-0.5, 0.5],
      [-1.5, 0.25, 1.5],
      [-1.5, 1],
    ]);
  });
});

describe("schedules", () => {
  test.each<[string, nn.Schedule, readonly (readonly [step: number, value: number])[]]>([
    [
      "constantRate",
      nn.constantRate(0.3),
      [
        [0, 0.3],
        [1e6, 0.3],
      ],
    ],
    [
      "linearWarmup",
      nn.linearWarmup(1, 4),
      [
        [0, 0.25],
        [1, 0.5],
        [3, 1],
        [9, 1],
      ],
    ],
    [
      "linearDecay",
      nn.linearDecay(1, 4, 0.2),
      [
        [0, 1],
        [1, 0.8],
        [4, 0.2],
        [9, 0.2],
      ],
    ],
    [
      "cosineDecay",
      nn.cosineDecay(1, 4, 0.2),
      [
        [0, 1],
        [1, 0.2 + 0.4 * (1 + Math.SQRT1_2)],
        [2, 0.6],
        [4, 0.2],
        [9, 0.2],
      ],
    ],
    [
      "warmupCosine",
      nn.warmupCosine(1, 2, 6),
      [
        [0, 0.5],
        [1, 1],
        [2, 1],
        [4, 0.5],
        [6, 0],
        [7, 0],
      ],
    ],
    [
      "exponentialDecay",
      nn.exponentialDecay(2, 0.25, 2),
      [
        [0, 2],
        [1, 1],
        [2, 0.5],
        [4, 0.125],
      ],
    ],
    [
      "piecewise",
      nn.piecewise([3, 2, 1], [2, 5]),
      [
        [0, 3],
        [1, 3],
        [2, 2],
        [4, 2],
        [5, 1],
        [9, 1],
      ],
    ],
    [
      "joinSchedules",
      nn.joinSchedules([nn.linearWarmup(1, 2), nn.constantRate(2), nn.linearDecay(1, 2)], [2, 4]),
      [
        [0, 0.5],
        [1, 1],
        [2, 2],
        [3, 2],
        [4, 1],
        [5, 0.5],
        [6, 0],
      ],
    ],
  ])("%s has the same values on the CPU and in a program", (_, schedule, values) => {
    // i32, as the step of an optimiser's state.
    const program = compile({ steps: i32(values.length) }, ({ steps }) =>
      values.map((_, i) => {
        const rate = schedule(steps.slice([[i, i + 1]]).reshape([]));
        return typeof rate === "number" ? steps.sum().cast("f32").mul(0).add(rate) : rate;
      }),
    );
    const out = run(program, { steps: values.map(([step]) => step) });
    values.forEach(([step, value], i) => {
      expect(schedule(step), `at ${step}`).toBeCloseTo(value, 12);
      expect((out[String(i)] as number[])[0], `in a program at ${step}`).toBeCloseTo(value, 6);
    });
  });

  test("refuse what makes no schedule", () => {
    expect(() => nn.linearWarmup(1, 0)).toThrow(/linearWarmup: steps is the number 0, not a number of at least 1/);
    expect(() => nn.warmupCosine(1, 10, 5)).toThrow(/warmupCosine: the number 10 of the number 5 steps/);
    expect(() => nn.piecewise([1, 2], [])).toThrow(/2 parts with boundaries \[\]/);
    expect(() => nn.piecewise([1, 2, 3], [5, 5])).toThrow(/boundaries rise/);
    expect(() => nn.exponentialDecay(1, -1)).toThrow(/rate is the number -1/);
  });
});

test("clips refuse what is no gradient and a bound below 0", () => {
  compile({ x: f32(3), i: i32(3) }, ({ x, i }) => {
    expect(() => nn.clipByGlobalNorm({ x, i }, 1)).toThrow('"i" is i32[3]');
    expect(() => nn.clipByGlobalNorm({ x }, -1)).toThrow("maxNorm is -1");
    expect(() => nn.clipByValue({ x }, -0.5)).toThrow("bound is -0.5");
    expect(() => nn.foreach({ x: { x } }, undefined as never)).toThrow("foreach takes a function");
    return x;
  });
});
