import { greatestOf, leastOf } from "../ir/ops/combine.ts";
import { enter } from "./enter.ts";
import { node, nodes, type Tensor, type TensorLike, wrap } from "./tensor.ts";

// Shapes broadcast as in NumPy; dtypes are equal, and a number takes the dtype of the tensor beside it.
const binary = (op: string, x: TensorLike, y: TensorLike): Tensor =>
  enter((b) => wrap(b.add(op, nodes(op, b, [x, y]))));

/** x + y, elementwise with broadcasting. */
export function add(x: TensorLike, y: TensorLike): Tensor {
  return binary("add", x, y);
}
/** x - y, elementwise with broadcasting. */
export function sub(x: TensorLike, y: TensorLike): Tensor {
  return binary("sub", x, y);
}
/** x * y, elementwise with broadcasting. */
export function mul(x: TensorLike, y: TensorLike): Tensor {
  return binary("mul", x, y);
}
/** x / y, elementwise with broadcasting. Integers drop the fraction; x / 0 is x for integers, as in WGSL. */
export function div(x: TensorLike, y: TensorLike): Tensor {
  return binary("div", x, y);
}
/**
 * x^y, elementwise with broadcasting. As IEEE 754 has it: x^0 is 1, a negative base with a fractional exponent gives NaN.
 */
export function pow(x: TensorLike, y: TensorLike): Tensor {
  return binary("pow", x, y);
}
/** x - floor(x / y) * y, elementwise with broadcasting. The result has the sign of y, as in Python. */
export function mod(x: TensorLike, y: TensorLike): Tensor {
  return binary("mod", x, y);
}
/**
 * The angle of the point (y, x) in radians from -pi to pi; the first argument is y, elementwise with broadcasting. Floats.
 */
export function atan2(y: TensorLike, x: TensorLike): Tensor {
  return binary("atan2", y, x);
}
/** x above 0, else slope * x, elementwise with broadcasting. Floats. */
export function prelu(x: TensorLike, slope: TensorLike): Tensor {
  return binary("prelu", x, slope);
}
/** Logical and of bools, bitwise and of integers, elementwise with broadcasting. */
export function and(x: TensorLike, y: TensorLike): Tensor {
  return binary("and", x, y);
}
/** Logical or of bools, bitwise or of integers, elementwise with broadcasting. */
export function or(x: TensorLike, y: TensorLike): Tensor {
  return binary("or", x, y);
}
/** Logical exclusive or of bools, bitwise exclusive or of integers, elementwise with broadcasting. */
export function xor(x: TensorLike, y: TensorLike): Tensor {
  return binary("xor", x, y);
}
/** x << n, elementwise with broadcasting. Integers; n counts modulo 32. */
export function shiftLeft(x: TensorLike, n: TensorLike): Tensor {
  return binary("shiftLeft", x, n);
}
/** x >> n, elementwise with broadcasting. Integers; the sign of an i32 is kept; n counts modulo 32. */
export function shiftRight(x: TensorLike, n: TensorLike): Tensor {
  return binary("shiftRight", x, n);
}
/** x = y, elementwise with broadcasting. The result is bool. */
export function equal(x: TensorLike, y: TensorLike): Tensor {
  return binary("equal", x, y);
}
/** Whether x and y differ, elementwise with broadcasting. The result is bool. */
export function notEqual(x: TensorLike, y: TensorLike): Tensor {
  return binary("notEqual", x, y);
}
/** x < y, elementwise with broadcasting. The result is bool. */
export function less(x: TensorLike, y: TensorLike): Tensor {
  return binary("less", x, y);
}
/** x <= y, elementwise with broadcasting. The result is bool. */
export function lessEqual(x: TensorLike, y: TensorLike): Tensor {
  return binary("lessEqual", x, y);
}
/** x > y, elementwise with broadcasting. The result is bool. */
export function greater(x: TensorLike, y: TensorLike): Tensor {
  return binary("greater", x, y);
}
/** x >= y, elementwise with broadcasting. The result is bool. */
export function greaterEqual(x: TensorLike, y: TensorLike): Tensor {
  return binary("greaterEqual", x, y);
}

/** `a` where `condition` (bool) is true, else `b`, elementwise with broadcasting. */
export function where(condition: Tensor, a: TensorLike, b: TensorLike): Tensor {
  return enter((builder) => wrap(builder.add("where", nodes("where", builder, [condition, a, b], 1))));
}

/**
 * x limited to `low` from below and to `high` from above, elementwise with broadcasting; null leaves a side open. NaN stays
 * NaN; where low > high the result is high.
 */
export function clamp(x: Tensor, low: TensorLike | null, high: TensorLike | null): Tensor {
  return enter((b) => {
    if (low === null && high === null) return x;
    const { dtype } = node("clamp", x).type;
    // An open side is a bound that holds for all: at the other one the derivative is a clamp's, not that of min or max.
    const bound = (v: TensorLike | null, open: number): TensorLike => v ?? wrap(b.const(open, dtype));
    const bounds = [bound(low, leastOf(dtype)), bound(high, greatestOf(dtype))];
    return wrap(b.add("clamp", nodes("clamp", b, [x, ...bounds])));
  });
}
