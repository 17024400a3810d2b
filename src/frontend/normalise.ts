import { resolveAxis, resolveAxisList } from "./axes.ts";
import { enter } from "./enter.ts";
import type { AxisOptions } from "./join.ts";
import { withOptional } from "./optional.ts";
import { oneOf, readOptions } from "./options.ts";
import { node, type Tensor, wrap } from "./tensor.ts";

/** e^x / sum(e^x) along an axis, the last by default. f16 is computed in f32. */
export function softmax(x: Tensor, options?: AxisOptions): Tensor {
  return alongAxis("softmax", x, options);
}
/** log(softmax(x)) along an axis, the last by default, without overflow. f16 is computed in f32. */
export function logSoftmax(x: Tensor, options?: AxisOptions): Tensor {
  return alongAxis("logSoftmax", x, options);
}

const alongAxis = (op: string, x: Tensor, options: AxisOptions | undefined): Tensor =>
  enter((b) => {
    const arg = node(op, x);
    const { axis } = readOptions(op, options, { axis: -1 });
    return wrap(b.add(op, [arg], { axis: resolveAxis(op, axis, arg.type.shape.length) }));
  });

/** What all normalisations but {@link rmsNorm} take. */
export interface AffineOptions {
  /** Multiplies the normalised values. */
  readonly scale?: Tensor;
  /** Added at the end. */
  readonly bias?: Tensor;
  /** Added to the variance, 1e-5 by default. */
  readonly epsilon?: number;
}
const affine = { scale: undefined, bias: undefined, epsilon: 1e-5 };

/** Options of {@link layerNorm}. */
export interface LayerNormOptions extends AffineOptions {
  /** The axes to normalise over, the last by default; scale and bias have their sizes, in this order. */
  readonly axes?: number | readonly number[];
}

/**
 * Layer normalisation (x - mean) / sqrt(variance + epsilon) * scale + bias over axes. Ba et al., 2016. f16 is computed in
 * f32.
 */
export function layerNorm(x: Tensor, options?: LayerNormOptions): Tensor {
  return enter((b) => {
    const arg = node("layerNorm", x);
    const { scale, bias, epsilon, axes } = readOptions("layerNorm", options, { ...affine, axes: undefined });
    const attrs = { axes: resolveAxisList("layerNorm", axes ?? -1, arg.type.shape.length), epsilon };
    return withOptional("layerNorm", b, [arg], { scale, bias }, attrs);
  });
}

/** Options of {@link rmsNorm}. */
export interface RmsNormOptions {
  /** Multiplies the normalised values. */
  readonly scale?: Tensor;
  /** The axes to normalise over, the last by default; scale has their sizes. */
  readonly axes?: number | readonly number[];
  /** Added to the mean of squares, 1e-5 by default. */
  readonly epsilon?: number;
}

/** Root-mean-square normalisation x / sqrt(mean(x^2) + epsilon) * scale over axes. Zhang and Sennrich, 2019. */
export function rmsNorm(x: Tensor, options?: RmsNormOptions): Tensor {
  return enter((b) => {
    const arg = node("rmsNorm", x);
    const { scale, axes, epsilon } = readOptions("rmsNorm", options, {
      scale: undefined,
      axes: undefined,
      epsilon: 1e-5,
    });
    const attrs = { axes: resolveAxisList("rmsNorm", axes ?? -1, arg.type.shape.length), epsilon };
    return withOptional("rmsNorm", b, [arg], { scale }, attrs);
  });
}

/** Options of {@link batchNorm}. */
export interface BatchNormOptions extends AffineOptions {
  /** The channel axis, 1 by default; mean, variance, scale and bias have its size. */
  readonly axis?: number;
}

/** Batch normalisation with given statistics: (x - mean) / sqrt(variance + epsilon) * scale + bias by channel. */
export function batchNorm(x: Tensor, mean: Tensor, variance: Tensor, options?: BatchNormOptions): Tensor {
  return enter((b) => {
    const op = "batchNorm";
    const args = [node(op, x), node(op, mean, "mean"), node(op, variance, "variance")];
    const { scale, bias, epsilon, axis } = readOptions(op, options, { ...affine, axis: 1 });
    const attrs = { axis: resolveAxis(op, axis, args[0]?.type.shape.length as number), epsilon };
    return withOptional(op, b, args, { scale, bias }, attrs);
  });
}

/** Options of {@link groupNorm}. */
export interface GroupNormOptions extends AffineOptions {
  /** The number of groups of channels (axis 1), a divisor of the channels. */
  readonly groups: number;
}

/** Normalises x [N, C, ...] over each group of channels and all axes after them. Wu and He, 2018. */
export function groupNorm(x: Tensor, options: GroupNormOptions): Tensor {
  return enter((b) => {
    const { scale, bias, epsilon, groups } = readOptions("groupNorm", options, { ...affine, groups: 1 });
    return withOptional("groupNorm", b, [node("groupNorm", x)], { scale, bias }, { groups, epsilon });
  });
}

/** Options of {@link instanceNorm}. */
export interface InstanceNormOptions extends AffineOptions {
  /** `nchw` (default): channels are axis 1; `nhwc`: the last. */
  readonly layout?: "nchw" | "nhwc";
}

/** Normalises every channel of every sample over the spatial axes. Ulyanov et al., 2016. */
export function instanceNorm(x: Tensor, options?: InstanceNormOptions): Tensor {
  return enter((b) => {
    const op = "instanceNorm";
    const o = readOptions(op, options, { ...affine, layout: "nchw" as "nchw" | "nhwc" });
    const layout = oneOf(op, "layout", o.layout, ["nchw", "nhwc"]);
    return withOptional(op, b, [node(op, x)], { scale: o.scale, bias: o.bias }, { epsilon: o.epsilon, layout });
  });
}
