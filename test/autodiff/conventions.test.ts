import { describe, expect, test } from "vitest";
import { clamp, compile, f32, grad, sum, type Tensor } from "../../src/index.ts";
import { pullback } from "../../src/ir/autodiff.ts";
import { type Attrs, GraphBuilder, makeGraph } from "../../src/ir/graph.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";

import { optimise } from "../../src/passes/pipeline.ts";

const { POSITIVE_INFINITY: inf, NaN: nan } = Number;

/** The gradients of a row at a point, element by element, for a cotangent of ones. */
function at(op: string, args: readonly (readonly number[])[], attrs: Attrs = {}): number[][] {
  const b = new GraphBuilder();
  const inputs = args.map((a, i) => b.input(`x${i}`, { dtype: "f32", shape: [a.length] }));
  const y = b.add(op, inputs, attrs);
  const cts = pullback(b, [y], [b.const(1, "f32", y.type.shape)], inputs);
  const graph = makeGraph(
    inputs,
    cts.flatMap((node, i) => (node ? [{ name: `g${i}`, node }] : [])),
  );
  const out = interpret(graph, Object.fromEntries(args.map((a, i) => [`x${i}`, ndarray("f32", [a.length], a)])));
  return args.map((a, i) => Array.from((out[`g${i}`] as NDArray | undefined)?.data ?? a.map(() => 0), (v) => v + 0));
}

// The values are those of torch.autograd (2.13) at the same points.
describe("at kinks, ties and ends of a domain derivatives are PyTorch's", () => {
  const points: readonly (readonly [string, readonly (readonly number[])[], readonly (readonly number[])[], Attrs?])[] =
    [
      ["abs", [[-2, 0, -0, 3]], [[-1, 0, 0, 1]]],
      ["relu", [[-1, 0, 2]], [[0, 0, 1]]],
      [
        "max",
        [
          [1, 2, 3],
          [2, 2, 2],
        ],
        [
          [0, 0.5, 1],
          [1, 0.5, 0],
        ],
      ],
      [
        "min",
        [
          [1, 2, 3],
          [2, 2, 2],
        ],
        [
          [1, 0.5, 0],
          [0, 0.5, 1],
        ],
      ],
      [
        "clamp",
        [
          [-2, -1, 0, 1, 2],
          [-1, -1, -1, -1, -1],
          [1, 1, 1, 1, 1],
        ],
        [
          [0, 1, 1, 1, 0],
          [1, 0, 0, 0, 0],
          [0, 0, 0, 0, 1],
        ],
      ],
      ["clamp", [[0], [1], [-1]], [[0], [0], [1]]],
      ["elu", [[-0, 0]], [[0.5, 0.5]], { alpha: 0.5 }],
      ["leakyRelu", [[0, 1]], [[0.25, 1]], { alpha: 0.25 }],
      [
        "prelu",
        [
          [0, 2, -3],
          [0.25, 0.25, 0.25],
        ],
        [
          [0.25, 1, 0.25],
          [0, 0, -3],
        ],
      ],
      ["hardSigmoid", [[-2, 0, 2]], [[0, 0.25, 0]], { alpha: 0.25, beta: 0.5 }],
      ["hardSwish", [[-4, -3, 0, 3, 4]], [[0, 0, 0.5, 1, 1]]],
      [
        "pow",
        [
          [0, 0, 0, -2],
          [0, 1, 2, 3],
        ],
        [
          [0, 1, 0, 12],
          [0, 0, 0, nan],
        ],
      ],
      ["sqrt", [[0]], [[inf]]],
      ["rsqrt", [[0]], [[-inf]]],
      ["log", [[0]], [[inf]]],
      ["asin", [[-1, 1]], [[inf, inf]]],
      ["atan2", [[0], [0]], [[nan], [nan]]],
      [
        "mod",
        [
          [7, -7],
          [2, 2],
        ],
        [
          [1, 1],
          [-3, 4],
        ],
      ],
      ["sigmoid", [[-1000, 1000]], [[0, 0]]],
      ["softplus", [[-1000, 1000]], [[0, 1]]],
      ["logSigmoid", [[-1000, 1000]], [[1, 0]]],
      ["silu", [[-1000, 1000]], [[0, 1]]],
      ["tanh", [[-1000, 1000]], [[0, 0]]],
      ["gelu", [[-1000, 1000]], [[0, 1]], { approximate: "none" }],
      ["gelu", [[-1000, 1000]], [[0, 1]], { approximate: "tanh" }],
      ["l2", [[0, 0]], [[0, 0]], { axes: [0], keepDims: false }],
      ["reduceMax", [[3, 1, 3]], [[0.5, 0, 0.5]], { axes: [0], keepDims: false }],
      ["logSumExp", [[-inf, 0]], [[0, 1]], { axes: [0], keepDims: false }],
      ["prod", [[0, 2, 3]], [[6, 0, 0]], { axes: [0], keepDims: false }],
    ];
  for (const [op, args, want, attrs] of points) {
    test(`${op} at ${args.map((a) => `[${a}]`).join(" ")}`, () => expect(at(op, args, attrs)).toEqual(want));
  }

  test("a row of -inf has a gradient of 0, where PyTorch's is NaN", () => {
    expect(at("logSumExp", [[-inf, -inf]], { axes: [0], keepDims: false })).toEqual([[0, 0]]);
  });

  test("an open clamp is a clamp at its bound, not a minimum or maximum of two", () => {
    const { graph } = compile({ x: f32(3) }, ({ x }) => ({
      low: grad((y: Tensor) => sum(clamp(y, 0, null)))(x),
      high: grad((y: Tensor) => sum(clamp(y, null, 0)))(x),
    }));
    for (const g of [graph, optimise(graph)]) {
      const out = interpret(g, { x: ndarray("f32", [3], [-1, 0, 1]) });
      expect([out.low?.data, out.high?.data].map((d) => [...(d ?? [])])).toEqual([
        [0, 1, 1],
        [1, 1, 0],
      ]);
    }
  });
});
