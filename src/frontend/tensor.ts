import { fail } from "../base/diagnostic.ts";
import { type DType, isInteger } from "../base/dtype.ts";
import { halfRound } from "../base/half.ts";
import type { Dim, Shape } from "../ir/dim.ts";
import { type GraphBuilder, type Node, typeText } from "../ir/graph.ts";
import type { Methods } from "./methods.ts";

/** What methods rest on: a node of the graph being traced. */
export class TensorCore {
  /** The node of the graph that computes this tensor. */
  readonly node: Node;
  constructor(node: Node) {
    this.node = node;
  }
  /** Sizes by axis; symbolic where a named dim is not bound yet. */
  get shape(): Shape {
    return this.node.type.shape;
  }
  get dtype(): DType {
    return this.node.type.dtype;
  }
  /** The number of axes. */
  get rank(): number {
    return this.node.type.shape.length;
  }
  /** The size of one axis; a negative axis counts from the end. */
  size(axis: number): Dim {
    const n = this.rank;
    return (
      this.shape[axis < 0 ? axis + n : axis] ??
      fail("bad-axis", `size: axis ${axis} is outside ${this}`, { hint: `give an integer from ${-n} to ${n - 1}` })
    );
  }
  /** dtype and shape, as in `f32[8, T]`. */
  toString(): string {
    return typeText(this.node.type);
  }
  /** What JavaScript's operators ask for: text for `${x}`, an error for `x * 2` and `x + 1`, which would be NaN or text. */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === "string") return this.toString();
    return fail("no-operators", `JavaScript's operators do not work on tensors, here ${this}`, {
      cause: "an operator wants the elements, which exist only when the program runs",
      hint: "write mul(x, 2) or x.mul(2)",
    });
  }
  /** What Node's console shows instead of the graph behind the tensor. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Tensor ${this}`;
  }
}

/**
 * A tensor of a program being traced: dtype and shape are known, elements are not. Every function of the DSL whose first
 * parameter is a tensor is a method too: `add(x, y)` is `x.add(y)`.
 */
export interface Tensor extends TensorCore, Methods {}

/** A tensor, or a number or boolean that takes the dtype of the tensors beside it. */
export type TensorLike = Tensor | number | boolean;

export const isTensor = (v: unknown): v is Tensor => v instanceof TensorCore;

export const wrap = (node: Node): Tensor => new TensorCore(node) as Tensor;

/** What a value is, for error messages. */
export function describe(v: unknown): string {
  if (isTensor(v)) return `a tensor ${v}`;
  if (v === null || v === undefined) return String(v);
  if (typeof v === "function") return "a function";
  if (typeof v === "object") {
    const name = Object.getPrototypeOf(v)?.constructor?.name;
    if (Array.isArray(v)) return "an array";
    return name && name !== "Object" ? `${/^(?!Uint)[AEIOU]/.test(name) ? "an" : "a"} ${name}` : "an object";
  }
  return `the ${typeof v} ${typeof v === "number" ? v : JSON.stringify(v)}`;
}

/** The node of an argument that must be a tensor. */
export function node(op: string, v: Tensor, param = "x"): Node {
  if (isTensor(v)) return v.node;
  return fail("not-a-tensor", `${op} takes a tensor as ${param}, not ${describe(v)}`, {
    hint: tensorHint(v),
  });
}

const tensorHint = (v: unknown): string =>
  ArrayBuffer.isView(v) || Array.isArray(v) || typeof v === "number"
    ? "wrap data in constant(data, shape), or declare it as an input of compile"
    : "pass a tensor: an input of the traced function or the result of an op";

/** Nodes of arguments of which some are numbers; numbers take the dtype of the first tensor from `first` on. */
export function nodes(op: string, b: GraphBuilder, values: readonly TensorLike[], first = 0): Node[] {
  const like = values.find((v, i): v is Tensor => i >= first && isTensor(v));
  return values.map((v, i) => {
    if (isTensor(v)) return v.node;
    if (typeof v !== "number" && typeof v !== "boolean") {
      fail("not-a-tensor", `${op} takes tensors and numbers, but argument ${i + 1} is ${describe(v)}`, {
        hint: tensorHint(v),
      });
    }
    if (i < first) return node(op, v as unknown as Tensor, `argument ${i + 1}`);
    if (!like) {
      fail("no-tensor", `${op} got numbers only`, {
        cause: "a number takes its dtype from a tensor beside it",
        hint: "compute with plain numbers in JavaScript, or make one a tensor: constant(2)",
      });
    }
    return lift(op, b, v, like.dtype);
  });
}

const integerRange: Partial<Record<DType, readonly [number, number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
};

/** A value as an element of `dtype` holds it. Fails with `bad-number` where it would change its meaning. */
export function exactly(op: string, value: number | boolean, dtype: DType): number {
  const range = integerRange[dtype];
  if (typeof value === "boolean" ? dtype !== "bool" : dtype === "bool" && value !== 0 && value !== 1) {
    fail("bad-number", `${op}: ${value} is not a value of dtype ${dtype}`, {
      cause: "a number takes the dtype of the tensor beside it",
      hint: dtype === "bool" ? "use true or false, or cast the tensor" : "use a number, or compare the tensor first",
    });
  }
  const x = Number(value);
  if (range && !(Number.isInteger(x) && x >= range[0] && x <= range[1])) {
    fail("bad-number", `${op}: ${value} is not a value of dtype ${dtype}`, {
      cause: `a number takes the dtype of the tensor beside it, and ${dtype} holds integers from ${range[0]} to ${range[1]}`,
      hint: Number.isInteger(x) ? "use a value in range" : 'cast the tensor first: cast(x, "f32")',
    });
  }
  return isInteger(dtype) || dtype === "bool" ? x + 0 : dtype === "f16" ? halfRound(x) : Math.fround(x);
}

/** A number as a scalar of `dtype`. */
export const lift = (op: string, b: GraphBuilder, value: number | boolean, dtype: DType): Node =>
  b.const(exactly(op, value, dtype), dtype);
