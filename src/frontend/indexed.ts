import { fail } from "../base/diagnostic.ts";
import { type DType, dtypes } from "../base/dtype.ts";
import type { Dim } from "../ir/dim.ts";
import { resolveAxis } from "./axes.ts";
import { enter } from "./enter.ts";
import type { AxisOptions } from "./join.ts";
import { oneOf, readOptions } from "./options.ts";
import { checkShape } from "./spec.ts";
import { exactly, node, type Tensor, wrap } from "./tensor.ts";

/**
 * Slices of `data` along an axis (0 by default) picked by integer `indices`: the axis is replaced by the shape of the
 * indices. Negative indices count from the end; indices beyond the ends are clamped.
 */
export function gather(data: Tensor, indices: Tensor, options?: AxisOptions): Tensor {
  return enter((b) => {
    const [d, i] = [node("gather", data, "data"), node("gather", indices, "indices")];
    const { axis } = readOptions("gather", options, { axis: 0 });
    return wrap(b.add("gather", [d, i], { axis: resolveAxis("gather", axis, d.type.shape.length) }));
  });
}

/**
 * One element for each index: `out[i, j] = data[indices[i, j], j]` for axis 0 (the default) of two. Indices as in
 * {@link gather}.
 */
export function gatherElements(data: Tensor, indices: Tensor, options?: AxisOptions): Tensor {
  return enter((b) => {
    const [d, i] = [node("gatherElements", data, "data"), node("gatherElements", indices, "indices")];
    const { axis } = readOptions("gatherElements", options, { axis: 0 });
    return wrap(b.add("gatherElements", [d, i], { axis: resolveAxis("gatherElements", axis, d.type.shape.length) }));
  });
}

/** Options of {@link gatherND}. */
export interface GatherNDOptions {
  /** Leading axes that data and indices share; 0 by default. */
  readonly batchDims?: number;
}

/** Slices of `data` named by index tuples: indices [..., K] index the first K axes. Indices as in {@link gather}. */
export function gatherND(data: Tensor, indices: Tensor, options?: GatherNDOptions): Tensor {
  return enter((b) => {
    const args = [node("gatherND", data, "data"), node("gatherND", indices, "indices")];
    return wrap(b.add("gatherND", args, readOptions("gatherND", options, { batchDims: 0 })));
  });
}

/** How an update joins the element it hits; `none` replaces it. */
export type ScatterReduction = "none" | "add" | "mul" | "min" | "max";
const reductions: readonly ScatterReduction[] = ["none", "add", "mul", "min", "max"];

/** Options of {@link scatterND}. */
export interface ScatterNDOptions {
  /** How an update joins the element it hits; `none` (default) replaces it, the last of several winning. */
  readonly reduction?: ScatterReduction;
}
/** Options of {@link scatterElements}. */
export interface ScatterOptions extends AxisOptions, ScatterNDOptions {}

/**
 * A copy of `data` with one element written for each index: `out[indices[i, j], j] = updates[i, j]` for axis 0 (the
 * default) of two. Negative indices count from the end; updates outside are dropped.
 */
export function scatterElements(data: Tensor, indices: Tensor, updates: Tensor, options?: ScatterOptions): Tensor {
  return enter((b) => {
    const op = "scatterElements";
    const args = [node(op, data, "data"), node(op, indices, "indices"), node(op, updates, "updates")];
    const o = readOptions(op, options, { axis: 0, reduction: "none" as ScatterReduction });
    return wrap(
      b.add(op, args, {
        axis: resolveAxis(op, o.axis, args[0]?.type.shape.length as number),
        reduction: oneOf(op, "reduction", o.reduction, reductions),
      }),
    );
  });
}

/**
 * A copy of `data` with slices written where index tuples say: indices [..., K] index the first K axes, updates are
 * [..., remaining axes of data].
 */
export function scatterND(data: Tensor, indices: Tensor, updates: Tensor, options?: ScatterNDOptions): Tensor {
  return enter((b) => {
    const op = "scatterND";
    const args = [node(op, data, "data"), node(op, indices, "indices"), node(op, updates, "updates")];
    const { reduction } = readOptions(op, options, { reduction: "none" as ScatterReduction });
    return wrap(b.add(op, args, { reduction: oneOf(op, "reduction", reduction, reductions) }));
  });
}

/**
 * A copy of `data` with slices added at integer `indices` of an axis (0 by default): the opposite of {@link gather}.
 * `updates` has the shape of `gather(data, indices)`. Repeated indices add up.
 */
export function scatterAdd(data: Tensor, indices: Tensor, updates: Tensor, options?: AxisOptions): Tensor {
  return enter((b) => {
    const op = "scatterAdd";
    const args = [node(op, data, "data"), node(op, indices, "indices"), node(op, updates, "updates")];
    const { axis } = readOptions(op, options, { axis: 0 });
    return wrap(b.add(op, args, { axis: resolveAxis(op, axis, args[0]?.type.shape.length as number) }));
  });
}

/** Options of {@link oneHot}. */
export interface OneHotOptions {
  /** The number of classes. */
  readonly depth: Dim;
  /** Where the class axis stands in the result; last by default. */
  readonly axis?: number;
  /** The result's dtype, f32 by default. */
  readonly dtype?: DType;
  /** The value at the index, 1 by default. */
  readonly on?: number;
  /** The value elsewhere, 0 by default. */
  readonly off?: number;
}

/**
 * A new axis of `depth` classes that holds `on` where the class is the index and `off` elsewhere. Indices from -depth to
 * -1 count from the end; others outside match no class.
 */
export function oneHot(indices: Tensor, options: OneHotOptions): Tensor {
  return enter((b) => {
    const arg = node("oneHot", indices, "indices");
    const o = readOptions("oneHot", options, { depth: undefined, axis: -1, dtype: "f32" as DType, on: 1, off: 0 });
    if (o.depth === undefined)
      fail("bad-option", "oneHot needs depth, the number of classes", { hint: "write { depth: 10 }" });
    const dtype = oneOf("oneHot", "dtype", o.dtype, dtypes);
    return wrap(
      b.add("oneHot", [arg], {
        depth: checkShape("oneHot", [o.depth])[0],
        axis: resolveAxis("oneHot", o.axis, arg.type.shape.length + 1),
        dtype,
        on: exactly("oneHot", o.on, dtype),
        off: exactly("oneHot", o.off, dtype),
      }),
    );
  });
}
