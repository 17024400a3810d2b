import { fail } from "../base/diagnostic.ts";
import type { DType } from "../base/dtype.ts";
import { type Dim, isSym, type Shape } from "../ir/dim.ts";
import { enter } from "./enter.ts";
import { describe } from "./tensor.ts";

/** The most axes a tensor may have. */
const maxRank = 8;

/** dtype and shape of an input of a program. */
export class TensorSpec<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: Shape;
  constructor(dtype: D, shape: Shape) {
    this.dtype = dtype;
    this.shape = checkShape(dtype, shape);
  }
}

/** A shape as given by the user: sizes that are non-negative integers or dims, at most {@link maxRank} of them. */
export function checkShape(op: string, shape: Shape): Shape {
  if (!Array.isArray(shape)) {
    fail("bad-shape", `${op}: a shape is an array of sizes, not ${describe(shape)}`, { hint: "write it as [2, 3]" });
  }
  if (shape.length > maxRank) {
    fail("bad-shape", `${op}: a tensor has at most ${maxRank} axes, not ${shape.length}`, {
      hint: "merge neighbouring axes",
    });
  }
  shape.forEach((d: Dim, i) => {
    if (typeof d === "number" ? !(Number.isInteger(d) && d >= 0) : !isDim(d)) {
      fail("bad-shape", `${op}: the size of axis ${i} is ${typeof d === "number" ? d : describe(d)}`, {
        cause: "a size is a non-negative integer or a dim",
        hint: 'write a number, or dim("T") for a size that is bound later',
      });
    }
  });
  return [...shape];
}

const isDim = (d: unknown): boolean =>
  typeof d === "object" && d !== null && isSym(d as Dim) && typeof (d as { dim?: unknown }).dim === "string";

const spec = <D extends DType>(dtype: D, shape: Dim[]): TensorSpec<D> => enter(() => new TensorSpec(dtype, shape));

/** An f32 input: `f32()` is a scalar, `f32(8, dim("T"))` has two axes. */
export const f32 = (...shape: Dim[]): TensorSpec<"f32"> => spec("f32", shape);
/** An f16 input. Stored as binary16; arithmetic on it is in f32, each result rounded to f16. */
export const f16 = (...shape: Dim[]): TensorSpec<"f16"> => spec("f16", shape);
/** An i32 input. */
export const i32 = (...shape: Dim[]): TensorSpec<"i32"> => spec("i32", shape);
/** A u32 input. */
export const u32 = (...shape: Dim[]): TensorSpec<"u32"> => spec("u32", shape);
/** A boolean input. */
export const bool = (...shape: Dim[]): TensorSpec<"bool"> => spec("bool", shape);
