import type { DType } from "../base/dtype.ts";
import type { GraphBuilder, Node } from "../ir/graph.ts";
import { type LiteralType, literalNumber, type ScalarProgram, type Step } from "./body-data.ts";
import { forms } from "./body-ops.ts";

/** A value of a program: a node of dtype f32, i32, u32 or bool, or a constant. */
export type Value = Node | Constant;

/** `type` is what the source made of it; a mere number takes the dtype of what it meets, f32 by itself. */
export interface Constant {
  readonly constant: number;
  readonly type: LiteralType | "number";
}

export type IntType = "i32" | "u32";
export type Kind = "f32" | IntType | "bool" | "number";

export const isConstant = (v: Value): v is Constant => "constant" in v;
export const kindOf = (v: Value): Kind => (isConstant(v) ? v.type : (v.type.dtype as Kind));

const ranges: Readonly<Record<IntType, readonly [number, number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
};

/** Whether a mere number can be an integer of a dtype. */
function fits(x: number, t: IntType): boolean {
  return Number.isInteger(x) && !Object.is(x, -0) && x >= ranges[t][0] && x <= ranges[t][1];
}

/** Operations that, below `| 0`, are those of integers when their operands are: nothing is rounded in between. */
const wrapping = new Set(["add", "sub", "mul", "neg", "select", "div"]);

/**
 * The values of a program as it becomes a graph. A number is an f32, unless it is an integer by `| 0`, `>>> 0` or a tensor's dtype.
 * Integers of one dtype give integers, which wrap; of both dtypes, or beside other numbers, they become f32. What bit
 * operations, `| 0` and `>>> 0` take is computed in integers as far as its operands are.
 */
export class Evaluation {
  readonly b: GraphBuilder;
  readonly #values: Value[];
  readonly #inputs: number;
  readonly #steps: readonly Step[];
  readonly #ints = new Map<number, Node>();

  constructor(b: GraphBuilder, { steps }: ScalarProgram, inputs: readonly Value[]) {
    this.b = b;
    this.#values = [...inputs];
    this.#inputs = inputs.length;
    this.#steps = steps;
    for (const step of steps) this.#values.push(this.#run(step));
  }

  value(i: number): Value {
    return this.#values[i] as Value;
  }

  step(i: number): Step | undefined {
    return this.#steps[i - this.#inputs];
  }

  #run(step: Step): Value {
    if (step[0] === "const") {
      return { constant: literalNumber(step[1] as never), type: (step[2] as LiteralType | undefined) ?? "number" };
    }
    const form = forms[step[0]];
    if (!form) throw new Error(`a body holds no ${step[0]}`);
    return form.build(this, step.slice(1) as number[]);
  }

  add(op: string, args: readonly Node[], attrs?: Readonly<Record<string, unknown>>): Node {
    return this.b.add(op, args, attrs);
  }

  /** A constant of a dtype; one of f32 is rounded to it. */
  constant(x: number, dtype: DType): Node {
    return this.b.const(dtype === "f32" ? Math.fround(x) : x + 0, dtype);
  }

  cast(x: Node, dtype: DType): Node {
    return x.type.dtype === dtype ? x : this.add("cast", [x], { dtype });
  }

  /** A value as an f32. */
  float(i: number): Node {
    const v = this.value(i);
    return isConstant(v) ? this.constant(v.constant, "f32") : this.cast(v, "f32");
  }

  /** The dtype in which values are added and compared: an integer's when all are such integers, else f32. */
  common(ids: readonly number[]): "f32" | IntType {
    let type: IntType | undefined;
    for (const id of ids) {
      const kind = kindOf(this.value(id));
      if (kind === "number") continue;
      if (kind === "f32" || kind === "bool" || (type && type !== kind)) return "f32";
      type = kind;
    }
    if (!type) return "f32";
    for (const id of ids) {
      const v = this.value(id);
      if (isConstant(v) && v.type === "number" && !fits(v.constant, type)) return "f32";
    }
    return type;
  }

  /** A value as a node of its {@link common} dtype. */
  as(i: number, dtype: "f32" | IntType): Node {
    if (dtype === "f32") return this.float(i);
    const v = this.value(i);
    return isConstant(v) ? this.constant(v.constant, dtype) : v;
  }

  /** Whether a value is an integer, or becomes one without rounding when it is computed in integers. */
  integral(i: number): boolean {
    const v = this.value(i);
    if (isConstant(v)) return fits(v.constant, "i32") || fits(v.constant, "u32");
    if (v.type.dtype !== "f32") return v.type.dtype !== "bool";
    const step = this.step(i);
    return step !== undefined && this.#wraps(step);
  }

  #wraps(step: Step): boolean {
    if (!wrapping.has(step[0])) return false;
    const args = step.slice(1) as number[];
    if (step[0] === "div") return this.common(args) !== "f32";
    return (step[0] === "select" ? args.slice(1) : args).every((a) => this.integral(a));
  }

  /** A value as JavaScript's bit operations take it: the i32 of its 32 bits. An f32 is truncated and saturates. */
  int(i: number): Node {
    const known = this.#ints.get(i);
    if (known) return known;
    const made = this.#int(i);
    this.#ints.set(i, made);
    return made;
  }

  #int(i: number): Node {
    const v = this.value(i);
    if (isConstant(v)) return this.constant(v.constant | 0, "i32");
    const step = this.step(i);
    if (v.type.dtype === "f32" && step && this.#wraps(step)) {
      const args = step.slice(1) as number[];
      if (step[0] === "div") return this.cast(this.quotient(args, this.common(args) as IntType), "i32");
      if (step[0] === "select") {
        return this.add("where", [this.truth(args[0] as number), ...args.slice(1).map((a) => this.int(a))]);
      }
      return this.add(
        step[0],
        args.map((a) => this.int(a)),
      );
    }
    return this.cast(v, "i32");
  }

  /** A value as the u32 of its 32 bits; an f32 from -2^31 to 2^32 keeps its meaning modulo 2^32. */
  word(i: number): Node {
    const v = this.value(i);
    if (isConstant(v)) return this.constant(v.constant >>> 0, "u32");
    if (v.type.dtype !== "f32" || this.integral(i)) {
      return v.type.dtype === "u32" ? v : this.cast(this.int(i), "u32");
    }
    const negative = this.add("less", [v, this.constant(0, "f32")]);
    return this.add("where", [negative, this.cast(this.cast(v, "i32"), "u32"), this.cast(v, "u32")]);
  }

  /** The quotient of integers without its fraction; 0 where the divisor is 0. */
  quotient([x, y]: readonly number[], t: IntType): Node {
    const [a, b] = [this.as(x as number, t), this.as(y as number, t)];
    const q = this.add("div", [a, b]);
    const divisor = this.value(y as number);
    if (isConstant(divisor) && divisor.constant !== 0) return q;
    const zero = this.constant(0, t);
    return this.add("where", [this.add("equal", [b, zero]), zero, q]);
  }

  /** A value as a condition: neither 0 nor NaN. */
  truth(i: number): Node {
    const v = this.value(i);
    if (isConstant(v)) return this.constant(v.constant ? 1 : 0, "bool");
    if (v.type.dtype === "bool") return v;
    if (v.type.dtype !== "f32") return this.add("notEqual", [v, this.constant(0, v.type.dtype)]);
    return this.add("greater", [this.add("abs", [v]), this.constant(0, "f32")]);
  }

  /** A value as a node, a mere number as f32. */
  node(i: number): Node {
    const v = this.value(i);
    if (!isConstant(v)) return v;
    return this.constant(v.constant, v.type === "number" ? "f32" : v.type);
  }
}
