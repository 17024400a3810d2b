import { fail } from "../base/diagnostic.ts";
import { type Dim, shapeText } from "../ir/dim.ts";
import { typeText } from "../ir/graph.ts";
import { resolveAxes, resolveAxis } from "./axes.ts";
import { enter } from "./enter.ts";
import { oneOf, readOptions } from "./options.ts";
import { quotient } from "./sizes.ts";
import { checkShape } from "./spec.ts";
import { exactly, node, type Tensor, wrap } from "./tensor.ts";

/** The same elements in row-major order under another shape; one size may be -1 and follows from the others. */
export function reshape(x: Tensor, shape: readonly Dim[]): Tensor {
  return enter((b) => {
    const arg = node("reshape", x);
    const given = Array.isArray(shape) ? (shape as readonly Dim[]) : [shape as unknown as Dim];
    const open = given.indexOf(-1);
    const rest = checkShape(
      "reshape",
      given.filter((_, i) => i !== open),
    );
    if (open < 0) return wrap(b.add("reshape", [arg], { shape: rest }));
    const size = quotient(arg.type.shape, rest);
    if (size === undefined) {
      fail("shape-mismatch", `reshape: ${typeText(arg.type)} does not fit shape ${shapeText(given)}`, {
        cause: `its number of elements is not a multiple of the other sizes`,
        hint: "give sizes whose product divides the number of elements",
      });
    }
    return wrap(b.add("reshape", [arg], { shape: rest.toSpliced(open, 0, size) }));
  });
}

/** Axes in another order: axis i of the result is axis `perm[i]` of x. Without `perm` the order is reversed. */
export function transpose(x: Tensor, perm?: readonly number[]): Tensor {
  return enter((b) => {
    const arg = node("transpose", x);
    const rank = arg.type.shape.length;
    const order = perm ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
    if (!Array.isArray(order) || order.length !== rank) {
      fail("bad-axis", `transpose: ${typeText(arg.type)} has ${rank} axes, but the order names ${order.length}`, {
        hint: "name every axis once, as in transpose(x, [0, 2, 1])",
      });
    }
    const axes = order.map((a) => resolveAxis("transpose", a, rank, "perm"));
    resolveAxes("transpose", axes, rank);
    return wrap(b.add("transpose", [arg], { perm: axes }));
  });
}

/** x repeated to `shape` by NumPy's broadcasting rule: axes of size 1 and missing leading axes repeat. */
export function expand(x: Tensor, shape: readonly Dim[]): Tensor {
  return enter((b) => wrap(b.add("expand", [node("expand", x)], { shape: checkShape("expand", shape) })));
}

/** Options of ops on any number of axes. */
export interface AxesOptions {
  /** Axes, negative ones counting from the end. */
  readonly axes?: number | readonly number[];
}

/** x without axes of size 1: those of `axes`, or all of them. */
export function squeeze(x: Tensor, options?: AxesOptions): Tensor {
  return enter((b) => {
    const arg = node("squeeze", x);
    const { shape } = arg.type;
    const { axes } = readOptions("squeeze", options, { axes: undefined });
    const ones = shape.flatMap((d, i) => (d === 1 ? [i] : []));
    return wrap(
      b.add("squeeze", [arg], { axes: axes === undefined ? ones : resolveAxes("squeeze", axes, shape.length) }),
    );
  });
}

/** x with new axes of size 1 at the positions `axes` of the result; one leading axis by default. */
export function unsqueeze(x: Tensor, options?: AxesOptions): Tensor {
  return enter((b) => {
    const arg = node("unsqueeze", x);
    const { axes = 0 } = readOptions("unsqueeze", options, { axes: undefined });
    const rank = arg.type.shape.length + (typeof axes === "number" ? 1 : axes.length);
    const shape: Dim[] = [...arg.type.shape];
    for (const a of resolveAxes("unsqueeze", axes, rank)) shape.splice(a, 0, 1);
    return wrap(b.add("reshape", [arg], { shape: checkShape("unsqueeze", shape) }));
  });
}

/** x with the elements along `axes` (all by default) in reverse order. */
export function flip(x: Tensor, options?: AxesOptions): Tensor {
  return enter((b) => {
    const arg = node("flip", x);
    const { axes } = readOptions("flip", options, { axes: undefined });
    return wrap(b.add("flip", [arg], { axes: resolveAxes("flip", axes, arg.type.shape.length) }));
  });
}

/** x repeated `repeats[i]` times along axis i. */
export function tile(x: Tensor, repeats: readonly number[]): Tensor {
  return enter((b) => {
    const arg = node("tile", x);
    return wrap(b.add("tile", [arg], { repeats: perAxis("tile", "repeats", repeats, arg.type.shape.length) }));
  });
}

/** Options of {@link pad}. */
export interface PadOptions {
  /** Elements added before the first, for every axis or all alike; 0 by default. */
  readonly low?: number | readonly number[];
  /** Elements added after the last, for every axis or all alike; 0 by default. */
  readonly high?: number | readonly number[];
  /**
   * What is added: `constant` (default) `value`; `edge` the outermost element; `reflection` the elements mirrored without
   * the outermost; `symmetric` mirrored with it.
   */
  readonly mode?: "constant" | "edge" | "reflection" | "symmetric";
  /** For mode `constant`, 0 by default. */
  readonly value?: number;
}

/** x with elements added at both ends of every axis. */
export function pad(x: Tensor, options: PadOptions): Tensor {
  return enter((b) => {
    const arg = node("pad", x);
    const rank = arg.type.shape.length;
    const o = readOptions("pad", options, { low: undefined, high: undefined, mode: "constant", value: 0 });
    const attrs = {
      low: perAxis("pad", "low", o.low ?? 0, rank),
      high: perAxis("pad", "high", o.high ?? 0, rank),
      mode: oneOf("pad", "mode", o.mode, ["constant", "edge", "reflection", "symmetric"]),
      value: exactly("pad", o.value, arg.type.dtype),
    };
    return wrap(b.add("pad", [arg], attrs));
  });
}

/** Counts for each axis, from one for all or one for each. */
function perAxis(op: string, what: string, given: number | readonly number[], rank: number): number[] {
  const list = typeof given === "number" ? new Array<number>(rank).fill(given) : [...given];
  if (list.length !== rank || !list.every((n) => Number.isInteger(n) && n >= 0)) {
    fail("bad-option", `${op}: ${what} [${list.join(", ")}] does not fit a tensor of rank ${rank}`, {
      cause: `${what} holds one non-negative integer for each axis`,
      hint: `give ${rank} integers`,
    });
  }
  return list;
}

/** Options of {@link triangular}. */
export interface TriangularOptions {
  /** Keep the upper triangle (default), else the lower. */
  readonly upper?: boolean;
  /** The diagonal that bounds the triangle: 0 (default) the main one, 1 the one above it. */
  readonly diagonal?: number;
}

/** x [..., M, N] with zeros outside a triangle of its last two axes. */
export function triangular(x: Tensor, options?: TriangularOptions): Tensor {
  return enter((b) => {
    const o = readOptions("triangular", options, { upper: true, diagonal: 0 });
    return wrap(b.add("triangular", [node("triangular", x)], o));
  });
}
