import { resolveAxes, resolveAxis } from "./axes.ts";
import { enter } from "./enter.ts";
import { readOptions } from "./options.ts";
import { isTensor, node, nodes, type Tensor, type TensorLike, wrap } from "./tensor.ts";

/** Options of reductions. */
export interface ReduceOptions {
  /** Axes to reduce, negative ones counting from the end; all by default. */
  readonly axes?: number | readonly number[];
  /** Keep reduced axes with size 1; false by default. */
  readonly keepDims?: boolean;
}

const reduction = (name: string, op: string, x: Tensor, options: ReduceOptions | undefined): Tensor =>
  enter((b) => {
    const { axes, keepDims } = readOptions(name, options, { axes: undefined, keepDims: false });
    const arg = node(name, x);
    return wrap(b.add(op, [arg], { axes: resolveAxes(name, axes, arg.type.shape.length), keepDims }));
  });

/** The sum over axes; 0 over none. f16 accumulates in f32. */
export function sum(x: Tensor, options?: ReduceOptions): Tensor {
  return reduction("sum", "sum", x, options);
}
/** The product over axes; 1 over none. */
export function prod(x: Tensor, options?: ReduceOptions): Tensor {
  return reduction("prod", "prod", x, options);
}
/** The arithmetic mean over axes. Floats. */
export function mean(x: Tensor, options?: ReduceOptions): Tensor {
  return reduction("mean", "mean", x, options);
}
/** log(sum(e^x)) over axes without overflow. Floats. */
export function logSumExp(x: Tensor, options?: ReduceOptions): Tensor {
  return reduction("logSumExp", "logSumExp", x, options);
}
/** The sum of absolute values over axes. */
export function l1(x: Tensor, options?: ReduceOptions): Tensor {
  return reduction("l1", "l1", x, options);
}
/** The Euclidean norm over axes: the square root of the sum of squares. Floats. */
export function l2(x: Tensor, options?: ReduceOptions): Tensor {
  return reduction("l2", "l2", x, options);
}
/** The sum of squares over axes. */
export function sumSquare(x: Tensor, options?: ReduceOptions): Tensor {
  return reduction("sumSquare", "sumSquare", x, options);
}
/** Whether any element along the axes is true. Bool. */
export function any(x: Tensor, options?: ReduceOptions): Tensor {
  return reduction("any", "any", x, options);
}
/** Whether all elements along the axes are true. Bool. */
export function all(x: Tensor, options?: ReduceOptions): Tensor {
  return reduction("all", "all", x, options);
}

const extremum = (op: "min" | "max", x: TensorLike, y: TensorLike | ReduceOptions | undefined): Tensor =>
  enter((b) => {
    if (isTensor(y) || typeof y === "number" || typeof y === "boolean") return wrap(b.add(op, nodes(op, b, [x, y])));
    return reduction(op, op === "min" ? "reduceMin" : "reduceMax", x as Tensor, y);
  });

/**
 * With two tensors (or a tensor and a number) the smaller of each pair, with broadcasting; with one, the minimum over the
 * axes of the options. NaN wins over any number.
 */
export function min(x: TensorLike, y?: TensorLike | ReduceOptions): Tensor {
  return extremum("min", x, y);
}
/**
 * With two tensors (or a tensor and a number) the larger of each pair, with broadcasting; with one, the maximum over the
 * axes of the options. NaN wins over any number.
 */
export function max(x: TensorLike, y?: TensorLike | ReduceOptions): Tensor {
  return extremum("max", x, y);
}

/** Options of {@link argMax} and {@link argMin}. */
export interface ArgOptions {
  /** The axis to search along; the last by default. */
  readonly axis?: number;
  /** Keep the axis with size 1; false by default. */
  readonly keepDims?: boolean;
}

const arg = (op: string, x: Tensor, options: ArgOptions | undefined): Tensor =>
  enter((b) => {
    const from = node(op, x);
    const { axis, keepDims } = readOptions(op, options, { axis: -1, keepDims: false });
    return wrap(b.add(op, [from], { axis: resolveAxis(op, axis, from.type.shape.length), keepDims }));
  });

/** The i32 index of the smallest element along an axis, the first of equals; NaN counts as the smallest. */
export function argMin(x: Tensor, options?: ArgOptions): Tensor {
  return arg("argMin", x, options);
}
/** The i32 index of the largest element along an axis, the first of equals; NaN counts as the largest. */
export function argMax(x: Tensor, options?: ArgOptions): Tensor {
  return arg("argMax", x, options);
}
