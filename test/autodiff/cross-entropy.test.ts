import { describe, expect, test } from "vitest";
import {
  type CrossEntropyOptions,
  compile,
  crossEntropy,
  f16,
  f32,
  i32,
  type Tensor,
  u32,
  valueAndGrad,
} from "../../src/index.ts";
import { interpret } from "../../src/ir/interpret.ts";
import { type NDArray, ndarray } from "../../src/ir/ndarray.ts";
import { randomOf } from "../support/values.ts";

const [rows, classes] = [5, 7];
const random = randomOf(7);
const logits = Array.from({ length: rows * classes }, () => random() * 8 - 4);

/** PyTorch's definition, row by row: the losses, and the gradient of their sum or mean. */
function reference(
  targets: readonly number[],
  o: CrossEntropyOptions,
): { losses: number[]; loss: number; grad: number[] } {
  const s = o.labelSmoothing ?? 0;
  const ignored = (t: number): boolean => t < 0 || t === o.ignoreIndex;
  const rowOf = (r: number): number[] => logits.slice(r * classes, (r + 1) * classes);
  const softmax = (x: readonly number[]): number[] => {
    const total = x.reduce((sum, v) => sum + Math.exp(v), 0);
    return x.map((v) => Math.exp(v) / total);
  };
  const wanted = (t: number): number[] =>
    Array.from({ length: classes }, (_, c) => (c === t ? 1 - s : 0) + s / classes);
  const losses = targets.map((t, r) =>
    ignored(t) ? 0 : -softmax(rowOf(r)).reduce((sum, p, c) => sum + (wanted(t)[c] as number) * Math.log(p), 0),
  );
  const counted = o.ignoreIndex === undefined ? rows : targets.filter((t) => !ignored(t)).length;
  const share = o.reduction === "sum" ? 1 : 1 / counted;
  const grad = targets.flatMap((t, r) =>
    softmax(rowOf(r)).map((p, c) => (ignored(t) ? 0 : share * (p - (wanted(t)[c] as number)))),
  );
  return { losses, loss: losses.reduce((a, b) => a + b, 0) * share, grad };
}

const close = (x: NDArray | undefined, want: readonly number[], tolerance = 1e-12): void => {
  expect(x?.data.length).toBe(want.length);
  want.forEach((w, i) => {
    expect(Math.abs((x?.data[i] as number) - w)).toBeLessThanOrEqual(tolerance);
  });
};

describe("crossEntropy's options mean what they mean in PyTorch", () => {
  const targets = [3, 0, 2, 6, 2];
  const masked = [3, -100, 2, -100, 2];
  test.each<readonly [readonly number[], CrossEntropyOptions]>([
    [targets, {}],
    [targets, { reduction: "sum" }],
    [targets, { labelSmoothing: 0.25 }],
    [targets, { labelSmoothing: 1, reduction: "sum" }],
    [targets, { ignoreIndex: 2 }],
    [targets, { ignoreIndex: 2, labelSmoothing: 0.1, reduction: "sum" }],
    [masked, { ignoreIndex: -100 }],
    [masked, { ignoreIndex: -100, labelSmoothing: 0.5 }],
    [masked, { ignoreIndex: 2 }],
    [masked, { reduction: "sum" }],
  ])("%j %j", (t, options) => {
    const want = reference(t, options);
    const { graph } = compile({ x: f32(rows, classes), t: i32(rows) }, ({ x, t }) => ({
      each: crossEntropy(x, t, { ...options, reduction: "none" }),
      ...valueAndGrad((y: Tensor) => crossEntropy(y, t, options))(x),
    }));
    const out = interpret(graph, { x: ndarray("f32", [rows, classes], logits), t: ndarray("i32", [rows], t) });
    close(out.each, want.losses);
    close(out.value, [want.loss]);
    close(out.grad, want.grad);
  });

  test("unsigned targets and f16 logits", () => {
    const options = { ignoreIndex: 2, labelSmoothing: 0.1 };
    const want = reference(targets, options);
    const { graph } = compile({ x: f16(rows, classes), t: u32(rows) }, ({ x, t }) =>
      valueAndGrad((y: Tensor) => crossEntropy(y, t, options))(x),
    );
    expect(graph.outputs.map((o) => o.node.type.dtype)).toEqual(["f16", "f16"]);
    const out = interpret(graph, { x: ndarray("f16", [rows, classes], logits), t: ndarray("u32", [rows], targets) });
    close(out.value, [want.loss], 2e-3);
    close(out.grad, want.grad, 1e-3);
  });

  test("where every target is ignored the mean is NaN", () => {
    const { graph } = compile({ x: f32(1, 2), t: i32(1) }, ({ x, t }) => crossEntropy(x, t, { ignoreIndex: 1 }));
    expect(interpret(graph, { x: ndarray("f32", [1, 2]), t: ndarray("i32", [1], [1]) }).out?.data[0]).toBeNaN();
  });

  test("options out of range are refused", () => {
    const call = (options: CrossEntropyOptions) => () =>
      compile({ x: f32(2, 3), t: u32(2) }, ({ x, t }) => crossEntropy(x, t, options));
    expect(call({ labelSmoothing: 1.5 })).toThrow(/labelSmoothing is 1.5/);
    expect(call({ ignoreIndex: -100 })).toThrow(/-100 is not a value of dtype u32/);
    expect(call({ ignoreIndex: 0.5 })).toThrow(/0.5 is not a value of dtype u32/);
  });
});
