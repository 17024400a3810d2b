import { crossEntropy as crossEntropyOf, defineKernel, dim, f32, grad, i32, type Tensor } from "sinter";
import { like, wide } from "./precision.ts";

const rows = dim("rows", { hint: 1024 });
const classes = dim("classes", { hint: 50_257 });

const lossesOf = (logits: Tensor, targets: Tensor): Tensor => crossEntropyOf(logits, targets, { reduction: "none" });

/** The gradient of the losses by the logits, each row's times `weight`. */
const gradientOf = (logits: Tensor, targets: Tensor, weight: Tensor): Tensor =>
  grad((x: Tensor) => lossesOf(x, targets).mul(weight).sum())(logits);

/**
 * losses = log(sum(e^logits)) - logits[target] of each row, in f32. A negative target ignores its row: the loss is 0. One that
 * names no class gives NaN.
 */
export const crossEntropy = defineKernel(
  { name: "crossEntropy", inputs: (float) => ({ logits: float(rows, classes), targets: i32(rows) }) },
  ({ logits, targets }) => ({ losses: lossesOf(wide(logits), targets) }),
);

/** dlogits = (softmax(logits) - oneHot(target)) · dlosses of each row; 0 in rows with a negative target. */
export const crossEntropyBackward = defineKernel(
  {
    name: "crossEntropyBackward",
    inputs: (float) => ({ logits: float(rows, classes), targets: i32(rows), dlosses: f32(rows) }),
  },
  ({ logits, targets, dlosses }) => ({ dlogits: like(gradientOf(wide(logits), targets, dlosses), logits) }),
);

/**
 * The losses of `crossEntropy` and, in the same kernel, the gradient by the logits of scale · sum(losses): 1 / rows for the
 * mean, and a loss scale besides where dlogits is f16.
 */
export const crossEntropyForwardBackward = defineKernel(
  {
    name: "crossEntropyForwardBackward",
    inputs: (float) => ({ logits: float(rows, classes), targets: i32(rows), scale: f32() }),
  },
  ({ logits, targets, scale }) => ({
    losses: lossesOf(wide(logits), targets),
    dlogits: like(gradientOf(wide(logits), targets, scale), logits),
  }),
);

/** As `crossEntropyForwardBackward` with the gradient in the place of the logits, which saves an array of their size. */
export const crossEntropyInPlace = defineKernel(
  {
    name: "crossEntropyInPlace",
    inputs: (float) => ({ logits: float(rows, classes), targets: i32(rows), scale: f32() }),
    donate: ["logits"],
  },
  ({ logits, targets, scale }) => ({
    losses: lossesOf(wide(logits), targets),
    logits: like(gradientOf(wide(logits), targets, scale), logits),
  }),
);
