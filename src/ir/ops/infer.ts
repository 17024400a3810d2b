import { fail } from "../../base/diagnostic.ts";
import { type DType, dtypes, isFloat, isInteger } from "../../base/dtype.ts";
import { type Dim, dimEqual, dimMax, dimText, isSym, type Shape, shapeText } from "../dim.ts";
import type { TensorType } from "../graph.ts";

/** As in graph.ts, for rows: they import nothing of it at run time, because it imports the table of rows. */
export const typeText = (t: TensorType): string => `${t.dtype}${shapeText(t.shape)}`;

/** False only when both sizes are known and differ. What is undecided here is checked again when dims are bound. */
export const mayEqual = (a: Dim, b: Dim): boolean => isSym(a) || isSym(b) || a === b;

/** The better known of two sizes that must be equal, or undefined when they cannot be. */
export function unifyDims(a: Dim, b: Dim): Dim | undefined {
  if (!mayEqual(a, b)) return undefined;
  return isSym(a) ? b : a;
}

/**
 * The shape two shapes broadcast to by NumPy's rule: aligned at the last axis, a size of 1 (or a missing axis) repeats.
 * Of a symbolic size against a known size other than 1 the result has the known one; of two different symbolic sizes, their maximum.
 * @throws SinterError `shape-mismatch`
 */
export function broadcastShapes(a: Shape, b: Shape, op = "broadcast"): Shape {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (dimEqual(x, y) || y === 1) out.push(x);
    else if (x === 1) out.push(y);
    else if (!mayEqual(x, y)) failBroadcast(a, b, x, y, i - rank, op);
    else if (isSym(x) && isSym(y)) out.push(dimMax(x, y));
    else out.push(isSym(x) ? y : x);
  }
  return out;
}

function failBroadcast(a: Shape, b: Shape, x: Dim, y: Dim, axis: number, op: string): never {
  fail("shape-mismatch", `${op}: shapes ${shapeText(a)} and ${shapeText(b)} do not broadcast`, {
    cause: `at axis ${axis} the sizes are ${dimText(x)} and ${dimText(y)}; sizes must be equal or one of them 1`,
    hint: broadcastHint(a, b),
  });
}

/** Names the reshape that would make the shapes fit, when there is an obvious one. */
function broadcastHint(a: Shape, b: Shape): string {
  for (const [small, big] of [
    [b, a],
    [a, b],
  ] as const) {
    if (small.length !== 1) continue;
    const at = big.findIndex((d) => dimEqual(d, small[0] as Dim));
    if (at >= 0) {
      const shape = [small[0] as Dim, ...new Array<Dim>(big.length - 1 - at).fill(1)];
      return `to align the one-dimensional tensor with axis ${at} of the other, reshape it to ${shapeText(shape)}`;
    }
  }
  return "reshape, transpose or expand one of them so that the sizes agree from the last axis on";
}

export const broadcastAll = (shapes: readonly Shape[], op?: string): Shape =>
  shapes.reduce((a, b) => broadcastShapes(a, b, op), []);

/** The one dtype of all arguments. @throws SinterError `dtype-mismatch` */
export function sameDType(op: string, ...args: readonly TensorType[]): DType {
  const first = args[0] as TensorType;
  const other = args.find((t) => t.dtype !== first.dtype);
  if (other) {
    fail("dtype-mismatch", `${op} takes arguments of one dtype, not ${typeText(first)} and ${typeText(other)}`, {
      cause: "dtypes are never promoted",
      hint: `cast one of them: cast(x, "${first.dtype}") or cast(x, "${other.dtype}")`,
    });
  }
  return first.dtype;
}

/** @throws SinterError `dtype-mismatch` when `t` has none of the dtypes `allowed`. `param` names the argument. */
export function requireDType(op: string, t: TensorType, allowed: readonly DType[], param = "x"): DType {
  if (!allowed.includes(t.dtype)) {
    fail("dtype-mismatch", `${op} takes ${allowed.join(" or ")}, but ${param} is ${typeText(t)}`, {
      cause: `${op} is not defined for ${t.dtype}`,
      hint: `cast it first: cast(${param}, "${allowed[0]}")`,
    });
  }
  return t.dtype;
}

export const floats: readonly DType[] = dtypes.filter(isFloat);
const integers: readonly DType[] = dtypes.filter(isInteger);
export const numbers: readonly DType[] = [...floats, ...integers];

export const requireFloat = (op: string, t: TensorType, param?: string): DType => requireDType(op, t, floats, param);
export const requireInteger = (op: string, t: TensorType, param?: string): DType =>
  requireDType(op, t, integers, param);
export const requireNumber = (op: string, t: TensorType, param?: string): DType => requireDType(op, t, numbers, param);
export const requireBool = (op: string, t: TensorType, param?: string): DType => requireDType(op, t, ["bool"], param);

/** @throws SinterError `rank-mismatch` unless `low <= rank <= high`. */
export function requireRank(
  op: string,
  t: TensorType,
  low: number,
  high = Number.POSITIVE_INFINITY,
  param = "x",
): void {
  const rank = t.shape.length;
  if (rank >= low && rank <= high) return;
  const want = high === low ? `${low}` : high === Number.POSITIVE_INFINITY ? `${low} or more` : `${low} to ${high}`;
  fail("rank-mismatch", `${op} takes ${param} of rank ${want}, not ${typeText(t)} of rank ${rank}`, {
    hint: "reshape it to the rank that is asked for",
  });
}

/** An axis counted from the front; negative ones count from the end. @throws SinterError `bad-axis` */
export function normaliseAxis(op: string, axis: number, rank: number, what = "axis"): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    fail("bad-axis", `${op}: ${what} ${axis} is outside a tensor of rank ${rank}`, {
      hint: rank === 0 ? "a scalar has no axes" : `give an integer from ${-rank} to ${rank - 1}`,
    });
  }
  return axis < 0 ? axis + rank : axis;
}

/** Axes from the front, ascending. @throws SinterError `bad-axis` on a repeated axis or one outside the rank */
export function normaliseAxes(op: string, axes: readonly number[], rank: number): number[] {
  const out = axes.map((a) => normaliseAxis(op, a, rank)).sort((a, b) => a - b);
  const twice = out.find((a, i) => a === out[i - 1]);
  if (twice !== undefined) {
    fail("bad-axis", `${op}: axes [${axes.join(", ")}] name axis ${twice} twice`, { hint: "name each axis once" });
  }
  return out;
}

/** The shape both must have, sizes known where either is. @throws SinterError `shape-mismatch` */
export function sameShape(op: string, a: Shape, b: Shape, what = "the arguments"): Shape {
  const out = a.map((d, i) => unifyDims(d, b[i] ?? -1));
  if (a.length !== b.length || out.includes(undefined)) {
    fail("shape-mismatch", `${op}: ${what} must have one shape, not ${shapeText(a)} and ${shapeText(b)}`, {
      hint: "reshape or expand one of them to the other's shape",
    });
  }
  return out as Dim[];
}
