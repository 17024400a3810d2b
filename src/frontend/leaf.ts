import { fail } from "../base/diagnostic.ts";
import type { DType } from "../base/dtype.ts";
import { dtypes } from "../base/dtype.ts";
import { type Shape, shapeText, sizeOf } from "../ir/dim.ts";
import { attachMethods } from "./attach.ts";
import { resolveAxis } from "./axes.ts";
import { enter } from "./enter.ts";
import { dtypeOf, elements, type HostData } from "./host.ts";
import { oneOf, readOptions } from "./options.ts";
import { checkShape } from "./spec.ts";
import { exactly, type Tensor, wrap } from "./tensor.ts";

/**
 * A tensor whose elements are part of the program. From a number: a tensor filled with it. From a typed array: its elements
 * in row-major order, in one axis unless a shape is given. From nested arrays: their shape. The dtype follows the
 * typed array and is f32 (bool for booleans) otherwise, unless it is given.
 */
export function constant(value: number | boolean | HostData, shape?: Shape, dtype?: DType): Tensor {
  return enter((b) => {
    attachMethods();
    const type = dtype === undefined ? dtypeOf(value) : oneOf("constant", "dtype", dtype, dtypes);
    if (typeof value === "number" || typeof value === "boolean") {
      return wrap(b.const(exactly("constant", value, type), type, shape ? checkShape("constant", shape) : []));
    }
    const host = elements("constant", value, type);
    const to = shape ? checkShape("constant", shape) : host.shape;
    if (sizeOf(to) !== host.data.length) {
      fail("shape-mismatch", `constant: ${host.data.length} elements do not fill shape ${shapeText(to)}`, {
        cause: `the shape has ${sizeOf(to)} elements`,
        hint: "give as many elements as the shape has, or leave the shape out",
      });
    }
    return wrap(b.add("literal", [], { data: host.data, dtype: type, shape: to }));
  });
}

/** Options of {@link iota}. */
export interface IotaOptions {
  /** The axis along which values count; the last by default. */
  readonly axis?: number;
  /** i32 by default. */
  readonly dtype?: DType;
}

/** A tensor in which each element is its index along one axis: `iota([3])` is 0, 1, 2. */
export function iota(shape: Shape, options?: IotaOptions): Tensor {
  return enter((b) => {
    attachMethods();
    const o = readOptions("iota", options, { axis: -1, dtype: "i32" as DType });
    const to = checkShape("iota", shape);
    return wrap(
      b.add("iota", [], {
        axis: resolveAxis("iota", o.axis, to.length),
        dtype: oneOf("iota", "dtype", o.dtype, ["i32", "u32", "f32", "f16"]),
        shape: to,
      }),
    );
  });
}
